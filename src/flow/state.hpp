#pragma once
// What changes while packets pass. Made by control before the flow is published, freed after the grace period of the
// last table that holds it; written by the one worker that owns the track; the counters are read by control.
#include <cstdint>

#include "base/counter.hpp"
#include "flow/drop.hpp"
#include "rtp/merge.hpp"
#include "rtp/reception.hpp"

namespace penstock::flow {

// One path of a track.
struct alignas(64) PathState {
    rtp::Reception reception;
    Counter rtcp_packets;
    Counter rtcp_bytes;
};

// One track that arrives by two paths.
using MergeState = rtp::Merge;

// One leg; RTCP that goes alongside is counted apart. Written by the worker that serves the leg, but for shard_full,
// which is the track owner's. Aligned so that the first two, written a copy, share a cache line.
struct alignas(16) LegState {
    Counter packets;  // given to the driver
    Counter bytes;    // of IP
    Counter drops[static_cast<size_t>(kLastLegDrop) - static_cast<size_t>(kFirstTxDrop) + 1];

    Counter& drop(Drop reason) noexcept {
        return drops[static_cast<size_t>(reason) - static_cast<size_t>(kFirstTxDrop)];
    }
};

}  // namespace penstock::flow
