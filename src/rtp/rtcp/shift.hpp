#pragma once
// What a source says by RTCP, for those who see its media with another SSRC, other times or in another number (RFC 3550
// section 7.2: its reports are translated with the media).
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "rtp/continuity.hpp"
#include "rtp/rtcp/packet.hpp"

namespace penstock::rtp {

// Of whom a datagram is that valid_rtcp() found valid; none: of nobody.
inline std::optional<uint32_t> sender_of(std::span<const std::byte> datagram) noexcept {
    std::optional<uint32_t> sender;
    each_packet(datagram, [&](const RtcpPacket& packet) {
        if (!sender && packet.body.size() >= 4) sender = wire::load32(packet.body.data());
    });
    return sender;
}

// Each 32-bit word of a datagram that valid_rtcp() found valid where a packet is of the SSRC `from`: store(at, ssrc).
// Of its whole sender reports, what they say: report(at), where their bodies begin.
template <class Store, class Report>
void each_renamed(std::span<const std::byte> datagram, uint32_t from, uint32_t ssrc, Store store,
                  Report report) noexcept {
    each_packet(datagram, [&](const RtcpPacket& packet) {
        const auto at = static_cast<size_t>(packet.body.data() - datagram.data());
        const auto rename = [&](size_t word) {
            if (word + 4 > packet.body.size() || wire::load32(&packet.body[word]) != from) return false;
            store(at + word, ssrc);
            return true;
        };
        if (packet.type == RtcpType::bye) {
            for (size_t i = 0; i < packet.count; i++) rename(4 * i);
        } else if (packet.type == RtcpType::sdes) {
            size_t chunk = 0;
            for (unsigned i = 0; i < packet.count && chunk + 4 <= packet.body.size(); i++) {
                rename(chunk);
                chunk += 4;
                while (chunk + 1 < packet.body.size() && wire::load8(&packet.body[chunk]) != 0)
                    chunk += 2 + size_t{wire::load8(&packet.body[chunk + 1])};
                chunk = chunk / 4 * 4 + 4;  // the zeros that end the list fill up its last word
            }
        } else if (rename(0) && packet.type == RtcpType::sr && packet.body.size() >= 24) {
            report(at);
        }
    });
}

// Each word to change for who sees the source shifted. NTP times stay: what the source measures itself by.
template <class Store>
void each_shifted(std::span<const std::byte> datagram, uint32_t from, const Shift& shift, Store store) noexcept {
    each_renamed(datagram, from, shift.ssrc, store,
                 [&](size_t at) { store(at + 12, wire::load32(&datagram[at + 12]) + shift.timestamp); });
}

// Each word to change for who gets other packets than the source sent, under the SSRC `ssrc`: so many, with so many
// octets of payload.
template <class Store>
void each_restated(std::span<const std::byte> datagram, uint32_t from, uint32_t ssrc, uint32_t packets, uint32_t octets,
                   Store store) noexcept {
    each_renamed(datagram, from, ssrc, store, [&](size_t at) {
        store(at + 16, packets);
        store(at + 20, octets);
    });
}

}  // namespace penstock::rtp
