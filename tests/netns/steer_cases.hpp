#pragma once
// Frames built by hand, each with what the XDP program must do with it when it steers the ports, addresses and flows
// given here.
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "dataplane/xdp/steering.hpp"

namespace penstock::steer_test {

using Bytes = std::vector<uint8_t>;

inline Ip ip(std::string_view text) { return Ip::parse(text).value(); }

inline Bytes operator+(Bytes head, const Bytes& tail) {
    head.insert(head.end(), tail.begin(), tail.end());
    return head;
}
inline Bytes word(size_t value) { return {static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)}; }
inline Bytes wire(std::string_view address) {
    Bytes out;
    const Ip value = ip(address);
    for (const std::byte b : value.wire()) out.push_back(std::to_integer<uint8_t>(b));
    return out;
}

inline constexpr uint16_t kV4 = 0x0800, kV6 = 0x86dd;
inline uint16_t type_of(const Bytes& packet) { return packet[0] >> 4 == 6 ? kV6 : kV4; }
inline Bytes ethernet(uint16_t type, const Bytes& packet) { return Bytes(12, 2) + word(type) + packet; }
inline Bytes plain(const Bytes& packet) { return ethernet(type_of(packet), packet); }
inline Bytes tagged(uint16_t tci, const Bytes& packet) {
    return ethernet(0x8100, word(tci) + word(type_of(packet)) + packet);
}

inline Bytes udp_header(uint16_t port, size_t length) { return word(9999) + word(port) + word(length) + word(0); }
inline Bytes udp(uint16_t port, size_t payload = 20) { return udp_header(port, payload + 8) + Bytes(payload, 0x80); }
inline Bytes ipv4(std::string_view to, const Bytes& payload, size_t options = 0, size_t fragment = 0,
                  uint8_t protocol = 17) {
    return Bytes{static_cast<uint8_t>(0x45 + options), 0} + word(20 + 4 * options + payload.size()) + word(7) +
           word(fragment) + Bytes{64, protocol} + word(0) + wire("10.0.0.9") + wire(to) + Bytes(4 * options, 1) +
           payload;
}
inline Bytes ipv6(std::string_view to, uint8_t next, const Bytes& payload) {
    return Bytes{0x60, 0, 0, 0} + word(payload.size()) + Bytes{next, 64} + wire("fd00::9") + wire(to) + payload;
}
inline Bytes extension(uint8_t next, uint8_t more = 0, uint8_t segments_left = 0) {
    return Bytes{next, more, 0, segments_left} + Bytes(4 + 8u * more, 0);
}
inline Bytes fragment(uint8_t next, size_t offset_and_flags) {
    return Bytes{next, 0} + word(offset_and_flags) + Bytes(4, 1);
}
inline Bytes options_headers(size_t count) {  // destination options, the last one before UDP
    Bytes out;
    for (size_t i = 0; i + 1 < count; i++) out = out + extension(60);
    return out + extension(17);
}
inline Bytes with(Bytes packet, size_t at, size_t value) {
    packet[at] = static_cast<uint8_t>(value);
    return packet;
}

struct Case {
    std::string_view what;
    Bytes frame;
    bool steered;
    size_t padding = 0;  // bytes at the end that no header counts
};

inline constexpr uint16_t kFirstPort = 20000, kLastPort = 29999;
inline std::vector<Ip> addresses() { return {ip("10.0.0.1"), ip("fd00::1")}; }
inline std::vector<dataplane::FlowKey> flows() {
    return {{ip("10.0.0.1"), 1, 0},      {ip("239.1.1.1"), 5004, 0}, {ip("239.1.1.1"), 6000, 7},
            {ip("239.1.1.1"), 20002, 0}, {ip("ff3e::1"), 5004, 0},   {ip("ff3e::1"), 6000, 7}};
}

// clang-format off
inline std::vector<Case> cases() {
    constexpr auto us = "10.0.0.1", us6 = "fd00::1", group = "239.1.1.1", group6 = "ff3e::1";
    return {
        {"IPv4, first port of the range", plain(ipv4(us, udp(20000))), true},
        {"IPv4, last port of the range", plain(ipv4(us, udp(29999))), true},
        {"IPv4, below the range", plain(ipv4(us, udp(19999))), false},
        {"IPv4, above the range", plain(ipv4(us, udp(30000))), false},
        {"IPv4, not our address", plain(ipv4("10.0.0.2", udp(20000))), false},
        {"IPv4, tagged", tagged(0x6007, ipv4(us, udp(20000))), true},
        {"IPv4, options", plain(ipv4(us, udp(20000), 3)), true},
        {"IPv4, as many options as there can be, tagged", tagged(9, ipv4(us, udp(20000), 10)), true},
        {"IPv4 flow", plain(ipv4(group, udp(5004))), true},
        {"IPv4 flow, options", plain(ipv4(group, udp(5004), 1)), true},
        {"IPv4 flow, other port", plain(ipv4(group, udp(5005))), false},
        {"IPv4 flow without a tag, tagged", tagged(7, ipv4(group, udp(5004))), false},
        {"IPv4 flow without a tag, priority tag", tagged(0xa000, ipv4(group, udp(5004))), true},
        {"IPv4 flow with a tag and priority bits", tagged(0xe007, ipv4(group, udp(6000))), true},
        {"IPv4 flow with a tag, other VLAN", tagged(8, ipv4(group, udp(6000))), false},
        {"IPv4 flow with a tag, untagged", plain(ipv4(group, udp(6000))), false},
        {"IPv4 flow in the range, not our address", plain(ipv4(group, udp(20002))), true},
        {"IPv4, first fragment", plain(ipv4(us, udp_header(20000, 3000) + Bytes(16), 0, 0x2000)), true},
        {"IPv4, first fragment, tagged", tagged(7, ipv4(us, udp_header(20000, 3000) + Bytes(16), 0, 0x2000)), true},
        {"IPv4, first fragment, not media", plain(ipv4(us, udp(4000), 0, 0x2000)), false},
        {"IPv4, middle fragment", plain(ipv4(us, udp(20000), 0, 0x2001)), false},
        {"IPv4, last fragment", plain(ipv4(us, udp(20000), 0, 0x1000)), false},
        {"IPv4, not to be fragmented", plain(ipv4(us, udp(20000), 0, 0x4000)), true},
        {"IPv4, TCP", plain(ipv4(us, udp(20000), 0, 0, 6)), false},
        {"IPv4 that says it is IPv6", ethernet(kV6, ipv4(us, udp(20000))), false},
        {"IPv6 that says it is IPv4", ethernet(kV4, ipv6(us6, 17, udp(20000))), false},
        {"IPv4, padded", plain(ipv4(us, udp(20000, 0))) + Bytes(18), true, 18},
        {"IPv4, UDP length beyond the packet", plain(ipv4(us, udp_header(20000, 9))), false},
        {"IPv4, UDP length too small", plain(ipv4(us, udp_header(20000, 7))), false},
        {"IPv4, UDP length below the packet's", plain(ipv4(us, udp_header(20000, 8) + Bytes(4))), true},
        {"IPv4, half a UDP header", plain(ipv4(us, word(1) + word(20000), 0, 0x2000)) + word(3000) + Bytes(20),
         false, 22},
        {"IPv4, header length too small", plain(with(ipv4(us, word(8) + Bytes(20)), 0, 0x44)), false},
        {"IPv4, header length beyond the packet", plain(with(ipv4(us, udp(20000, 0)), 0, 0x4f)), false},
        {"IPv4, version 5", plain(with(ipv4(us, udp(20000)), 0, 0x55)), false},
        {"two tags", ethernet(0x8100, word(7) + word(0x8100) + word(7) + word(kV4) + ipv4(us, udp(20000))), false},
        {"service tag", ethernet(0x88a8, word(7) + word(kV4) + ipv4(us, udp(20000))), false},
        {"ARP", ethernet(0x0806, Bytes(46)), false},
        {"Ethernet and no more", ethernet(kV4, {}), false},
        {"IPv6", plain(ipv6(us6, 17, udp(25000))), true},
        {"IPv6, tagged", tagged(7, ipv6(us6, 17, udp(25000))), true},
        {"IPv6, out of the range", plain(ipv6(us6, 17, udp(554))), false},
        {"IPv6, not our address", plain(ipv6("fd00::2", 17, udp(25000))), false},
        {"IPv6 flow", plain(ipv6(group6, 17, udp(5004))), true},
        {"IPv6 flow, extension", plain(ipv6(group6, 60, extension(17) + udp(5004))), true},
        {"IPv6 flow with a tag", tagged(7, ipv6(group6, 17, udp(6000))), true},
        {"IPv6 flow with a tag, other VLAN", tagged(6, ipv6(group6, 17, udp(6000))), false},
        {"IPv6, hop-by-hop", plain(ipv6(us6, 0, extension(17) + udp(25000))), true},
        {"IPv6, long destination options, tagged", tagged(7, ipv6(us6, 60, extension(17, 100) + udp(25000))), true},
        {"IPv6, routing header at its last stop", plain(ipv6(us6, 43, extension(17, 2, 0) + udp(25000))), true},
        {"IPv6, routing header on its way", plain(ipv6(us6, 43, extension(17, 2, 1) + udp(25000))), false},
        {"IPv6, a chain of all kinds", plain(ipv6(us6, 0, extension(60) + extension(43, 1) + extension(44) +
                                                              fragment(60, 0) + extension(17) + udp(25000))), true},
        {"IPv6, eight headers", plain(ipv6(us6, 60, options_headers(8) + udp(25000))), true},
        {"IPv6, nine headers", plain(ipv6(us6, 60, options_headers(9) + udp(25000))), false},
        {"IPv6, extension beyond the packet", plain(ipv6(us6, 60, with(extension(17), 1, 9) + udp(25000))), false},
        {"IPv6, extension into the padding", plain(ipv6(us6, 60, extension(17))) + udp(25000, 0), false, 8},
        {"IPv6, extension beyond the padding", plain(ipv6(us6, 60, with(extension(17), 1, 1))) + Bytes(8) +
                                               udp(25000, 0), false, 16},
        {"IPv6, version 7", ethernet(kV6, with(ipv6(us6, 17, udp(25000)), 0, 0x70)), false},
        {"IPv6, first fragment", plain(ipv6(us6, 44, fragment(17, 1) + udp_header(25000, 3000) + Bytes(16))), true},
        {"IPv6, first fragment, not media", plain(ipv6(us6, 44, fragment(17, 1) + udp(554))), false},
        {"IPv6, fragment that is whole", plain(ipv6(us6, 44, fragment(17, 0) + udp(25000))), true},
        {"IPv6, whole, UDP length beyond", plain(ipv6(us6, 44, fragment(17, 0) + udp_header(25000, 3000))), false},
        {"IPv6, middle fragment", plain(ipv6(us6, 44, fragment(17, 8 | 1) + udp(25000))), false},
        {"IPv6, last fragment", plain(ipv6(us6, 44, fragment(17, 0x8000) + udp(25000))), false},
        {"IPv6, nothing follows", plain(ipv6(us6, 59, udp(25000))), false},
        {"IPv6, TCP", plain(ipv6(us6, 6, udp(25000))), false},
        {"IPv6, jumbogram", plain(with(with(ipv6(us6, 17, udp(25000)), 4, 0), 5, 0)), false},
        {"IPv6, UDP length beyond the packet", plain(ipv6(us6, 17, udp_header(25000, 9))), false},
    };
}
// clang-format on

}  // namespace penstock::steer_test
