#pragma once
// How long packets stay in a worker, from the rx burst that brought them to the end of the turn that sent them: a
// histogram whose buckets double from 1 us. Written by one worker, read by control.
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/counter.hpp"

namespace penstock::flow {

class LatencyHistogram {
public:
    static constexpr size_t kBuckets = 16;  // up to 1 us, 2 us, ... 16.384 ms, and beyond

    // In the workers' clock: seconds as 32.32 fixed point; 4295 of its units are a microsecond.
    void add(uint64_t duration, uint64_t packets) noexcept {
        const auto microseconds = duration / kPerMicrosecond;
        const auto bucket = static_cast<size_t>(std::bit_width(microseconds));  // 0: below 1 us, 1: below 2 us, ...
        counts_[bucket < kBuckets ? bucket : kBuckets - 1].add(packets);
        sum_.add(duration * packets);
    }

    uint64_t count(size_t bucket) const noexcept { return counts_[bucket].read(); }
    double sum_seconds() const noexcept { return static_cast<double>(sum_.read()) / kPerSecond; }
    // Upper end of a bucket in seconds; the last has none.
    static double bound(size_t bucket) noexcept { return static_cast<double>(uint64_t{1} << bucket) * 1e-6; }

private:
    static constexpr double kPerSecond = 4294967296.0;
    static constexpr uint64_t kPerMicrosecond = 4295;

    std::array<Counter, kBuckets> counts_;
    Counter sum_;
};

// The upper bound, in seconds, below which `share` (0.99) of the packets stayed; the largest bound when they did not.
inline double percentile(const std::array<uint64_t, LatencyHistogram::kBuckets>& counts, double share) noexcept {
    uint64_t total = 0;
    for (const uint64_t n : counts) total += n;
    uint64_t below = 0;
    for (size_t b = 0; b < counts.size(); b++) {
        below += counts[b];
        if (total != 0 && static_cast<double>(below) >= share * static_cast<double>(total))
            return LatencyHistogram::bound(b);
    }
    return 0;
}

}  // namespace penstock::flow
