#include "rtp/merge.hpp"

#include <catch2/catch.hpp>

#include <map>

using namespace penstock::rtp;

namespace {

constexpr uint64_t kMs = (uint64_t{1} << 32) / 1000;

// Packets of two paths; unless told, a millisecond apart, and with a timestamp that goes with the number.
struct Paths {
    explicit Paths(uint64_t skew_ms = 450) : merge(skew_ms * kMs) {}

    Arrival take(unsigned path, uint32_t number, uint32_t ssrc = 1, uint32_t shift = 0) {
        return merge.take(path, arrivals[path], static_cast<uint16_t>(number), (number + shift) * 3000, ssrc, now);
    }
    // Both bring the same, the second `lag` packets behind the first; how many were used.
    unsigned run(uint32_t from, uint32_t count, uint32_t lag = 0, uint32_t ssrc = 1) {
        unsigned used = 0;
        for (uint32_t i = 0; i < count + lag; i++, now += kMs) {
            if (i < count) used += take(0, from + i, ssrc) == Arrival::first;
            if (i >= lag) used += take(1, from + i - lag, ssrc) == Arrival::first;
        }
        return used;
    }
    unsigned run_alone(unsigned path, uint32_t from, uint32_t count, uint32_t ssrc = 1) {
        unsigned used = 0;
        for (uint32_t i = 0; i < count; i++, now += kMs) used += take(path, from + i, ssrc) == Arrival::first;
        return used;
    }
    double skew() const { return merge.counters().behind(1); }

    Merge merge;
    Arrivals arrivals[2];
    uint64_t now = 1000 * kMs;
};

}  // namespace

TEST_CASE("the first copy is used, the second is not", "[merge]") {
    Paths p;
    CHECK(p.run(65530, 100) == 100);
    CHECK(p.arrivals[0].first.read() == 100);
    CHECK(p.arrivals[1].second.read() == 100);
    CHECK(p.merge.counters().lives.read() == 1);
}

TEST_CASE("a hole is filled by the lagging path as long as the skew allows", "[merge]") {
    const auto lag = GENERATE(1u, 49u, 52u, 200u);
    Paths p(50);
    for (uint32_t i = 0; i < 500; i++, p.now += kMs) {
        if (i % 10 != 3) p.take(0, i);
        if (i < lag) continue;
        const Arrival expected = lag > 50 ? Arrival::late : (i - lag) % 10 == 3 ? Arrival::first : Arrival::second;
        REQUIRE(p.take(1, i - lag) == expected);
    }
    CHECK((p.arrivals[1].late.read() > 0) == (lag > 50));
    CHECK(p.merge.counters().unrecovered.read() == (lag > 50 ? 45u : 0u));
}

TEST_CASE("packets that came by one path alone, and by none, are counted when their time is over", "[merge]") {
    Paths p(10);
    for (uint32_t i = 0; i < 1020; i++, p.now += kMs) {
        if (i < 1000 && i % 10 == 5) continue;
        if (i >= 1000 || i % 10 != 3) p.take(0, i);
        if (i >= 1000 || i % 10 != 7) p.take(1, i);
    }
    CHECK(p.merge.counters().by_path.read() == 200);
    CHECK(p.merge.counters().unrecovered.read() == 100);
}

TEST_CASE("what FEC may still bring is not given up, and what waits for it when the source restarts is", "[merge]") {
    Paths p;
    p.merge.set_time(10 * kMs, 300);
    const auto unrecovered = [&] { return p.merge.counters().unrecovered.read(); };
    for (uint32_t i = 0; i < 1000; i++, p.now += kMs) {
        if (i % 100 == 50) continue;
        p.take(0, i);
        if (i % 100 == 99 && i >= 299) CHECK(p.merge.recovered(static_cast<uint16_t>(i - 249), (i - 249) * 3000));
    }
    CHECK(unrecovered() == 0);
    p.run_alone(0, 30'000, 10, 2);
    CHECK(unrecovered() == 2);  // 850 and 950
    CHECK(p.merge.counters().by_path.read() == 0);
}

TEST_CASE("the skew between the paths has a sign, and each path the most that it lagged", "[merge]") {
    Paths p;
    SECTION("the second path lags") {
        p.run(1, 200, 20);
        CHECK(p.skew() == Approx(0.020).margin(0.001));
        CHECK(p.arrivals[1].most_behind() == Approx(0.020).margin(0.0001));
        CHECK(p.arrivals[0].lag_most.read() == 0);
    }
    SECTION("the first path lags") {
        for (uint32_t i = 1; i < 200; i++, p.now += kMs) {
            p.take(1, i);
            if (i > 7) p.take(0, i - 7);
        }
        CHECK(p.skew() == Approx(-0.007).margin(0.001));
        CHECK(p.arrivals[1].lag_most.read() == 0);
    }
}

TEST_CASE("a single stray packet moves nothing", "[merge]") {
    Paths p;
    p.run_alone(0, 1, 10);
    CHECK(p.take(0, 30000) == Arrival::apart);
    CHECK(p.take(0, 11) == Arrival::first);
    CHECK(p.take(0, 9) == Arrival::second);
}

TEST_CASE("where there is one path, a restarted source is followed from its second packet on", "[merge]") {
    Paths p;
    p.run_alone(0, 1, 10);
    CHECK(p.run_alone(0, 30000, 10) == 9);
    CHECK(p.run_alone(0, 5, 10, 2) == 10);  // and one with another SSRC from its first
    CHECK(p.merge.counters().lives.read() == 3);
}

TEST_CASE("when the source changes its SSRC, nothing is lost and nothing comes back", "[merge]") {
    const uint32_t lag = GENERATE(0u, 1u, 10u, 100u);
    const bool jump = GENERATE(true, false);  // of the sequence, too
    Paths p;
    unsigned used = 0;
    const auto number = [&](uint32_t i) { return i < 500 || !jump ? i : i + 20000; };
    for (uint32_t i = 0; i < 1000 + lag; i++, p.now += kMs) {
        if (i < 1000) used += p.take(0, number(i), i < 500 ? 1 : 2) == Arrival::first;
        if (i >= lag) used += p.take(1, number(i - lag), i - lag < 500 ? 1 : 2) == Arrival::first;
    }
    CHECK(used == 1000);
    CHECK(p.merge.counters().lives.read() == 2);
}

TEST_CASE("a source that restarts under the same SSRC loses at most the packet that is not believed", "[merge]") {
    const uint32_t lag = GENERATE(0u, 10u);
    Paths p;
    CHECK(p.run(1, 500, lag) == 500);
    CHECK(p.run(30000, 500, lag) >= 499);
}

TEST_CASE("a source that begins anew with its former numbers and times is not taken for its own copies", "[merge]") {
    const uint32_t ssrc = GENERATE(1u, 2u);
    Paths p;
    CHECK(p.run(1000, 3000, 20) == 3000);
    SECTION("at once") {
        // Of the same SSRC the first is taken for a stray; what differs from copies by the SSRC alone needs both paths.
        CHECK(p.run(1000, 3000, 20, ssrc) >= 2979);
        CHECK(p.merge.counters().lives.read() == 2);
    }
    SECTION("by one path, while the other is silent") {
        p.now += 1100 * kMs;
        CHECK(p.run_alone(0, 1000, 3000, ssrc) >= 2999);
    }
    // Copies come and go as before.
    CHECK(p.run(4000, 500, 20, ssrc) == 500);
}

TEST_CASE("a source that begins anew below where it ever was is followed from its second packet on", "[merge]") {
    Paths p;
    CHECK(p.run(30'000, 1500) == 1500);
    for (uint32_t i = 0; i < 2; i++) p.now += 500 * kMs;
    unsigned used = 0;
    for (uint32_t i = 29'000; i < 30'500; i++, p.now += kMs) {
        used += p.take(0, i, 1, 7) == Arrival::first;
        p.take(1, i, 1, 7);
    }
    CHECK(used >= 1498);
    CHECK(p.merge.counters().lives.read() == 2);
}

TEST_CASE("what comes a second after its copy moves nothing while the other path goes on", "[merge]") {
    Paths p;
    for (uint32_t i = 0; i < 4000; i++, p.now += kMs) {
        REQUIRE(p.take(0, i) == Arrival::first);
        if (i >= 1500) REQUIRE(p.take(1, i - 1500) == Arrival::late);
    }
    SECTION("nor when the other path goes silent: it is used from where that ended") {
        unsigned used = 0;
        for (uint32_t i = 2500; i < 4500; i++, p.now += kMs) used += p.take(1, i) == Arrival::first;
        CHECK(used == 500);
    }
    CHECK(p.merge.counters().lives.read() == 1);
}

TEST_CASE("what comes late of the source that was left does not bring it back, unless it goes on", "[merge]") {
    Paths p;
    CHECK(p.run(1, 500) == 500);
    p.now += 1100 * kMs;  // from now on there is the second path alone
    CHECK(p.run_alone(1, 501, 50) == 50);
    CHECK(p.run_alone(1, 30'000, 20, 2) == 20);
    const auto late = [&](uint32_t number) { CHECK(p.take(1, number) == Arrival::apart); };
    late(545);
    CHECK(p.run_alone(1, 30'020, 5, 2) == 5);
    late(547);
    late(549);
    late(548);
    CHECK(p.run_alone(1, 30'025, 100, 2) == 100);
    CHECK(p.merge.counters().lives.read() == 2);
    SECTION("it does go on") { CHECK(p.run_alone(1, 551, 100) == 99); }
    SECTION("it comes back later") {
        CHECK(p.run_alone(1, 30'125, 1000, 2) == 1000);
        CHECK(p.run_alone(1, 551, 100) == 100);
    }
}

TEST_CASE("a path that is sent anew by another source does not disturb the other", "[merge]") {
    Paths p;
    CHECK(p.run(1, 1000) == 1000);
    // The second path goes on with another SSRC, or another sequence, or both, ahead of the first or behind it.
    const uint32_t ssrc = GENERATE(1u, 2u);
    const uint32_t shift = GENERATE(20000u, 40000u, 65000u);
    unsigned used = 0, of_second = 0;
    for (uint32_t i = 1001; i < 5900; i++, p.now += kMs) {
        used += p.take(0, i) == Arrival::first;
        of_second += p.take(1, i + shift, ssrc, 0) == Arrival::first;
    }
    CHECK(used == 4899);
    CHECK(of_second == 0);
    CHECK(p.arrivals[1].apart.read() + p.arrivals[1].late.read() == 4899);
    SECTION("it is followed when the first is silent") {
        p.now += 251 * kMs;
        CHECK(p.run_alone(1, 25000, 100, ssrc) >= 99);
    }
    SECTION("it comes back") { CHECK(p.run(5900, 100) == 100); }
    SECTION("the first goes there, too") {
        used = 0;
        for (uint32_t i = 5900; i < 6000; i++, p.now += kMs) {
            used += p.take(1, i + shift, ssrc) == Arrival::first;
            used += p.take(0, i + shift, ssrc) == Arrival::first;
        }
        CHECK(used == 100);
    }
}

TEST_CASE("a path that lags by more than is remembered is late, and does not pull the track back", "[merge]") {
    Paths p;
    const uint32_t lag = GENERATE(uint32_t{Merge::kWindow}, 20'000u, 30'000u);
    p.run_alone(0, 0, lag);
    unsigned used = 0;
    for (uint32_t i = lag; i < lag + 1000; i++, p.now += kMs) {
        used += p.take(0, i) == Arrival::first;
        CHECK(p.take(1, i - lag) == Arrival::late);
    }
    CHECK(used == 1000);
    CHECK(p.merge.counters().lives.read() == 1);
}

TEST_CASE("paths with SSRCs of their own are copies by number and time", "[merge]") {
    Paths p;
    const bool second_leads = GENERATE(false, true);
    unsigned used = 0;
    for (uint32_t i = 0; i < 1000; i++, p.now += kMs) {
        const auto first = [&] { used += i % 10 != 3 && p.take(0, i, 10) == Arrival::first; };
        const auto second = [&] { used += i % 10 != 7 && p.take(1, i, 20) == Arrival::first; };
        if (second_leads) {  // from when it begins, later
            if (i >= 10) second();
            first();
        } else {
            first();
            second();
        }
    }
    CHECK(used == (second_leads ? 999 : 1000));  // the one that was lost before the second path began
    CHECK(p.merge.ssrc() == 10);
    CHECK(p.merge.counters().lives.read() == 1);
    // The source restarts: both paths choose SSRCs anew.
    used = 0;
    for (uint32_t i = 30000; i < 30100; i++, p.now += kMs) {
        used += p.take(0, i, 11) == Arrival::first;
        used += p.take(1, i, 21) == Arrival::first;
    }
    CHECK(used == 100);
    CHECK(p.merge.counters().lives.read() == 2);
    CHECK(p.arrivals[1].apart.read() <= 1);
}

TEST_CASE("what FEC made good is not used once more", "[merge]") {
    Paths p;
    p.take(0, 1);
    p.take(0, 3);
    CHECK(p.merge.recovered(2, 6000));
    CHECK_FALSE(p.merge.recovered(2, 6000));
    CHECK_FALSE(p.merge.recovered(3, 9000));
    CHECK(p.take(1, 2) == Arrival::second);
}
