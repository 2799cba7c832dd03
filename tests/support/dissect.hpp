#pragma once
// What a frame says, read by code that shares nothing with the forwarder; checksums are added up in full.
#include <catch2/catch.hpp>

#include "base/address.hpp"
#include "support/bytes.hpp"

namespace penstock::test {

enum class Sum : uint8_t { none, right, wrong };

struct Dissected {
    Mac from_mac, to_mac;
    unsigned vlan = 0;
    Ip from, to;
    unsigned ttl = 0, tos = 0, from_port = 0, to_port = 0;
    Sum ip_sum = Sum::none, udp_sum = Sum::none;
    bool dont_fragment = false;
    bool lengths = false;  // all length fields agree with the frame
    Bytes payload;
};

inline Dissected dissect(std::span<const std::byte> frame) {
    Dissected out;
    REQUIRE(frame.size() >= 42);
    std::copy_n(frame.begin(), 6, out.to_mac.bytes.begin());
    std::copy_n(frame.begin() + 6, 6, out.from_mac.bytes.begin());
    size_t l3 = 14;
    unsigned type = at16(frame, 12);
    if (type == 0x8100) {
        out.vlan = at16(frame, 14);
        type = at16(frame, 16);
        l3 = 18;
    }
    const auto packet = frame.subspan(l3);
    REQUIRE((type == 0x0800 || (type == 0x86dd && packet.size() >= 48)));
    const bool v4 = type == 0x0800;
    const size_t header = v4 ? 20 : 40;
    REQUIRE(at8(packet, 0) >> 4 == (v4 ? 4 : 6));
    const auto udp = packet.subspan(header);
    if (v4) {
        REQUIRE(at8(packet, 0) == 0x45);
        REQUIRE(at8(packet, 9) == 17);
        out.tos = at8(packet, 1);
        out.ttl = at8(packet, 8);
        out.dont_fragment = at16(packet, 6) == 0x4000;
        out.ip_sum = naive_sum(packet.first(20)) == 0xffff ? Sum::right : Sum::wrong;
        out.from = Ip::v4(packet.subspan<12, 4>());
        out.to = Ip::v4(packet.subspan<16, 4>());
        out.lengths = at16(packet, 2) == packet.size() && at16(udp, 4) == udp.size();
    } else {
        REQUIRE(at8(packet, 6) == 17);
        out.tos = at16(packet, 0) >> 4 & 0xff;
        out.ttl = at8(packet, 7);
        out.ip_sum = Sum::right;
        out.from = Ip::v6(packet.subspan<8, 16>());
        out.to = Ip::v6(packet.subspan<24, 16>());
        out.lengths = at16(packet, 4) == udp.size() && at16(udp, 4) == udp.size();
    }
    out.from_port = at16(udp, 0);
    out.to_port = at16(udp, 2);
    Bytes pseudo;
    append(pseudo, out.from.wire());
    append(pseudo, out.to.wire());
    append16(pseudo, 17);
    append16(pseudo, static_cast<unsigned>(udp.size()));
    append(pseudo, udp);
    if (at16(udp, 6) != 0) out.udp_sum = naive_sum(pseudo) == 0xffff ? Sum::right : Sum::wrong;
    out.payload.assign(udp.begin() + 8, udp.end());
    return out;
}

}  // namespace penstock::test
