#pragma once
// What one path received: RFC 3550 appendix A.1 (sequence), A.3 (loss) and section 6.4.1 (jitter), in 64 bits.
// Written by the one worker that owns the track; the counters are read by control.
//
// A hole in the sequence is `missing` at first and becomes `lost` when it falls out of the reorder window, so that a
// packet that only came late is never counted as lost and the loss counter never runs backwards.
#include <array>
#include <cstdint>

#include "base/counter.hpp"

namespace penstock::rtp {

struct ReceptionCounters {
    // Written with every packet, so they come first: see Reception.
    Counter packets;       // valid RTP packets, duplicates included
    Counter bytes;         // of RTP: header and payload
    Counter last_arrival;  // gauge: the clock of the caller, as passed to receive()
    Counter jitter;        // gauge: RFC 3550 interarrival jitter, in timestamp units times 16 (appendix A.8)

    Counter lost;       // never arrived within the window
    Counter missing;    // gauge: holes in the window now; lost unless they still arrive
    Counter duplicate;  // sequence number seen before, or older than the window
    Counter reordered;  // arrived after a later one
    Counter ssrc;       // gauge: of the present source
    Counter ssrc_changes;
    Counter restarts;  // sequence jumps of one SSRC that RFC 3550 A.1 takes for a restarted source
};

class Reception {
public:
    // Packets older than this behind the highest are late beyond repair: at least RFC 3550's MAX_MISORDER of 100.
    static constexpr uint32_t kWindow = 128;
    static constexpr uint32_t kMaxDropout = 3000;  // RFC 3550 A.1: a larger jump is a restart, not loss
    static constexpr uint32_t kMaxMisorder = 100;  // RFC 3550 A.1: further back is a restart, not reordering
    // But at thousands of packets a second a way that became shorter leaves more than a hundred behind. What is further
    // back and by its timestamp not longer than so many seconds late is late. Unless so many such come, and none that
    // is not: of a source that restarts timestamps may go on, too.
    static constexpr uint32_t kLatest = 2, kLateRun = 16;

    // `arrival` is any steady clock (ticks), `arrival_rtp` the same moment in units of the RTP clock (wraps with 32
    // bits), of which there are `clock_rate` a second.
    void receive(uint16_t sequence, uint32_t timestamp, uint32_t ssrc, uint32_t size, uint64_t arrival,
                 uint32_t arrival_rtp, uint32_t clock_rate) noexcept {
        counters_.packets.add();
        counters_.bytes.add(size);
        counters_.last_arrival.set(arrival);
        const auto ahead = static_cast<uint16_t>(sequence - static_cast<uint16_t>(highest_));
        if (ssrc == ssrc_ && ahead == 1 && started()) [[likely]] {
            advance(1);
            measure_jitter(timestamp, arrival_rtp);
        } else {
            unusual(sequence, timestamp, ssrc, arrival_rtp, clock_rate);
        }
    }

    const ReceptionCounters& counters() const noexcept { return counters_; }
    uint32_t ssrc() const noexcept { return ssrc_; }

    // Of the present source, as receiver reports want it (RFC 3550 appendix A.3).
    struct Extent {
        uint64_t expected, received;  // packets; those that came twice are received twice
        uint32_t highest;             // extended sequence number: cycles of 16 bits above
    };
    Extent extent() const noexcept {
        if (!started()) return {0, 0, 0};
        return {highest_ - first_ + 1, counters_.packets.read() - before_, static_cast<uint32_t>(highest_ - 0x10000)};
    }

private:
    void unusual(uint16_t sequence, uint32_t timestamp, uint32_t ssrc, uint32_t arrival_rtp,
                 uint32_t clock_rate) noexcept;
    bool started() const noexcept { return highest_ != 0; }
    bool is_late(uint32_t behind, uint32_t transit, uint32_t clock_rate) noexcept;
    void start(uint16_t sequence, uint32_t ssrc, uint32_t transit) noexcept;
    void advance(uint32_t by) noexcept;
    void measure_jitter(uint32_t timestamp, uint32_t arrival_rtp) noexcept;

    bool seen(uint64_t extended) const noexcept { return window_[extended / 64 % 2] >> extended % 64 & 1; }
    void clear(uint64_t extended) noexcept { window_[extended / 64 % 2] &= ~(uint64_t{1} << extended % 64); }
    void mark(uint64_t extended) noexcept { window_[extended / 64 % 2] |= uint64_t{1} << extended % 64; }

    // What the next packet in order needs is 64 bytes: one cache line of a cold flow.
    uint64_t highest_ = 0;  // extended sequence number; 0 before the first packet, which gets a whole cycle
    std::array<uint64_t, kWindow / 64>
        window_{};  // bit of each extended sequence number modulo kWindow: it came, or was before first_
    uint32_t ssrc_ = 0;
    uint32_t transit_ = 0;
    ReceptionCounters counters_;
    uint64_t first_ = 0;            // extended sequence number that reception started with
    uint64_t before_ = 0;           // packets of former sources
    uint64_t late_behind_ = 0;      // highest_ when the last late ones came
    uint32_t late_run_ = 0;         // how many they were
    uint32_t restart_at_ = kNever;  // the sequence number that would confirm a restart (RFC 3550 A.1 bad_seq)

    static constexpr uint32_t kNever = 0x10000;
};

inline void Reception::advance(uint32_t by) noexcept {
    uint64_t lost = 0;
    for (uint32_t i = 0; i < by; i++) {  // by <= kWindow, nearly always 1
        highest_++;
        if (!seen(highest_)) lost++;  // this bit belonged to the number that leaves the window now
        clear(highest_);
    }
    mark(highest_);
    if (lost != 0) [[unlikely]] {
        counters_.lost.add(lost);
        counters_.missing.set(counters_.missing.read() - lost);
    }
}

inline void Reception::measure_jitter(uint32_t timestamp, uint32_t arrival_rtp) noexcept {
    const uint32_t transit = arrival_rtp - timestamp;
    const auto change = static_cast<int32_t>(transit - transit_);
    const uint32_t d = change < 0 ? uint32_t{0} - static_cast<uint32_t>(change) : static_cast<uint32_t>(change);
    const auto jitter = static_cast<uint32_t>(counters_.jitter.read());
    counters_.jitter.set(jitter + d - ((jitter + 8) >> 4));
    transit_ = transit;
}

}  // namespace penstock::rtp
