// Packets that wait for each other, against what everybody may expect of it: nothing leaves twice, out of order or
// later than it may, and nothing is late that came while it was waited for.
#include <catch2/catch.hpp>

#include <map>
#include <set>

#include "flow/reorder.hpp"
#include "support/random.hpp"

using namespace penstock::flow;
using namespace penstock::test;
using Turn = Reorder::Turn;

namespace {

constexpr uint64_t kMs = (uint64_t{1} << 32) / 1000;

// A buffer is the number of its packet, in memory of its own: what is not given back the sanitizer finds.
void give_back(void* buffer) { delete static_cast<uint64_t*>(buffer); }

struct Track {
    Reorder reorder;
    uint64_t now = uint64_t{1} << 40;
    std::vector<uint64_t> left;
    std::map<uint64_t, uint64_t> waits;  // since when, by number

    explicit Track(uint64_t delay) : reorder(delay) {}
    void leave(const Reorder::Packet& packet) {
        const uint64_t number = *static_cast<uint64_t*>(packet.buffer);
        give_back(packet.buffer);
        REQUIRE(waits.contains(number));
        CHECK(now - waits[number] <= reorder.delay());
        waits.erase(number);
        left.push_back(number);
    }
    void release() {
        reorder.release(now, [&](const Reorder::Packet& p) { leave(p); });
    }
    Turn arrive(uint64_t number, uint32_t ssrc = 7, uint64_t life = 0) {
        const Turn turn = reorder.arrived(static_cast<uint16_t>(number), ssrc, life, now,
                                          [&](const Reorder::Packet& p) { leave(p); });
        if (turn == Turn::waits) {
            waits[number] = now;
            reorder.hold({new uint64_t(number), {}, 0, 0}, now, give_back);
        } else if (turn == Turn::now) {
            left.push_back(number);
            release();
        }
        CHECK(reorder.counters().held.read() == waits.size());
        return turn;
    }
};

}  // namespace

TEST_CASE("packets leave in order, none later than the delay, and late ones are those that nobody waited for",
          "[reorder]") {
    Random random{61};
    for (int round = 0; round < 200; round++) {
        const uint64_t delay = random.between<uint64_t>(2, 60) * kMs;
        const double loss = random.below(10) / 100.0, reorder = random.below(40) / 100.0,
                     twice = random.chance(0.5) ? 0.1 : 0;
        const uint64_t furthest = random.between<uint64_t>(1, 90) * kMs;
        Track track(delay);
        std::multimap<uint64_t, uint64_t> on_the_way;  // numbers by time of arrival
        std::set<uint64_t> came;
        std::vector<std::pair<uint64_t, uint64_t>> order;  // when which came
        size_t patient = 0;                                // of them, those that waited long enough
        const uint64_t first = random.between<uint64_t>(0x10000, 0x20000), end = first + 3000;
        uint64_t next = first, given_up_before = first, late = 0;
        while (next < end || !on_the_way.empty()) {
            track.now += kMs / 2;
            for (unsigned n = random.below(3); n > 0 && next < end; n--, next++) {
                if (next != first && random.chance(loss)) continue;
                const bool slow = next != first && random.chance(reorder);
                on_the_way.emplace(track.now + (slow ? random.below<uint64_t>(furthest) : 0), next);
                if (random.chance(twice)) on_the_way.emplace(track.now + random.below<uint64_t>(furthest), next);
            }
            // A worker that looks when it is time, and not before.
            if (track.reorder.due() <= track.now) {
                track.now = std::min(track.now, track.reorder.due());
                track.release();
            }
            while (!on_the_way.empty() && on_the_way.begin()->first <= track.now) {
                const uint64_t number = on_the_way.begin()->second;
                on_the_way.erase(on_the_way.begin());
                // The model: a number is given up once a later packet has waited for as long as it may.
                for (; patient < order.size() && track.now >= order[patient].first + delay; patient++)
                    given_up_before = std::max(given_up_before, order[patient].second);
                const bool known = came.contains(number);
                const Turn turn = track.arrive(number);
                if (known) {
                    // What lies further back than there are slots is late, whether it came or not.
                    const bool far = number + Reorder::slots_for(delay) <= *came.rbegin();
                    CHECK((turn == Turn::duplicate || (far && turn == Turn::late)));
                    if (turn == Turn::late) late++;
                } else if (number < given_up_before) {
                    CHECK(turn == Turn::late);
                    late++;
                } else {
                    CHECK((turn == Turn::now || turn == Turn::waits));
                    came.insert(number);
                    order.emplace_back(track.now, number);
                }
            }
        }
        INFO("round " << round << " delay " << delay / kMs << " ms, loss " << loss << ", reorder " << reorder << " by "
                      << furthest / kMs << " ms");
        while (track.reorder.due() != Reorder::kNever) {
            track.now = std::max(track.now, track.reorder.due());
            track.release();
        }
        CHECK(track.waits.empty());
        CHECK(std::ranges::is_sorted(track.left));
        CHECK(std::set(track.left.begin(), track.left.end()).size() == track.left.size());
        CHECK(track.left.size() == came.size());
        CHECK(track.reorder.counters().late.read() == late);
        CHECK(track.reorder.counters().cut_short.read() == 0);
        if (!track.left.empty())
            CHECK(track.reorder.counters().missing.read() == track.left.back() - first + 1 - track.left.size());
    }
}

TEST_CASE("there is room for so many and no more: then packets leave early, still in order", "[reorder]") {
    Random random{62};
    for (int round = 0; round < 100; round++) {
        Track track(kMs);  // the least room
        const uint64_t first = random.between<uint64_t>(0x10000, 0x20000);
        uint64_t number = first;
        track.arrive(number);
        for (int step = 0; step < 400; step++) {
            number += random.chance(0.8) ? 1 : random.between<uint64_t>(2, 200);
            track.arrive(number);
            CHECK(track.waits.size() <= Reorder::kLeast);
        }
        CHECK(track.reorder.counters().cut_short.read() > 0);
        track.now += kMs;
        track.release();
        CHECK(track.left.size() == 401);
        CHECK(std::ranges::is_sorted(track.left));
    }
}

TEST_CASE("a source that restarts: what waits of the former life leaves first, and no number is taken for one of it",
          "[reorder]") {
    Random random{63};
    for (int round = 0; round < 200; round++) {
        Track track(50 * kMs);
        uint64_t number = random.between<uint64_t>(0x10000, 0x20000);
        uint32_t ssrc = 7;
        for (int life = 0; life < 5; life++) {
            const uint64_t begin = number;
            CHECK(track.arrive(number++, ssrc) == Turn::now);  // a stray, until the next one comes
            CHECK(track.arrive(number++, ssrc) == Turn::now);
            const uint64_t gap = number++;
            for (int n = 0; n < 20; n++) CHECK(track.arrive(number++, ssrc) == Turn::waits);
            if (random.chance(0.5)) {
                CHECK(track.arrive(gap, ssrc) == Turn::now);
                CHECK(track.waits.empty());
                CHECK(track.left.back() == number - 1);
            }
            CHECK(track.arrive(begin + 1, ssrc) == Turn::duplicate);
            if (random.chance(0.5)) {
                number += 20'000;
            } else {  // another source, with numbers that came before
                ssrc++;
                number = begin + random.below(30);
            }
        }
    }
}

TEST_CASE("a source that begins anew, under whichever numbers, leaves behind what waits of before, at once",
          "[reorder]") {
    const uint32_t ssrc = GENERATE(7u, 8u);
    const uint64_t first = GENERATE(uint64_t{0x10000}, uint64_t{0x10000 + 950}, uint64_t{0x18000});
    Track track(50 * kMs);
    std::vector<uint64_t> expected;
    for (uint64_t n = 0x10000 + 500; n < 0x10000 + 1000; n++, track.now += kMs) {
        track.arrive(n, 7, 1);
        expected.push_back(n);
    }
    expected.insert(expected.end(), {0x10000 + 1001, 0x10000 + 1002});
    for (const uint64_t n : {1001u, 1002u}) CHECK(track.arrive(0x10000 + n, 7, 1) == Turn::waits);
    for (uint64_t n = first; n < first + 500; n++, track.now += kMs) {
        CHECK(track.arrive(n, ssrc, 2) == Turn::now);
        expected.push_back(n);
    }
    CHECK(track.left == expected);
    CHECK(track.reorder.counters().late.read() == 0);
}
