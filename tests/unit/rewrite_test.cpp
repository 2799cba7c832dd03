// A leg's header on a few packets that can be checked by eye; tests/property/rewrite_test.cpp has the many.
#include "flow/rewrite.hpp"

#include <catch2/catch.hpp>

#include "support/dissect.hpp"
#include "support/media.hpp"
#include "support/packet_builder.hpp"

using namespace penstock;
using namespace penstock::flow;
using namespace penstock::test;

namespace {

LegPlan to(const char* receiver) {
    LegPlan plan;
    plan.hop = {.port = 3, .mac = mac("02:00:00:00:01:20"), .source = ip("10.0.1.1"), .mtu = 1500};
    plan.from = mac("02:00:00:00:01:01");
    plan.from_port = 20000;
    plan.to = endpoint(receiver);
    return plan;
}

Bytes copy(const Bytes& frame, const Leg& leg) {
    const Classified in = classify(frame);
    REQUIRE(in.verdict == Verdict::media);
    Bytes out(leg.header_size);
    write_header(out.data(), leg, in, sum_from_checksum(frame, in));
    append(out, std::span{frame}.subspan(in.payload_offset, in.payload_size));
    return out;
}

}  // namespace

TEST_CASE("a copy, byte by byte", "[rewrite]") {
    const Bytes frame =
        packet().ipv4("10.0.0.9", "10.0.0.1").udp(6000, 20000).ttl(64).tos(0xb9).payload(hex("80600001")).build();
    LegState state;
    LongHeaders longer;
    LegPlan plan = to("10.0.1.20:6000");
    plan.vlan = 7;
    const Leg leg = make_leg(plan, &state, longer);
    CHECK(leg.tx_port == 3);
    CHECK(leg.state == &state);
    CHECK(leg.ip_overhead() == 28);
    CHECK(copy(frame, leg) == hex("020000000120 020000000101 8100 0007 0800"
                                  "45 b9 0020 0000 4000 40 11 2400 0a000101 0a000114"
                                  "4e20 1770 000c 03d0 80600001"));
}

TEST_CASE("a computed checksum of zero is sent as all ones: RFC 768", "[rewrite]") {
    LegState state;
    LongHeaders longer;
    const Leg leg = make_leg(to("10.0.1.20:6000"), &state, longer);
    unsigned ones = 0;
    for (unsigned word = 0; word < 0x10000; word++) {  // one of these makes the sum zero
        const Bytes frame = packet().udp(6000, 20000).payload({std::byte(word >> 8), std::byte(word & 0xff)}).build();
        const Bytes out = copy(frame, leg);
        REQUIRE(at16(out, 40) != 0);
        if (at16(out, 40) != 0xffff) continue;
        ones++;
        CHECK(dissect(out).udp_sum == Sum::right);
    }
    CHECK(ones == 1);
}

TEST_CASE("no checksum came, none is sent", "[rewrite]") {
    LegState state;
    LongHeaders longer;
    const Bytes out =
        copy(packet().no_checksum().payload(rtp_packet()).build(), make_leg(to("10.0.1.20:6000"), &state, longer));
    CHECK(dissect(out).udp_sum == Sum::none);
    CHECK(dissect(out).ip_sum == Sum::right);
}

TEST_CASE("a copy fits the MTU to the byte", "[rewrite]") {
    LegState state;
    LongHeaders longer;
    LegPlan v4 = to("10.0.1.20:6000"), v6 = to("[fd01::20]:6000");
    v6.hop.source = ip("fd01::1");
    v4.hop.mtu = v6.hop.mtu = 1280;
    v4.vlan = 7;  // is outside of IP
    const auto fits_in = [&](const LegPlan& plan, uint16_t payload) {
        Classified in;
        in.payload_size = payload;
        return fits(make_leg(plan, &state, longer), in);
    };
    CHECK(fits_in(v4, 1280 - 28));
    CHECK_FALSE(fits_in(v4, 1280 - 27));
    CHECK(fits_in(v6, 1280 - 48));
    CHECK_FALSE(fits_in(v6, 1280 - 47));
}
