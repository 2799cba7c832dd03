// Two paths with loss, delay and duplicates of their own: what comes out is their union, in the order of first arrival.
#include "rtp/merge.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <set>

#include "support/random.hpp"

using namespace penstock::rtp;
using namespace penstock::test;

namespace {

constexpr uint64_t kSecond = uint64_t{1} << 32, kPacket = kSecond / 10'000;

struct OnTheWay {
    uint64_t when, number;
    unsigned path;
};

void travel(Random& random, std::vector<OnTheWay>& into, unsigned path, uint64_t from, size_t count) {
    const double loss = random.below<double>(50) / 100, duplication = random.chance(0.5) ? 0.1 : 0;
    const unsigned lag = random.below(3000), jitter = random.below(100);
    for (uint64_t number = from; number < from + count; number++) {
        const auto arrive = [&] { into.push_back({number + lag + random.below<uint64_t>(jitter + 1), number, path}); };
        if (!random.chance(loss)) arrive();
        if (random.chance(duplication)) arrive();
    }
}

}  // namespace

TEST_CASE("a merge is the union of both paths in the order of first arrival", "[merge]") {
    Random random;
    for (int run = 0; run < 30; run++) {
        std::vector<OnTheWay> arrivals;
        const uint64_t from = 0x10000 + random.below<uint64_t>(0x10000);
        travel(random, arrivals, 0, from, 20'000);
        travel(random, arrivals, 1, from, 20'000);
        std::ranges::stable_sort(arrivals, {}, &OnTheWay::when);
        Merge merge;
        Arrivals counted[2];
        std::set<uint64_t> seen;
        for (const OnTheWay& a : arrivals) {
            INFO("run " << run << " number " << a.number);
            const bool first =
                merge.take(a.path, counted[a.path], static_cast<uint16_t>(a.number),
                           static_cast<uint32_t>(a.number * 3000), 5, kSecond + a.when * kPacket) == Arrival::first;
            REQUIRE(first == seen.insert(a.number).second);
        }
        REQUIRE(merge.counters().lives.read() == 1);
        REQUIRE(counted[0].late.read() + counted[1].late.read() == 0);
        REQUIRE(counted[0].first.read() + counted[1].first.read() == seen.size());
    }
}

// The model knows of every number when it was used or, before that, passed by a higher one.
TEST_CASE("of each number the first copy is used, unless the skew is over", "[merge]") {
    Random random(1);
    for (int run = 0; run < 30; run++) {
        std::vector<OnTheWay> arrivals;
        const uint64_t from = 0x10000 + random.below<uint64_t>(0x10000), skew = random.between<uint64_t>(100, 2000);
        travel(random, arrivals, 0, from, 20'000);
        travel(random, arrivals, 1, from, 20'000);
        std::ranges::stable_sort(arrivals, {}, &OnTheWay::when);
        Merge merge(skew * kPacket);
        Arrivals counted[2];
        std::map<uint64_t, uint64_t> since;  // of numbers up to the highest, which began with `from`
        std::set<uint64_t> used;
        uint64_t highest = 0, packets = 0;
        for (const OnTheWay& a : arrivals) {
            if (highest == 0) highest = a.number - 1;
            for (; highest < a.number; highest++) since[highest + 1] = a.when;
            const uint64_t age = a.when - since.try_emplace(a.number, arrivals.front().when).first->second;
            const auto margin = age > skew ? age - skew : skew - age;
            if (margin < 2) {  // as near as the clock can tell: what became of it may be either
                if (merge.take(a.path, counted[a.path], static_cast<uint16_t>(a.number),
                               static_cast<uint32_t>(a.number * 3000), 5, kSecond + a.when * kPacket) == Arrival::first)
                    used.insert(a.number), since[a.number] = a.when;
                packets++;
                continue;
            }
            const Arrival expected = age > skew                ? Arrival::late
                                     : used.contains(a.number) ? Arrival::second
                                                               : Arrival::first;
            INFO("run " << run << " number " << a.number << " age " << age << " skew " << skew);
            REQUIRE(merge.take(a.path, counted[a.path], static_cast<uint16_t>(a.number),
                               static_cast<uint32_t>(a.number * 3000), 5, kSecond + a.when * kPacket) == expected);
            if (expected == Arrival::first) used.insert(a.number), since[a.number] = a.when;
            packets++;
        }
        uint64_t sum = 0;
        for (const Arrivals& c : counted) sum += c.first.read() + c.second.read() + c.late.read() + c.apart.read();
        REQUIRE(sum == packets);
    }
}

// Whatever one path does, every packet that the other brings is used, by one copy or the other.
TEST_CASE("no packet of a sound path is lost to what the other one does", "[merge]") {
    Random random(2);
    for (int run = 0; run < 30; run++) {
        Merge merge;
        Arrivals counted[2];
        std::set<uint64_t> used;
        uint64_t number = 0x10000 + random.below<uint64_t>(0x10000), now = kSecond;
        const unsigned sound = random.below(2);
        uint32_t shift = 0, ssrc = 5, lag = 0;
        bool silent = false;
        const uint64_t first = number;
        for (int i = 0; i < 20'000; i++, number++, now += kPacket) {
            if (random.chance(0.001)) {  // the other path is cut, comes back, is sent anew, or takes another way
                silent = random.chance(0.3);
                shift = random.chance(0.5) ? 0 : random.between<uint32_t>(10'000, 55'000);
                ssrc = random.chance(0.7) ? 5 : random.below<uint32_t>(1000);
                lag = random.below(3000);
            }
            const auto by = [&](unsigned path, uint64_t n, uint32_t timestamp, uint32_t of) {
                const bool used_now =
                    merge.take(path, counted[path], static_cast<uint16_t>(n), timestamp, of, now) == Arrival::first;
                if (used_now) REQUIRE(used.insert(n).second);
            };
            const uint64_t theirs = number - lag;
            const auto other = [&] {
                // Sent anew, it is of another time, too.
                const auto timestamp = static_cast<uint32_t>(theirs * 3000 + (shift != 0 || ssrc != 5 ? 77 : 0));
                if (!silent && theirs >= first && !random.chance(0.1)) by(sound ^ 1, theirs + shift, timestamp, ssrc);
            };
            const bool before = i > 0 && random.chance(0.5);
            if (before) other();
            by(sound, number, static_cast<uint32_t>(number * 3000), 5);
            REQUIRE(used.contains(number));
            if (!before) other();
        }
        REQUIRE(merge.counters().lives.read() == 1);
    }
}
