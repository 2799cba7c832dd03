#pragma once
// Media that came by TCP, given to the workers as if it had come by UDP: behind the header that its sender would have
// written, on a ring to the worker that owns the track. From there on both go one way. Control's thread alone offers;
// it never waits: what finds no buffer or no room is dropped and counted.
#include <rte_mempool.h>
#include <rte_ring.h>

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/address.hpp"
#include "flow/leg.hpp"

namespace penstock::dataplane {

// From whom, and to which address and port of a source. Made once, for all that comes that way.
class IngestWay {
public:
    // `worker`: the owner of the track; another one would hand everything over.
    IngestWay(const Endpoint& from, const Endpoint& to, uint16_t worker);
    IngestWay(IngestWay&&) = default;
    IngestWay& operator=(IngestWay&&) = default;

private:
    friend class Ingest;
    flow::LongHeaders longer_;  // of IPv6
    flow::Leg header_;
    uint16_t worker_;
};

class Ingest {
public:
    struct Counters {
        uint64_t packets = 0, bytes = 0;  // given to the workers: RTP and RTCP, without the headers that we write
        uint64_t too_long = 0;            // does not fit a buffer
        uint64_t no_buffer = 0;           // the pool is empty
        uint64_t ring_full = 0;           // the worker does not keep up
    };
    static constexpr size_t kRing = 2048;  // packets on the way to one worker: at 20 Mbit/s a second of them

    // The rings by worker; nobody else puts anything into them.
    Ingest(rte_mempool* packets, std::vector<rte_ring*> rings) : packets_(packets), rings_(std::move(rings)) {}

    bool offer(const IngestWay& way, std::span<const std::byte> payload) noexcept;
    const Counters& counters() const noexcept { return counters_; }

private:
    rte_mempool* packets_;
    std::vector<rte_ring*> rings_;
    Counters counters_;
};

}  // namespace penstock::dataplane
