#pragma once
// The twin of src/dataplane/turn_latency.hpp that measures nothing: what bench-relay-unmeasured is built with.
#include <cstddef>
#include <cstdint>
#include <span>

#include "flow/flow.hpp"
#include "flow/latency.hpp"

namespace penstock::dataplane {

class TurnLatency {
public:
    void begin() noexcept {}
    size_t burst(size_t, uint64_t) noexcept { return ~size_t{0}; }
    void fetch(std::span<const flow::Flow* const>, size_t) noexcept {}
    void sample(const flow::Flow&) noexcept {}
    template <class ClockNow>
    void end(uint64_t, ClockNow) noexcept {}
    const flow::LatencyHistogram& all() const noexcept { return all_; }

private:
    flow::LatencyHistogram all_;
};

}  // namespace penstock::dataplane
