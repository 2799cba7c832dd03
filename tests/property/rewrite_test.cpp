// The incremental header equals one that is computed from nothing: random packets to random legs.
#include "flow/rewrite.hpp"

#include <catch2/catch.hpp>

#include "support/dissect.hpp"
#include "support/packet_builder.hpp"
#include "support/random.hpp"

using namespace penstock;
using namespace penstock::flow;
using namespace penstock::test;

namespace {

Ip any_ip(Random& random, bool v4) {
    Bytes bytes = random.chance(0.05) ? Bytes(16, std::byte{0xff}) : random.bytes(16);
    if (v4) return Ip::v4(std::span<const std::byte>{bytes}.first<4>());
    bytes[0] = std::byte{0x20};  // not IPv4-mapped
    return Ip::v6(std::span<const std::byte>{bytes}.first<16>());
}

Mac any_mac(Random& random) {
    Mac mac;
    for (std::byte& b : mac.bytes) b = static_cast<std::byte>(random.below(256));
    return mac;
}

LegPlan any_leg(Random& random) {
    const bool v4 = random.chance(0.5);
    LegPlan plan;
    plan.hop = {.port = random.below<uint16_t>(16), .mac = any_mac(random), .source = any_ip(random, v4), .mtu = 9000};
    plan.from = any_mac(random);
    plan.from_port = random.below<uint16_t>(0x10000);
    plan.to = {any_ip(random, v4), random.below<uint16_t>(0x10000)};
    plan.rtcp_port = random.chance(0.3) ? plan.to.port : random.below<uint16_t>(0x10000);
    plan.ttl = random.chance(0.5) ? uint8_t{0} : random.between<uint8_t>(1, 255);
    plan.dscp = random.chance(0.5) ? Leg::kKeep : random.below<uint8_t>(64);
    plan.vlan = random.chance(0.5) ? uint16_t{0} : random.between<uint16_t>(1, 4094);
    return plan;
}

enum class Checksum : uint8_t { kept, absent, anew };

}  // namespace

TEST_CASE("every copy has right lengths, checksums, addresses, TTL and DSCP, and the payload as it came", "[rewrite]") {
    Random random;
    LegState state;
    LongHeaders longer;
    for (int i = 0; i < 20'000; i++) {
        const bool v4 = random.chance(0.5);
        const auto checksum = static_cast<Checksum>(random.below(3));
        const unsigned ttl = random.between(1, 255), tos = random.below(256);
        const Bytes payload = random.chance(0.1) ? Bytes(random.below<size_t>(1400), std::byte{0xff})
                                                 : random.bytes(random.below<size_t>(1400));
        PacketBuilder builder = packet();
        builder.addresses(any_ip(random, v4), any_ip(random, v4)).udp(random.below(0x10000), random.below(0x10000));
        builder.ttl(ttl).tos(tos).payload(payload).padding(random.below<size_t>(20));
        if (random.chance(0.3)) builder.vlan(random.below(0x1000));
        if (random.chance(0.2)) builder.options(Bytes(4 * random.below<size_t>(11), std::byte{1}));
        if (checksum == Checksum::absent && v4) builder.no_checksum();
        if (checksum == Checksum::anew) builder.partial_checksum();
        const Bytes frame = builder.build();
        const Classified in = classify(frame);
        if (in.verdict != Verdict::media) {  // by chance a partial checksum of IPv6 is zero, which looks like none
            REQUIRE(in.drop == Drop::udp_checksum_zero);
            continue;
        }
        const LegPlan plan = any_leg(random);
        const bool rtcp = random.chance(0.3), muxed = plan.rtcp_port == plan.to.port;
        std::array<std::byte, kMaxHeader> room;
        const Leg of_rtp = make_leg(plan, &state, longer), leg = rtcp ? rtcp_leg(of_rtp, room) : of_rtp;
        Bytes out(leg.header_size);
        write_header(out.data(), leg, in,
                     checksum == Checksum::anew ? sum_from_payload(frame, in) : sum_from_checksum(frame, in));
        append(out, std::span{frame}.subspan(in.payload_offset, in.payload_size));

        INFO("copy " << i << (v4 ? " from IPv4" : " from IPv6") << (leg.v4() ? " to IPv4" : " to IPv6") << ", checksum "
                     << static_cast<int>(checksum) << ", payload " << payload.size());
        const Dissected copy = dissect(out);
        REQUIRE(copy.lengths);
        REQUIRE(copy.ip_sum == Sum::right);
        REQUIRE(copy.udp_sum == (checksum == Checksum::absent && v4 ? Sum::none : Sum::right));
        REQUIRE(copy.payload == payload);
        REQUIRE(copy.from == plan.hop.source);
        REQUIRE(copy.to == plan.to.ip);
        REQUIRE(copy.from_port == static_cast<uint16_t>(plan.from_port + (rtcp && !muxed ? 1 : 0)));
        REQUIRE(copy.to_port == (rtcp ? plan.rtcp_port : plan.to.port));
        REQUIRE(copy.from_mac == plan.from);
        REQUIRE(copy.to_mac == plan.hop.mac);
        REQUIRE(copy.vlan == plan.vlan);
        REQUIRE(copy.ttl == (plan.ttl != 0 ? plan.ttl : ttl));
        REQUIRE(copy.tos >> 2 == (plan.dscp != Leg::kKeep ? plan.dscp : tos >> 2));
        REQUIRE((copy.tos & 3) == (tos & 3));  // ECN is the network's
        REQUIRE(copy.dont_fragment == plan.to.ip.is_v4());
        REQUIRE(fits(leg, in));
    }
}
