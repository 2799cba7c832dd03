#include "flow/classify.hpp"

#include "base/wire.hpp"

namespace penstock::flow {
namespace {

constexpr size_t kEthernet = 14;
constexpr size_t kUdp = 8;
constexpr uint8_t kProtocolUdp = 17;

void refuse(Classified& c, Drop why, Verdict verdict = Verdict::drop) noexcept {
    c.verdict = verdict;
    c.drop = why;
}

// `datagram` is the IP payload from the UDP header on, without Ethernet padding.
void classify_udp(Classified& c, std::span<const std::byte> datagram, size_t offset) noexcept {
    if (datagram.size() < kUdp) return refuse(c, Drop::udp_length);
    const size_t size = wire::load16(&datagram[4]);
    if (size < kUdp || size > datagram.size()) return refuse(c, Drop::udp_length);
    c.key.port = wire::load16(&datagram[2]);
    c.payload_offset = static_cast<uint16_t>(offset + kUdp);
    c.payload_size = static_cast<uint16_t>(size - kUdp);
    c.udp_checksum = wire::load16(&datagram[6]);
    c.hash = hash(c.key);
    c.verdict = Verdict::media;
}

//  RFC 791 section 3.1
void classify_v4(Classified& c, std::span<const std::byte> ip) noexcept {
    if (ip.size() < 20) return refuse(c, Drop::runt);
    const unsigned first = wire::load8(ip.data());
    const size_t header = size_t{4} * (first & 0x0f);
    const size_t total = wire::load16(&ip[2]);
    if (first >> 4 != 4 || header < 20 || total < header || total > ip.size()) return refuse(c, Drop::ip_header);
    const uint16_t sum = header == 20 ? wire::sum16(ip.first<20>()) : wire::sum16(ip.first(header));
    if (sum != 0xffff) return refuse(c, Drop::ip_checksum);
    c.key.destination = Ip::v4(ip.subspan<16, 4>());
    c.tos = wire::load8(&ip[1]);
    c.ttl = wire::load8(&ip[8]);
    if (wire::load8(&ip[9]) != kProtocolUdp) return refuse(c, Drop::not_udp, Verdict::kernel);
    if ((wire::load16(&ip[6]) & 0x3fff) != 0) return refuse(c, Drop::fragment);
    return classify_udp(c, ip.subspan(header, total - header), c.l3_offset + header);
}

// RFC 8200 section 4: extension headers are walked, a few at most.
void classify_v6(Classified& c, std::span<const std::byte> ip) noexcept {
    constexpr size_t kFixed = 40;
    constexpr int kMaxExtensions = 8;
    constexpr uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kDestination = 60;
    if (ip.size() < kFixed) return refuse(c, Drop::runt);
    const size_t payload = wire::load16(&ip[4]);
    if (wire::load8(ip.data()) >> 4 != 6 || payload > ip.size() - kFixed) return refuse(c, Drop::ip_header);
    c.v4 = false;
    c.key.destination = Ip::v6(ip.subspan<24, 16>());
    c.tos = static_cast<uint8_t>(wire::load16(ip.data()) >> 4);
    c.ttl = wire::load8(&ip[7]);
    uint8_t next = wire::load8(&ip[6]);
    auto rest = ip.subspan(kFixed, payload);
    for (int i = 0; next == kHopByHop || next == kRouting || next == kDestination || next == kFragment; i++) {
        if (i == kMaxExtensions || rest.size() < 8) return refuse(c, Drop::ip_extensions);
        // An atomic fragment (offset 0, no more to come) is a whole datagram: RFC 6946.
        if (next == kFragment && (wire::load16(&rest[2]) & 0xfff9) != 0) return refuse(c, Drop::fragment);
        const size_t size = next == kFragment ? 8 : size_t{8} * (wire::load8(&rest[1]) + size_t{1});
        if (size > rest.size()) return refuse(c, Drop::ip_extensions);
        next = wire::load8(rest.data());
        rest = rest.subspan(size);
    }
    if (next != kProtocolUdp) return refuse(c, Drop::not_udp, Verdict::kernel);
    const auto offset = static_cast<size_t>(rest.data() - ip.data());
    classify_udp(c, rest, c.l3_offset + offset);
    if (c.verdict == Verdict::media && c.udp_checksum == 0) return refuse(c, Drop::udp_checksum_zero);
}

}  // namespace

Classified classify(std::span<const std::byte> frame) noexcept {
    Classified c;
    if (frame.size() < kEthernet) return c;
    uint16_t type = wire::load16(&frame[12]);
    size_t offset = kEthernet;
    if (type == 0x8100) {
        if (frame.size() < kEthernet + 4) return c;
        c.key.vlan = wire::load16(&frame[14]) & 0x0fff;  // 0 is a priority tag: untagged
        type = wire::load16(&frame[16]);
        offset += 4;
    }
    c.l3_offset = static_cast<uint16_t>(offset);
    if (type == 0x0800) {
        classify_v4(c, frame.subspan(offset));
    } else if (type == 0x86dd) {
        classify_v6(c, frame.subspan(offset));
    } else {
        refuse(c, Drop::not_ip, Verdict::kernel);
    }
    return c;
}

Ip sender_of(std::span<const std::byte> frame, const Classified& in) noexcept {
    const auto ip = frame.subspan(in.l3_offset);
    return in.v4 ? Ip::v4(ip.subspan<12, 4>()) : Ip::v6(ip.subspan<8, 16>());
}

}  // namespace penstock::flow
