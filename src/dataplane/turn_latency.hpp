#pragma once
// What a worker notes of the time that packets stay in it: of all that a turn forwarded in its own histogram, and of
// one packet in every sixteen bursts or so in the histogram of its track (each touches cold memory). tests/bench has a
// twin of this file that does nothing, so that the cost can be told.
#include <rte_prefetch.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "flow/flow.hpp"
#include "flow/latency.hpp"

namespace penstock::dataplane {

class TurnLatency {
public:
    void begin() noexcept { began_ = false; }
    // Which packet of the burst stands for its track; none: past the end. By chance, so that no rhythm of the senders
    // hides one.
    size_t burst(size_t size, uint64_t now) noexcept {
        if (!began_) began_ = true, first_ = now;
        if (--until_sample_ != 0) [[likely]]
            return size;
        chance_ = chance_ * 1664525 + 1013904223;
        until_sample_ = 1 + (chance_ >> 27);
        picked_at_ = now;
        return ((chance_ >> 16 & 0x7ff) * size) >> 11;
    }
    void fetch(std::span<const flow::Flow* const> flows, size_t place) noexcept {
        if (place < flows.size() && flows[place] != nullptr) rte_prefetch0(&flows[place]->latency);
    }
    void sample(const flow::Flow& flow) noexcept { sampled_ = &flow, sampled_at_ = picked_at_; }
    template <class ClockNow>
    void end(uint64_t forwarded, ClockNow clock_now) noexcept {
        if (forwarded == 0) return;
        const uint64_t now = clock_now();
        all_.add(now - first_, forwarded);
        if (sampled_ == nullptr) [[likely]]
            return;
        if (sampled_->latency != nullptr) sampled_->latency->add(now - sampled_at_);
        sampled_ = nullptr;
    }
    const flow::LatencyHistogram& all() const noexcept { return all_; }

private:
    bool began_ = false;
    uint32_t until_sample_ = 1;
    uint32_t chance_ = 1;
    uint64_t first_ = 0;                       // the clock at the turn's first burst
    uint64_t picked_at_ = 0, sampled_at_ = 0;  // at that of the sample
    const flow::Flow* sampled_ = nullptr;      // valid within the turn: until the worker is quiescent
    flow::LatencyHistogram all_;
};

}  // namespace penstock::dataplane
