#pragma once
// How long packets stay in a worker, from the rx burst that brought them to the end of the turn that sent them: a
// histogram whose buckets are the quarters of octaves from 1 us, so that a percentile is known to within a quarter of
// itself. Written by one worker, read by control.
//
// Of a track one packet in some sixteen bursts is counted, and there may be very many tracks: 32 bits do, which last
// weeks at a million packets a second. Then it begins anew, as counters do after a restart.
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "base/counter.hpp"

namespace penstock::flow {

template <class Number>
class BasicLatencyHistogram {
public:
    static constexpr size_t kOctaves = 14, kParts = 4;  // 1 us to 16.384 ms
    static constexpr size_t kBuckets = 1 + kOctaves * kParts + 1;
    static constexpr size_t kBeyond = kBuckets - 1;
    using Counts = std::array<uint64_t, kBuckets>;

    // In the workers' clock: seconds as 32.32 fixed point.
    void add(uint64_t duration, Number packets = 1) noexcept {
        BasicCounter<Number>& count = counts_[bucket_of(duration)];
        if (count.read() > std::numeric_limits<Number>::max() - packets) [[unlikely]]
            begin_anew();
        count.add(packets);
        sum_.add(duration * packets);
        if (duration > max_.read()) [[unlikely]]
            max_.set(duration);
    }

    Counts counts() const noexcept {
        Counts all;
        for (size_t b = 0; b < kBuckets; b++) all[b] = counts_[b].read();
        return all;
    }
    double sum_seconds() const noexcept { return seconds(sum_.read()); }
    double max_seconds() const noexcept { return seconds(max_.read()); }  // since the start

    static size_t bucket_of(uint64_t duration) noexcept {
        const uint64_t quarters = std::min(duration, kLongest) * 4'000'000 >> 32;  // of a microsecond
        if (quarters < kParts) return 0;
        const auto octave = static_cast<size_t>(std::bit_width(quarters)) - 3;
        return octave < kOctaves ? 1 + octave * kParts + (quarters >> octave) - kParts : kBeyond;
    }
    // Upper end of a bucket in seconds. The last has none: it says where it begins.
    static double bound(size_t bucket) noexcept {
        if (bucket == 0) return 1e-6;
        if (bucket >= kBeyond) return bound(kBeyond - 1);
        const auto octave = static_cast<double>(uint64_t{1} << (bucket - 1) / kParts);
        return octave * static_cast<double>(kParts + (bucket - 1) % kParts + 1) / kParts * 1e-6;
    }

private:
    static constexpr uint64_t kLongest = uint64_t{1} << 41;  // so that the product above fits
    static double seconds(uint64_t duration) noexcept { return static_cast<double>(duration) / 4294967296.0; }
    void begin_anew() noexcept {
        for (auto& count : counts_) count.set(0);
        sum_.set(0);
    }

    std::array<BasicCounter<Number>, kBuckets> counts_;
    Counter sum_;
    Counter max_;
};

using LatencyHistogram = BasicLatencyHistogram<uint64_t>;  // of a worker: all packets
using SampledLatency = BasicLatencyHistogram<uint32_t>;    // of a track

// A histogram as it was at one moment, for those who only read.
struct Latency {
    LatencyHistogram::Counts counts{};
    double sum = 0;  // seconds
    double max = 0;  // seconds

    template <class Number>
    static Latency of(const BasicLatencyHistogram<Number>& h) noexcept {
        return {h.counts(), h.sum_seconds(), h.max_seconds()};
    }
    uint64_t packets() const noexcept {
        uint64_t total = 0;
        for (const uint64_t n : counts) total += n;
        return total;
    }
    // Packets that stayed less than 1 us times 2 to the `octaves`.
    uint64_t below(size_t octaves) const noexcept {
        uint64_t total = 0;
        for (size_t b = 0; b <= octaves * LatencyHistogram::kParts && b < counts.size(); b++) total += counts[b];
        return total;
    }
    // The upper bound, in seconds, below which `share` (0.99) of the packets stayed: never more than the maximum.
    double percentile(double share) const noexcept {
        const uint64_t total = packets();
        uint64_t below = 0;
        for (size_t b = 0; b < LatencyHistogram::kBeyond; b++) {
            below += counts[b];
            if (total != 0 && static_cast<double>(below) >= share * static_cast<double>(total))
                return std::min(LatencyHistogram::bound(b), max);
        }
        return max;
    }
};

}  // namespace penstock::flow
