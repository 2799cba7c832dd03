// Two paths with loss, delay and duplicates of their own: what comes out is their union, in the order of first arrival.
#include "rtp/merge.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <set>

#include "support/random.hpp"

using namespace penstock::rtp;
using namespace penstock::test;

namespace {

struct Arrival {
    uint64_t when, number;
};

void travel(Random& random, std::vector<Arrival>& into, uint64_t from, size_t count) {
    const double loss = random.below<double>(50) / 100, duplication = random.chance(0.5) ? 0.1 : 0;
    const unsigned lag = random.below(3000), jitter = random.below(100);
    for (uint64_t number = from; number < from + count; number++) {
        const auto arrive = [&] { into.push_back({number + lag + random.below<uint64_t>(jitter + 1), number}); };
        if (!random.chance(loss)) arrive();
        if (random.chance(duplication)) arrive();
    }
}

}  // namespace

TEST_CASE("a merge is the union of both paths in the order of first arrival", "[merge]") {
    Random random;
    for (int run = 0; run < 30; run++) {
        std::vector<Arrival> arrivals;
        const uint64_t from = 0x10000 + random.below<uint64_t>(0x10000);
        travel(random, arrivals, from, 20'000);
        travel(random, arrivals, from, 20'000);
        std::ranges::stable_sort(arrivals, {}, &Arrival::when);
        Merge merge;
        std::set<uint64_t> seen;
        for (const Arrival& a : arrivals) {
            INFO("run " << run << " number " << a.number);
            REQUIRE(merge.first(static_cast<uint16_t>(a.number), 5) == seen.insert(a.number).second);
        }
    }
}
