#pragma once
// Frames that can be read: packet().vlan(7).ipv4("10.0.0.9", "10.0.0.1").udp(6000, 20000).payload(bytes).build().
// Lengths and checksums come out right unless a test asks for a wrong one. Shares no code with what it tests.
#include <optional>
#include <utility>

#include "base/address.hpp"
#include "support/bytes.hpp"

namespace penstock::test {

inline Ip ip(std::string_view text) { return Ip::parse(text).value(); }
inline Mac mac(std::string_view text) { return Mac::parse(text).value(); }
inline Endpoint endpoint(std::string_view text) { return Endpoint::parse(text).value(); }

class PacketBuilder {
public:
    PacketBuilder& eth(Mac from, Mac to) { return source_mac_ = from, destination_mac_ = to, *this; }
    PacketBuilder& ethertype(unsigned type) { return ethertype_ = type, *this; }  // of something that is not IP
    PacketBuilder& vlan(unsigned tci) { return tci_ = tci, *this; }
    PacketBuilder& ipv4(std::string_view from, std::string_view to) { return addresses(ip(from), ip(to)); }
    PacketBuilder& ipv6(std::string_view from, std::string_view to) { return addresses(ip(from), ip(to)); }
    PacketBuilder& addresses(Ip from, Ip to) { return from_ = from, to_ = to, *this; }
    PacketBuilder& ttl(unsigned ttl) { return ttl_ = ttl, *this; }
    PacketBuilder& tos(unsigned tos) { return tos_ = tos, *this; }
    PacketBuilder& protocol(unsigned number) { return protocol_ = number, *this; }
    PacketBuilder& options(Bytes bytes) { return options_ = std::move(bytes), *this; }  // IPv4; a multiple of 4
    PacketBuilder& fragment(unsigned field) { return fragment_ = field, *this; }        // IPv4 flags and offset
    // IPv6: the header's first byte is filled in, its length byte is the caller's.
    PacketBuilder& extension(unsigned type, Bytes bytes) {
        return extensions_.emplace_back(type, std::move(bytes)), *this;
    }
    PacketBuilder& first_ip_byte(unsigned v) { return first_ip_byte_ = v, *this; }  // version and header length
    PacketBuilder& ip_length(unsigned v) { return ip_length_ = v, *this; }
    PacketBuilder& wrong_ip_checksum() { return ip_error_ = 1, *this; }
    PacketBuilder& udp(unsigned from, unsigned to) { return from_port_ = from, to_port_ = to, *this; }
    PacketBuilder& udp_length(unsigned v) { return udp_length_ = v, *this; }
    PacketBuilder& no_checksum() { return udp_checksum_ = 0, *this; }
    PacketBuilder& partial_checksum() {
        return partial_ = true, *this;
    }  // the pseudo-header only, as Linux leaves it to a NIC
    PacketBuilder& payload(Bytes bytes) { return payload_ = std::move(bytes), *this; }
    PacketBuilder& padding(size_t bytes) { return padding_ = bytes, *this; }  // Ethernet's

    Bytes build() const {
        Bytes frame;
        append(frame, destination_mac_.bytes);
        append(frame, source_mac_.bytes);
        if (tci_) {
            append16(frame, 0x8100);
            append16(frame, *tci_);
        }
        append16(frame, ethertype_.value_or(from_.is_v4() ? 0x0800 : 0x86dd));
        append(frame, ethertype_ ? payload_ : from_.is_v4() ? v4() : v6());
        frame.resize(frame.size() + padding_, std::byte{0xee});
        return frame;
    }
    size_t l3_offset() const { return tci_ ? 18 : 14; }

private:
    Bytes datagram() const {
        if (protocol_ != 17) return payload_;
        const auto size = static_cast<unsigned>(payload_.size() + 8);
        Bytes udp;
        append16(udp, from_port_);
        append16(udp, to_port_);
        append16(udp, udp_length_.value_or(size));
        append16(udp, 0);
        append(udp, payload_);
        Bytes pseudo;
        append(pseudo, from_.wire());
        append(pseudo, to_.wire());
        append16(pseudo, 17);
        append16(pseudo, size);
        const unsigned head = naive_sum(pseudo);
        const unsigned all = ~naive_sum(udp, head) & 0xffff;
        const unsigned sum = udp_checksum_.value_or(partial_ ? head : all == 0 ? 0xffff : all);
        udp[6] = static_cast<std::byte>(sum >> 8);
        udp[7] = static_cast<std::byte>(sum & 0xff);
        return udp;
    }
    Bytes v4() const {
        const Bytes inner = datagram();
        Bytes h;
        append8(h, first_ip_byte_.value_or(static_cast<unsigned>(0x45 + options_.size() / 4)));
        append8(h, tos_);
        append16(h, ip_length_.value_or(static_cast<unsigned>(20 + options_.size() + inner.size())));
        append16(h, 0x1234);
        append16(h, fragment_);
        append8(h, ttl_);
        append8(h, protocol_);
        append16(h, 0);
        append(h, from_.wire());
        append(h, to_.wire());
        append(h, options_);
        const unsigned sum = (~naive_sum(h) & 0xffff) ^ ip_error_;
        h[10] = static_cast<std::byte>(sum >> 8);
        h[11] = static_cast<std::byte>(sum & 0xff);
        append(h, inner);
        return h;
    }
    Bytes v6() const {
        Bytes inner;
        for (size_t i = 0; i < extensions_.size(); i++) {
            Bytes header = extensions_[i].second;
            header[0] = static_cast<std::byte>(i + 1 < extensions_.size() ? extensions_[i + 1].first : protocol_);
            append(inner, header);
        }
        append(inner, datagram());
        Bytes h;
        append8(h, first_ip_byte_.value_or(0x60) | tos_ >> 4);
        append8(h, tos_ << 4 | 0x5);  // a flow label that must not come through
        append16(h, 0x4321);
        append16(h, ip_length_.value_or(static_cast<unsigned>(inner.size())));
        append8(h, extensions_.empty() ? protocol_ : extensions_.front().first);
        append8(h, ttl_);
        append(h, from_.wire());
        append(h, to_.wire());
        append(h, inner);
        return h;
    }

    Mac source_mac_ = mac("02:00:00:00:00:09"), destination_mac_ = mac("02:00:00:00:00:01");
    std::optional<unsigned> ethertype_, tci_, first_ip_byte_, ip_length_, udp_length_, udp_checksum_;
    Ip from_ = ip("10.0.0.9"), to_ = ip("10.0.0.1");
    unsigned ttl_ = 64, tos_ = 0, protocol_ = 17, fragment_ = 0x4000, ip_error_ = 0;
    unsigned from_port_ = 6000, to_port_ = 20000;
    bool partial_ = false;
    Bytes options_, payload_;
    std::vector<std::pair<unsigned, Bytes>> extensions_;
    size_t padding_ = 0;
};

inline PacketBuilder packet() { return {}; }

}  // namespace penstock::test
