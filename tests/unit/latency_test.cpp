#include "flow/latency.hpp"

#include <catch2/catch.hpp>

using namespace penstock::flow;

namespace {

uint64_t us(double microseconds) { return static_cast<uint64_t>(microseconds * 4294.967296); }

}  // namespace

TEST_CASE("a duration falls into the bucket whose bounds enclose it", "[latency]") {
    for (double d = 0.9; d < 16'000; d *= 1.07) {
        const size_t bucket = LatencyHistogram::bucket_of(us(d));
        INFO(d << " us in bucket " << bucket);
        CHECK(d * 1e-6 <= LatencyHistogram::bound(bucket) * (1 + 1e-9));
        if (bucket != 0) CHECK(d * 1e-6 >= LatencyHistogram::bound(bucket - 1) * (1 - 1e-3));
    }
    CHECK(LatencyHistogram::bucket_of(0) == 0);
    CHECK(LatencyHistogram::bucket_of(us(16'383)) == LatencyHistogram::kBeyond - 1);
    CHECK(LatencyHistogram::bucket_of(us(16'385)) == LatencyHistogram::kBeyond);
    CHECK(LatencyHistogram::bucket_of(~uint64_t{0}) == LatencyHistogram::kBeyond);
}

TEST_CASE("bounds grow by a quarter of an octave, and whole octaves are among them", "[latency]") {
    CHECK(LatencyHistogram::bound(0) == 1e-6);
    CHECK(LatencyHistogram::bound(1) == Approx(1.25e-6));
    for (size_t b = 1; b < LatencyHistogram::kBeyond; b++) {
        const double step = LatencyHistogram::bound(b) / LatencyHistogram::bound(b - 1);
        CHECK((step > 1.1 && step < 1.26));
    }
    for (size_t o = 0; o <= LatencyHistogram::kOctaves; o++)
        CHECK(LatencyHistogram::bound(o * LatencyHistogram::kParts) == Approx(static_cast<double>(1u << o) * 1e-6));
}

TEST_CASE("percentiles are within a quarter, and never more than the maximum", "[latency]") {
    LatencyHistogram h;
    for (int d = 1; d <= 1000; d++) h.add(us(d + 0.5));  // evenly from 1.5 to 1000.5 us
    const auto seen = Latency::of(h);
    CHECK(seen.packets() == 1000);
    CHECK(seen.max == Approx(1000.5e-6).epsilon(1e-4));
    CHECK(seen.sum == Approx(1000 * 501e-6).epsilon(1e-3));
    for (const double share : {0.5, 0.9, 0.99}) {
        const double really = share * 1000e-6;
        CHECK(seen.percentile(share) >= really);
        CHECK(seen.percentile(share) <= really * 1.26);
    }
    CHECK(seen.percentile(0.999) == Approx(1000.5e-6).epsilon(1e-4));  // the bucket ends beyond the maximum
    CHECK(seen.percentile(1) == seen.max);
    CHECK(Latency{}.percentile(0.99) == 0);
}

TEST_CASE("a count of 32 bits that is full begins anew, with all others", "[latency]") {
    SampledLatency h;
    h.add(us(5), 7);
    h.add(us(100), 0xffff'fffe);
    h.add(us(100));
    CHECK(Latency::of(h).packets() == 7 + uint64_t{0xffff'ffff});
    h.add(us(100));
    const auto seen = Latency::of(h);
    CHECK(seen.packets() == 1);
    CHECK(seen.sum == Approx(100e-6).epsilon(1e-4));
    CHECK(seen.max == Approx(100e-6).epsilon(1e-4));
}

TEST_CASE("what is beyond the last bound is told by the maximum", "[latency]") {
    LatencyHistogram h;
    h.add(us(1), 3);
    h.add(us(2'000'000));
    const auto seen = Latency::of(h);
    CHECK(seen.packets() == 4);
    CHECK(seen.below(0) + seen.below(1) >= 3);
    CHECK(seen.below(LatencyHistogram::kOctaves) == 3);
    CHECK(seen.percentile(0.99) == Approx(2.0));
    h.add(us(5));
    CHECK(h.max_seconds() == Approx(2.0));
}
