#pragma once
// What changes while packets pass. Made by control before the flow is published, freed after the grace period of the
// last table that holds it; written by the one worker that owns the track; the counters are read by control.
#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include "base/address.hpp"
#include "base/counter.hpp"
#include "flow/drop.hpp"
#include "rtp/budget.hpp"
#include "rtp/header.hpp"
#include "rtp/merge.hpp"

namespace penstock::flow {

// Of a track that arrives by two paths, or whose source may send packets again.
using MergeState = rtp::Merge;

// One leg. Written by the worker that serves it, but for shard_full, which is the track owner's. Aligned so that the
// first two, written a copy, share a cache line. There may be very many of them: what is rare has 32 bits, and begins
// anew after 4,294,967,295.
struct alignas(16) LegState {
    using Rare = BasicCounter<uint32_t>;

    Counter packets;    // of RTP, or of what the leg is for, given to the driver
    Counter bytes;      // of IP, that these had
    Rare rtcp_packets;  // of RTCP that goes alongside, given to the driver
    Rare drops[static_cast<size_t>(kLastLegDrop) - static_cast<size_t>(kFirstTxDrop) + 1];  // of both

    // A packet was given to the driver.
    void sent(bool rtcp, uint64_t size) noexcept {
        if (rtcp) [[unlikely]]
            return rtcp_packets.add();
        packets.add();
        bytes.add(size);
    }
    Rare& drop(Drop reason) noexcept { return drops[static_cast<size_t>(reason) - static_cast<size_t>(kFirstTxDrop)]; }
};
static_assert(sizeof(LegState) == 48);

// What the receiver of one leg sends back. Written by the worker that owns the track.
struct Feedback {
    Counter packets;     // RTCP, and what players send to open the way through a NAT: signs of life
    Counter lost;        // gauge: cumulative number of packets lost of its last report block (RFC 3550 section 6.4.1)
    Counter round_trip;  // gauge: seconds as 32.32 fixed point, by its last report; 0: not known
    Counter key_frames;  // PLI and FIR
    Counter asked;       // sequence numbers in its NACKs. What it got once more is counted in `resent`; of the rest:
    Counter not_kept;    // too late, or it never left
    Counter over_budget;
    LegState resent;
    // The worker's own.
    rtp::Budget budget;
    uint16_t rtx_sequence = 0;
};

// What left of a track whose packets do not all leave as they came: its sender reports say so (RFC 3550 section 7.2).
// The worker's own.
class Sent {
public:
    void count(std::span<const std::byte> packet) noexcept {  // valid RTP that leaves
        const auto header = rtp::Header::parse(packet);
        if (!header) return;
        const bool padded = (wire::load8(packet.data()) & 0x20) != 0;
        count(header->ssrc(), packet.size() - header->size() - (padded ? wire::load8(&packet.back()) : 0u));
    }
    void count(uint32_t ssrc, size_t octets) noexcept {  // one more packet with so much payload
        if (ssrc != ssrc_) *this = Sent(ssrc);
        packets_++;
        octets_ += static_cast<uint32_t>(octets);
    }
    uint32_t packets() const noexcept { return packets_; }  // of the present source, modulo 2^32
    uint32_t octets() const noexcept { return octets_; }    // of payload

    Sent() = default;

private:
    explicit Sent(uint32_t ssrc) : ssrc_(ssrc) {}
    uint32_t ssrc_ = 0, packets_ = 0, octets_ = 0;
};

// The first packet that left under a table, for those whose legs came with it: RTSP tells them its number and time
// beforehand. Written once by the worker that owns the track, read by control.
class FirstPacket {
public:
    struct Values {
        uint16_t sequence = 0;
        uint32_t timestamp = 0;
    };
    void note(uint16_t sequence, uint32_t timestamp) noexcept {
        if (noted_.load(std::memory_order_relaxed)) [[likely]]
            return;
        values_ = {sequence, timestamp};
        noted_.store(true, std::memory_order_release);  // pairs with the load in read()
    }
    std::optional<Values> read() const noexcept {
        if (!noted_.load(std::memory_order_acquire)) return std::nullopt;
        return values_;
    }

private:
    Values values_;
    std::atomic<bool> noted_{false};
};

}  // namespace penstock::flow
