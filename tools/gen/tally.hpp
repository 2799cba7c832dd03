#pragma once
// What was sent and what of it arrived, leg by leg: a leg is one stream at one receiver's address and port. Memory is
// bounded by the number of legs, not by what arrives.
#include <string>
#include <unordered_map>
#include <vector>

#include "flow/latency.hpp"
#include "frame.hpp"
#include "mark.hpp"
#include "window.hpp"

namespace penstock::gen {

struct StreamTotals {
    uint64_t sent = 0, received = 0, late = 0, duplicates = 0;
    uint32_t legs = 0;
    flow::Latency latency;
};

class Tally {
public:
    Tally(const Plan& plan, uint64_t hertz, size_t max_legs);

    // A packet that one path at least does not lose: its copies are expected.
    void sent(uint32_t stream) noexcept { streams_[stream].sent++; }
    // A frame with its time of arrival. What is no media of the plan counts as `other`.
    void received(std::span<const std::byte> frame, uint64_t now);

    const Plan& plan() const noexcept { return plan_; }
    const Group& group_of(uint32_t stream) const noexcept { return plan_.groups[group_of_[stream]]; }
    std::vector<StreamTotals> totals() const;  // by stream
    size_t legs() const noexcept { return legs_.size(); }
    flow::Latency latency() const noexcept { return flow::Latency::of(latency_); }
    uint64_t media() const noexcept { return media_; }        // packets, duplicates included
    uint64_t other() const noexcept { return other_; }        // FEC, RTCP, neighbours' chatter
    uint64_t damaged() const noexcept { return damaged_; }    // a byte of RTP, or a checksum, is not as it was sent
    uint64_t unwanted() const noexcept { return unwanted_; }  // streams that are not in the plan
    uint64_t beyond() const noexcept { return beyond_; }      // of legs above the limit

private:
    struct LegKey {
        uint32_t stream;
        Endpoint to;
        bool operator==(const LegKey&) const = default;
    };
    struct HashLeg {
        size_t operator()(const LegKey& key) const noexcept {
            return mix(uint64_t{key.stream} << 32 | wire::load32(key.to.ip.wire().data())) ^ mix(key.to.port);
        }
    };
    struct Stream {
        uint64_t sent = 0;
        flow::LatencyHistogram latency;
    };

    Plan plan_;
    double tick_;  // of the clock, in 2^-32 seconds
    size_t max_legs_;
    std::vector<uint32_t> group_of_;
    std::vector<Stream> streams_;
    std::unordered_map<LegKey, Window, HashLeg> legs_;
    flow::LatencyHistogram latency_;
    uint64_t media_ = 0, other_ = 0, damaged_ = 0, unwanted_ = 0, beyond_ = 0;
};

}  // namespace penstock::gen
