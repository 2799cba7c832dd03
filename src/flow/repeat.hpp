#pragma once
// Temporal duplication (RFC 7198): each packet of a track is sent once more, some time later, so that an outage shorter
// than that takes one copy at most. Made by control; the one worker that owns the track keeps the packets and sends
// them.
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/counter.hpp"
#include "flow/held.hpp"
#include "flow/leg.hpp"
#include "flow/state.hpp"
#include "rtp/history.hpp"

namespace penstock::flow {

struct RepeatCounters {
    Counter overwritten;  // packets that were not there any more when their turn came
};

// Packets that wait for their turn. Times are of the workers' clock: seconds as 32.32 fixed point.
class Repeat {
public:
    static constexpr uint64_t kBytesPerSecond = 12'500'000;  // of a track, at most: 100 Mbit/s

    explicit Repeat(uint64_t delay)
        : delay_(delay), packets_(rtp::Codec::other, bytes_for(delay)), waiting_(bytes_for(delay) / kLeastPacket) {}

    void keep(std::span<const std::byte> packet, uint8_t ttl, uint8_t tos, uint64_t now) noexcept {
        const auto number = packets_.keep(packet);
        if (!number) return;  // a stray
        if (end_ - begin_ == waiting_.size()) {
            begin_++;
            counters_.overwritten.add();
        }
        waiting_[end_++ % waiting_.size()] = {*number, now + delay_};
        ttl_ = ttl;
        tos_ = tos;
    }
    // The next packet whose time has come, valid until the next keep(); empty: none.
    std::span<const std::byte> next(uint64_t now) noexcept {
        while (begin_ != end_ && waiting_[begin_ % waiting_.size()].due <= now) {
            const auto packet = packets_.packet(waiting_[begin_++ % waiting_.size()].number);
            if (!packet.empty()) return packet;
            counters_.overwritten.add();
        }
        return {};
    }
    // RFC 7198 section 3.1: copies within one RTP session have an SSRC of their own.
    static uint32_t ssrc_for(uint32_t ssrc) noexcept { return ~ssrc; }

    Sent sent;  // what went once more, for sender reports of it: the worker's own

    uint8_t ttl() const noexcept { return ttl_; }  // of the last packet
    uint8_t tos() const noexcept { return tos_; }
    const RepeatCounters& counters() const noexcept { return counters_; }

private:
    static constexpr size_t kLeastPacket = 128;  // bytes that one is expected to have

    static constexpr size_t bytes_for(uint64_t delay) noexcept {
        return rtp::History::kLeast + (delay * kBytesPerSecond >> 32);
    }
    struct Waiting {
        uint64_t number = 0, due = 0;
    };

    const uint64_t delay_;
    rtp::History packets_;
    std::vector<Waiting> waiting_;  // a ring
    uint64_t begin_ = 0, end_ = 0;
    uint8_t ttl_ = 0, tos_ = 0;
    RepeatCounters counters_;
};

// Of one table: immutable but for the state.
struct Repetition {
    Repeat* repeat = nullptr;  // never null
    OwnRendition to;           // one shard, the owner's
    Held held;
};

}  // namespace penstock::flow
