// classify() on frames that were valid once: whatever a sender does, what is called media lies inside the frame.
#include "flow/classify.hpp"

#include <catch2/catch.hpp>

#include "support/media.hpp"
#include "support/packet_builder.hpp"
#include "support/random.hpp"

using namespace penstock;
using namespace penstock::flow;
using namespace penstock::test;

namespace {

PacketBuilder any_packet(Random& random) {
    PacketBuilder p = packet();
    if (random.chance(0.5)) p.ipv6("fd00::9", "ff3e::8000:1");
    if (random.chance(0.3)) p.vlan(random.below(0x10000));
    if (random.chance(0.2)) p.options(Bytes(4 * random.below<size_t>(11), std::byte{1}));
    for (unsigned i = random.below(4); random.chance(0.3) && i > 0; i--)
        p.extension(random.chance(0.5) ? 60 : 0, hex("0000 0104 00000000"));
    return p.udp(random.below(0x10000), random.below(0x10000)).payload(random.bytes(random.below(1500)));
}

}  // namespace

TEST_CASE("what is media lies inside the frame, however it was damaged", "[classify]") {
    Random random;
    unsigned media = 0;
    for (int i = 0; i < 50'000; i++) {
        Bytes frame = any_packet(random).build();
        for (unsigned damages = random.below(3); damages > 0; damages--)
            frame[random.below<size_t>(std::min<size_t>(frame.size(), 90))] = static_cast<std::byte>(random.below(256));
        if (random.chance(0.3)) frame.resize(random.below<size_t>(frame.size()));
        const Bytes tight(frame);  // no capacity behind its end: ASan sees a byte too much
        const Classified in = classify(tight);
        REQUIRE(static_cast<size_t>(in.drop) < kDrops);
        if (in.verdict != Verdict::media) continue;
        media++;
        REQUIRE(in.l3_offset + (in.v4 ? 28u : 48u) <= in.payload_offset);
        REQUIRE(in.payload_offset + in.payload_size <= tight.size());
        REQUIRE(in.key.destination.is_v4() == in.v4);
        REQUIRE(in.key.vlan < 4096);
        REQUIRE(in.hash == hash(in.key));
        REQUIRE(at16(tight, in.payload_offset - 6u) == in.key.port);
        REQUIRE(at16(tight, in.payload_offset - 4u) == in.payload_size + 8u);
    }
    CHECK(media > 5000);
}
