// What is asked for again, against a model that remembers everything: a source, a way that loses, reorders and delays,
// and answers that may be lost too.
#include <catch2/catch.hpp>

#include <array>
#include <map>
#include <set>

#include "rtp/asking.hpp"
#include "rtp/rtcp/reporter.hpp"
#include "support/random.hpp"

using namespace penstock::rtp;
using namespace penstock::test;

namespace {

constexpr uint64_t kMs = (uint64_t{1} << 32) / 1000;

struct Course {
    double loss, answer_loss;
    uint64_t round_trip;
    AskingPlan plan;
};

}  // namespace

TEST_CASE("packets are asked for that are missing, in time, and no others", "[asking]") {
    Random random{52};
    for (int round = 0; round < 60; round++) {
        const Course course{
            .loss = random.below(20) / 100.0,
            .answer_loss = random.chance(0.5) ? 0 : random.below(50) / 100.0,
            .round_trip = random.between<uint64_t>(1, 40) * kMs,
            .plan = {random.below<uint64_t>(15) * kMs, random.between<uint64_t>(100, 400) * kMs, 100'000}};
        Asking asking(course.plan);
        std::multimap<uint64_t, uint64_t> on_the_way;  // packets by time of arrival
        std::set<uint64_t> came;
        std::map<uint64_t, uint64_t> missing;  // since when, by number
        uint64_t newest = 0, now = uint64_t{1} << 40, gave_up = 0, recovered = 0;
        std::map<uint64_t, uint64_t> asked;  // when last
        const uint64_t first = random.between<uint64_t>(0x10000, 0x1ffff);
        const uint64_t end = first + 4000;
        uint64_t next = first;
        while (next < end || !on_the_way.empty()) {
            now += kMs;
            for (int i = 0; i < 3 && next < end; i++, next++) {
                const bool lost = next != first && next + 1 != end && random.chance(course.loss);
                if (!lost) on_the_way.emplace(now + (random.chance(0.05) ? random.below<uint64_t>(8) * kMs : 0), next);
            }
            while (!on_the_way.empty() && on_the_way.begin()->first <= now) {
                const uint64_t number = on_the_way.begin()->second;
                on_the_way.erase(on_the_way.begin());
                if (!came.insert(number).second) continue;  // merged, as the track does it
                if (newest == 0) newest = number;
                if (const auto m = missing.find(number); m != missing.end()) {
                    if (asked.contains(number)) recovered++;
                    missing.erase(m);
                }
                for (; newest < number; newest++)
                    if (newest + 1 != number) missing.emplace(newest + 1, now);
                asking.arrived(static_cast<uint16_t>(number), 7, 0, now);
            }
            std::array<Asking::Due, 64> numbers;
            const size_t count = asking.has_due(now) ? asking.due(now, numbers) : 0;
            for (size_t i = 0; i < count; i++) {
                const auto sequence = numbers[i].sequence;
                const auto m = std::ranges::find_if(
                    missing, [&](const auto& x) { return static_cast<uint16_t>(x.first) == sequence; });
                REQUIRE(m != missing.end());
                CHECK(now - m->second >= course.plan.wait);
                CHECK(now - m->second < course.plan.deadline);
                if (const auto before = asked.find(m->first); before != asked.end())
                    CHECK(now - before->second >= 10 * kMs);
                asked[m->first] = now;
                if (!random.chance(course.answer_loss)) on_the_way.emplace(now + course.round_trip, m->first);
            }
            for (auto m = missing.begin(); m != missing.end();) {
                const bool late = now - m->second >= course.plan.deadline;
                gave_up += late ? 1 : 0;
                m = late ? missing.erase(m) : std::next(m);
            }
        }
        INFO("loss " << course.loss << " of answers " << course.answer_loss);
        CHECK(asking.counters().recovered.read() == recovered);
        for (const auto& [number, since] : missing) CHECK(asking.misses(static_cast<uint16_t>(number)));
        if (course.answer_loss == 0) CHECK(gave_up == 0);
        // What is measured: the round trip, and the ticks of this test; unless what was only reordered was asked for.
        if (recovered > 20 && course.answer_loss == 0 && course.plan.wait >= 8 * kMs) {
            CHECK(asking.counters().round_trip.read() >= course.round_trip);
            CHECK(asking.counters().round_trip.read() <= course.round_trip + 3 * kMs);
        }
    }
}

TEST_CASE("a source is asked for no more than the budget", "[asking]") {
    Random random{53};
    for (int round = 0; round < 50; round++) {
        const auto per_second = random.between<uint32_t>(4, 2000);
        Asking asking({0, 1000 * kMs, per_second});
        uint64_t now = uint64_t{1} << 40, total = 0, sequence = 0;
        const uint64_t begin = now;
        for (int step = 0; step < 3000; step++) {
            now += kMs;
            sequence += random.chance(0.5) ? 1 : random.between<uint64_t>(2, 30);
            asking.arrived(static_cast<uint16_t>(sequence), 7, 0, now);
            std::array<Asking::Due, 64> numbers;
            total += asking.due(now, numbers);
            const auto seconds = static_cast<double>(now - begin) / (1000.0 * kMs);
            REQUIRE(static_cast<double>(total) <= per_second * (seconds + 0.25) + 1);
        }
        CHECK(total >= per_second);  // and it is made use of
    }
}

TEST_CASE("receiver reports are those of RFC 3550 appendix A.3", "[rtcp]") {
    Random random{54};
    for (int round = 0; round < 100; round++) {
        Reception reception;
        Reporter reporter;
        uint64_t now = uint64_t{1} << 40;
        uint32_t number = random.below<uint32_t>(0x10000);
        const uint32_t base = number;
        uint64_t received = 0, expected_before = 0, received_before = 0;
        for (int step = 0; step < 500; step++) {
            now += kMs;
            if (step != 0) number += random.chance(0.9) ? 1 : random.between<uint32_t>(2, 40);
            for (unsigned copies = random.chance(0.05) ? 2 : 1; copies > 0; copies--, received++)
                reception.receive(static_cast<uint16_t>(number), 0, 7, 100, now, 0, 90000);
            if (step % 50 != 49) continue;
            const uint64_t ntp = random.word() | uint64_t{1} << 20;
            reporter.heard(ntp, now - 5 * kMs);
            const ReportBlock block = reporter.block(reception, now);
            // The appendix, word for word.
            const uint64_t expected = number - base + 1;
            const auto lost = static_cast<int32_t>(expected - received);
            const uint64_t expected_interval = expected - expected_before,
                           received_interval = received - received_before;
            expected_before = expected;
            received_before = received;
            const auto lost_interval = static_cast<int64_t>(expected_interval - received_interval);
            const auto fraction =
                lost_interval <= 0
                    ? 0
                    : static_cast<uint8_t>((lost_interval << 8) / static_cast<int64_t>(expected_interval));
            CHECK(block.ssrc == 7);
            CHECK(block.lost == lost);
            CHECK(int{block.fraction_lost} == fraction);
            CHECK(block.highest == number);
            CHECK(block.last_report == middle_of(ntp));
            CHECK(block.since_report == (5 * kMs) >> 16);
            // And a receiver that answers so 20 ms later is 20 ms away.
            CHECK(reporter.round_trip({.last_report = block.last_report, .since_report = block.since_report},
                                      now + 20 * kMs) == 20 * kMs + (5 * kMs - (((5 * kMs) >> 16) << 16)));
        }
    }
}

TEST_CASE("intervals are those of RFC 3550 section 6.3.1, with the reduced minimum", "[rtcp]") {
    Random random{55};
    for (int round = 0; round < 1000; round++) {
        RtcpSession s;
        s.members = random.between(2, 5000);
        s.senders = random.between(1, s.members);
        s.bandwidth = random.chance(0.1) ? 0 : random.between(8'000, 50'000'000);
        s.packet_size = random.between(60, 500);
        s.first = random.chance(0.5);
        const double t = interval(s);
        CHECK(t >= (s.bandwidth > 0 ? std::min(5.0, 360e3 / s.bandwidth) : 5.0) * (s.first ? 0.5 : 1));
        // All receivers together take no more than their part of 5 percent.
        const bool split = s.senders <= s.members / 4;
        const double share = split ? 0.75 : 1, n = split ? s.members - s.senders : s.members;
        if (s.bandwidth > 0) CHECK(n * s.packet_size * 8 / t <= s.bandwidth * 0.05 * share * 1.0001);
        const double r = randomized(t, static_cast<uint32_t>(random.word()));
        CHECK(r >= t * 0.5 / 1.2183);
        CHECK(r <= t * 1.5 / 1.2182);
    }
}

TEST_CASE("what FEC made after it was asked for was not brought by asking", "[asking]") {
    Asking asking({.wait = 0, .deadline = 100 * kMs, .per_second = 1000});
    std::array<Asking::Due, 4> due;
    uint64_t now = uint64_t{1} << 40;
    asking.arrived(1, 7, 0, now);
    asking.arrived(4, 7, 0, now);  // 2 and 3 are missing
    REQUIRE(asking.due(now, due) == 2);
    now += 10 * kMs;
    asking.mended(2);
    asking.arrived(2, 7, 0, now);
    CHECK_FALSE(asking.misses(2));
    CHECK(asking.counters().recovered.read() == 0);
    CHECK(asking.counters().round_trip.read() == 0);
    asking.arrived(3, 7, 0, now);
    CHECK(asking.counters().recovered.read() == 1);
    now += 1000 * kMs;
    CHECK(asking.due(now, due) == 0);
}

TEST_CASE("a source that begins anew below its former numbers is asked for what it misses", "[asking]") {
    const uint32_t ssrc = GENERATE(7u, 8u);
    Asking asking({.wait = 0, .deadline = 100 * kMs, .per_second = 1000});
    std::array<Asking::Due, 4> due;
    uint64_t now = uint64_t{1} << 40;
    for (uint16_t n = 5000; n < 6000; n++) asking.arrived(n, 7, 1, now);
    asking.arrived(6001, 7, 1, now);  // 6000 is given up then
    for (uint16_t n = 3000; n < 3010; n++) asking.arrived(n, ssrc, 2, now);
    CHECK_FALSE(asking.misses(6000));
    asking.arrived(3011, ssrc, 2, now);
    REQUIRE(asking.due(now, due) == 1);
    CHECK(due[0].sequence == 3010);
}
