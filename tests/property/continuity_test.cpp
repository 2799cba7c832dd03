// What viewers see of a source that is restarted again and again, against what was said of it: one SSRC, numbers
// without a step, times that go on by the time that passed.
#include <catch2/catch.hpp>

#include <map>

#include "rtp/clock.hpp"
#include "rtp/continuity.hpp"
#include "rtp/rtcp/shift.hpp"
#include "support/media.hpp"
#include "support/random.hpp"

using namespace penstock;
using namespace penstock::rtp;
using namespace penstock::test;

namespace {

constexpr uint64_t kMs =
    (uint64_t{1} << 32) / 1000 + 1;  // a little more, so that units of the RTP clock come out whole
constexpr uint32_t kRate = 90000;

struct Packet {
    uint16_t sequence = 0;
    uint32_t timestamp = 0, ssrc = 0;
    bool operator==(const Packet&) const = default;
};

Packet seen(const Packet& p, const Continuity::Place& place) {
    if (place.shift == nullptr) return p;
    return {static_cast<uint16_t>(p.sequence + place.shift->sequence), p.timestamp + place.shift->timestamp,
            place.shift->ssrc};
}

// A continuity, and what it is to say, with the clock that packets come by.
struct Viewer {
    Continuity continuity{kRate};
    uint64_t now = uint64_t{77} << 32;

    Packet take(const Packet& p, bool restarted = false) {
        const auto place = continuity.take(p.sequence, p.timestamp, p.ssrc, now);
        REQUIRE(place.restarted == restarted);
        return seen(p, place);
    }
};

}  // namespace

TEST_CASE("whatever a source is restarted as, viewers see one that goes on", "[continuity]") {
    Random random{61};
    INFO("seed " << seed());
    for (int round = 0; round < 40; round++) {
        Viewer viewer;
        Packet source{random.below<uint16_t>(0x10000), random.below<uint32_t>(uint64_t{1} << 32),
                      random.below<uint32_t>(uint64_t{1} << 32)};
        const uint32_t ssrc = source.ssrc;
        Packet highest;                   // of what was seen
        uint64_t highest_at = 0;          // when the first packet of its time came
        std::map<uint16_t, Packet> sent;  // since the restart before the last
        for (int life = 0; life < 20; life++) {
            const bool first_life = life == 0;
            Packet expected = source;
            if (!first_life) {
                const bool same_ssrc = random.chance(0.3);
                viewer.now += random.between<uint64_t>(same_ssrc ? 600 : 0, 4000) * kMs;
                const uint16_t before = source.sequence;
                source = {random.below<uint16_t>(0x10000), random.below<uint32_t>(uint64_t{1} << 32),
                          same_ssrc ? source.ssrc : random.below<uint32_t>(uint64_t{1} << 32)};
                if (same_ssrc)  // lower, or so far ahead that it cannot be loss
                    source.sequence = static_cast<uint16_t>(before - random.between<uint16_t>(100, 60000));
                expected = {static_cast<uint16_t>(highest.sequence + 1),
                            highest.timestamp + std::max(in_rtp_units(viewer.now - highest_at, kRate), 1u), ssrc};
            }
            const Packet got = viewer.take(source, !first_life);
            REQUIRE(got == expected);
            highest = got;
            highest_at = viewer.now;
            const Packet begin = source;
            sent[got.sequence] = source;
            // Pictures of some packets; some packets are lost, some come late.
            const int pictures = random.between<int>(1, 60);
            std::optional<Packet> late;
            for (int picture = 0; picture < pictures; picture++) {
                viewer.now += 33 * kMs;
                source.timestamp += 3000;
                for (unsigned left = random.between(1, 5); left > 0; left--) {
                    source.sequence++;
                    if (random.chance(0.03)) continue;
                    if (!late && random.chance(0.05)) {
                        late = source;
                        continue;
                    }
                    for (const auto& p : {std::optional{source}, std::exchange(late, std::nullopt)}) {
                        if (!p) continue;
                        const Packet as = viewer.take(*p);
                        REQUIRE(as.ssrc == ssrc);
                        REQUIRE(static_cast<uint16_t>(as.sequence - got.sequence) ==
                                static_cast<uint16_t>(p->sequence - begin.sequence));
                        REQUIRE(as.timestamp - got.timestamp == p->timestamp - begin.timestamp);
                        sent[as.sequence] = *p;
                        if (static_cast<int16_t>(as.sequence - highest.sequence) > 0) highest.sequence = as.sequence;
                        if (as.timestamp == highest.timestamp) continue;
                        if (static_cast<int32_t>(as.timestamp - highest.timestamp) < 0) continue;
                        highest.timestamp = as.timestamp;
                        highest_at = viewer.now;
                    }
                }
            }
            for (const auto& [number, original] : sent) {
                const auto was = viewer.continuity.original(number);
                REQUIRE(was.sequence == original.sequence);
                REQUIRE(was.ssrc == original.ssrc);
                REQUIRE(was.shift.ssrc == ssrc);
                REQUIRE(static_cast<uint16_t>(was.sequence + was.shift.sequence) == number);
            }
            std::erase_if(sent, [&](const auto& s) {
                return static_cast<uint16_t>(highest.sequence - s.first) >
                       static_cast<uint16_t>(highest.sequence - got.sequence);
            });
            REQUIRE(viewer.continuity.shift_of(source.ssrc).value().ssrc == ssrc);
        }
        CHECK(viewer.continuity.restarts() == 19);
        CHECK(viewer.continuity.ssrc() == ssrc);
    }
}

TEST_CASE("a source that is not restarted is left as it is", "[continuity]") {
    Random random{62};
    INFO("seed " << seed());
    Viewer viewer;
    Packet p{65000, 0xfffff000, 7};
    for (int n = 0; n < 200'000; n++) {
        p.sequence = static_cast<uint16_t>(p.sequence + (random.chance(0.001) ? random.between(2, 2000) : 1));
        if (random.chance(0.3)) p.timestamp += 3000;
        viewer.now += random.between<uint64_t>(0, 20) * kMs / 10;
        REQUIRE(viewer.continuity.take(p.sequence, p.timestamp, p.ssrc, viewer.now).shift == nullptr);
        const Packet late{static_cast<uint16_t>(p.sequence - random.below<uint16_t>(8000)), p.timestamp - 3000, 7};
        if (random.chance(0.01)) REQUIRE(viewer.take(late) == late);
    }
}

TEST_CASE("who was told an SSRC sees it, whatever comes", "[continuity]") {
    Continuity continuity(kRate, 0xabcd);
    CHECK(continuity.ssrc() == 0xabcdu);
    CHECK_FALSE(continuity.begun());
    const auto place = continuity.take(5, 6, 7, 0);
    CHECK(seen({5, 6, 7}, place) == Packet{5, 6, 0xabcd});
}

TEST_CASE("a stray takes a number, and the source goes on with its own times", "[continuity]") {
    Viewer viewer;
    CHECK(viewer.take({100, 5000, 7}) == Packet{100, 5000, 7});
    viewer.now += 40 * kMs;
    CHECK(viewer.take({60000, 1, 8}, true) == Packet{101, 5000 + 3600, 7});
    CHECK(viewer.take({101, 8600, 7}) == Packet{102, 8600, 7});
    CHECK(viewer.take({102, 8600, 7}) == Packet{103, 8600, 7});
    CHECK(viewer.continuity.restarts() == 1);
}

TEST_CASE("what comes late of the life before has its own place", "[continuity]") {
    Viewer viewer;
    viewer.take({100, 5000, 7});
    viewer.take({102, 5000, 7});
    viewer.now += 500 * kMs;
    CHECK(viewer.take({40, 9, 8}, true).sequence == 103);
    CHECK(viewer.take({101, 5000, 7}) == Packet{101, 5000, 7});
    CHECK(viewer.take({41, 9, 8}).sequence == 104);
}

TEST_CASE("an encoder that begins with the same SSRC and number each time", "[continuity]") {
    Viewer viewer;
    const auto behind = GENERATE(as<uint16_t>{}, 1, 20, 5000);
    CHECK(viewer.take({behind, 90000, 7}) == Packet{behind, 90000, 7});
    viewer.now += 200 * kMs;
    CHECK(viewer.take({0, 0, 7}).sequence == 0);  // it may be late still
    viewer.now += 600 * kMs;
    CHECK(viewer.take({0, 0, 7}, true) == Packet{static_cast<uint16_t>(behind + 1), 90000 + 72000, 7});
    // Its time tells, too: the number could be that of a packet after some that were lost.
    viewer.now += 1000 * kMs;
    CHECK(viewer.take({40, 0x7fff0000, 7}, true) == Packet{static_cast<uint16_t>(behind + 2), 90000 + 162000, 7});
    viewer.now += 1000 * kMs;
    CHECK(viewer.take({50, 0x7fff0000u + 90000, 7}) == Packet{static_cast<uint16_t>(behind + 12), 90000 + 252000, 7});
}

TEST_CASE("what was mended never restarts the source", "[continuity]") {
    Viewer viewer;
    viewer.take({100, 5000, 7});
    viewer.now += 2000 * kMs;
    const auto late = viewer.continuity.take(90, 4000, 7, viewer.now, Continuity::Came::mended);
    CHECK(late.shift == nullptr);
    CHECK_FALSE(late.restarted);
    CHECK(viewer.take({101, 6000, 7}) == Packet{101, 6000, 7});
}

TEST_CASE("what a source says of itself goes with its media", "[continuity]") {
    const Shift shift{0x01020304, 1000, 5};
    Bytes rtcp = sender_report();
    CHECK(sender_of(rtcp) == 0x11223344u);
    Bytes wanted =
        hex("80c80006 01020304 e0000000 00000000 00000fa0 00000064 00004e20"
            "81ca0003 01020304 01036140 62000000");
    const auto change = [&](Bytes& in, uint32_t from) {
        each_shifted(Bytes(in), from, shift, [&](size_t at, uint32_t word) { wire::store32(&in[at], word); });
    };
    change(rtcp, 0x11223344);
    CHECK(rtcp == wanted);
    change(rtcp, 0x99999999);  // of somebody else
    CHECK(rtcp == wanted);
    Bytes goodbye = bye();
    change(goodbye, 0x11223344);
    CHECK(goodbye == hex("80c90001 01020304 81cb0001 01020304"));
    // SDES of several, of which one is it; items end with zeros up to a whole word.
    Bytes chunks = hex("82ca0005 99999999 01016100 11223344 01026162 00000000");
    change(chunks, 0x11223344);
    CHECK(chunks == hex("82ca0005 99999999 01016100 01020304 01026162 00000000"));
    CHECK_FALSE(sender_of(hex("80cb0000")));
}
