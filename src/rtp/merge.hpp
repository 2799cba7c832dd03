#pragma once
// Live-live (SMPTE ST 2022-7, RFC 7198): of two paths that carry the same packets, whichever copy comes first is used,
// at once. Written by the one worker that owns the track; the counters are read by control.
//
// A number waits for its copies as long as the paths may be apart by the track's skew. What comes later is late, and
// is not used even where it would fill a hole: receivers gave up on it. A path whose packets are of another life of the
// source (restarted, sent anew by another device) is apart: it disturbs nothing and is followed once the other path
// goes there, too, or has been silent.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/counter.hpp"

namespace penstock::rtp {

inline constexpr double kTick = 1.0 / (1 << 20);  // seconds: how finely skew is measured

// What a packet is to the track.
enum class Arrival : uint8_t { first, second, late, apart };

// Of one path. Every packet of it is one of these four.
struct Arrivals {
    Counter first;     // came before the other path's copy, and was used
    Counter second;    // its number had come already
    Counter late;      // came when the skew was over, or lay further back than is remembered
    Counter apart;     // of another life of the source than the other path's
    Counter lag_most;  // gauge, ticks: the longest that it came behind the other path's copy

    double most_behind() const noexcept { return static_cast<double>(lag_most.read()) * kTick; }  // seconds
};

struct MergeCounters {
    Counter by_path;      // came by one path alone: what the second path is there for
    Counter unrecovered;  // came by neither within the skew, and nothing else made it good
    Counter lives;        // of the source that were followed, the first included
    Counter skew;         // gauge, sixteenths of a tick: how much path 1 comes behind path 0; signed, averaged

    // Seconds that the path comes behind the other one; negative: ahead of it.
    double behind(size_t path) const noexcept {
        const double second = static_cast<double>(static_cast<int64_t>(skew.read())) * kTick / 16;
        return path == 1 ? second : 0.0 - second;
    }
};

class Merge {
public:
    // Sequence numbers remembered: 450 ms (ST 2022-7 class C) at 18,000 packets/s.
    static constexpr uint32_t kWindow = 8192;
    // How long a path is silent until the other one may go elsewhere alone; 32.32 fixed point, as all times here.
    // Longer than a picture; a source that restarts while one path is down is followed by the other one after this.
    static constexpr uint64_t kSilent = uint64_t{1} << 30;
    // A packet like one that came so long before, and longer than the skew, is no copy of it: the source began anew,
    // with the numbers and times that it began with before. And for so long packets of a source that was left may come
    // late.
    static constexpr uint64_t kLong = uint64_t{1} << 32;
    static constexpr uint64_t kUsualSkew = (uint64_t{450} << 32) / 1000;  // ST 2022-7 class C

    explicit Merge(uint64_t skew = kUsualSkew) : slots_(kWindow) { set_time(skew, 0); }

    // Valid RTP that came by `path`, 0 or 1, at `now`: only what is first is to be used.
    Arrival take(unsigned path, Arrivals& arrivals, uint16_t sequence, uint32_t timestamp, uint32_t ssrc,
                 uint64_t now) noexcept {
        if (ssrc != ssrc_[path] || !started()) [[unlikely]]
            return elsewhere(path, arrivals, {ssrc, sequence, timestamp}, now);
        const int ahead = ahead_of_highest(sequence);
        const uint32_t at = ticks(now);
        if (ahead > 0) {
            if (ahead > kMaxDropout) [[unlikely]]
                return elsewhere(path, arrivals, {ssrc, sequence, timestamp}, now);
            for (int i = 1; i < ahead; i++) advance() = {at, 0};  // a hole, and since when
            advance() = {at | came_by(path), timestamp};
        } else {
            if (ahead <= -static_cast<int>(kWindow)) [[unlikely]]
                return elsewhere(path, arrivals, {ssrc, sequence, timestamp}, now);
            Slot& slot = slot_at(ahead);
            if ((slot.when & kCame) != 0) {
                if (slot.timestamp != timestamp || no_copy(slot, at)) [[unlikely]]
                    return elsewhere(path, arrivals, {ssrc, sequence, timestamp}, now);
                seen(path, now);
                return again(path, arrivals, slot, at);
            }
            if (no_copy(slot, at)) [[unlikely]]
                return elsewhere(path, arrivals, {ssrc, sequence, timestamp}, now);
            if (at - slot.when > skew()) {
                seen(path, now);
                return arrivals.late.add(), Arrival::late;
            }
            slot = {at | came_by(path), timestamp};
        }
        seen(path, now);
        arrivals.first.add();
        if (probing_) [[unlikely]]
            compare_probe(path ^ 1, {ssrc, sequence, timestamp});
        settle(at);
        return Arrival::first;
    }

    // A packet that was made good otherwise, by FEC. False: it came already.
    bool recovered(uint16_t sequence, uint32_t timestamp) noexcept;

    // Of packets that are used: where paths have SSRCs of their own (RFC 7198), all get that of the first.
    uint32_t ssrc() const noexcept { return static_cast<uint32_t>(out_ssrc_.read()); }
    uint32_t ssrc(unsigned path) const noexcept { return ssrc_[path]; }  // as it is followed; for the worker

    // Control alone. `repaired`: how many packets later FEC can still bring one; 0: there is none.
    void set_time(uint64_t skew, uint32_t repaired) noexcept {
        skew_.set(skew >> kShift);
        repaired_.set(repaired);
    }
    const MergeCounters& counters() const noexcept { return counters_; }

private:
    static constexpr int kMaxDropout = 3000;  // as RFC 3550 appendix A.1
    static constexpr unsigned kShift = 12;    // from 32.32 to ticks
    static constexpr uint32_t kCame = 3;      // a bit each path, in the low bits of Slot::when; both: by other means

    struct Slot {
        uint32_t when = 0;  // ticks: when it came first, or was passed
        uint32_t timestamp = 0;
    };
    struct Packet {
        uint32_t ssrc = 0;
        uint16_t sequence = 0;
        uint32_t timestamp = 0;
    };
    // Of a path that brings something else than the track's source.
    struct Apart {
        uint32_t run = 0;    // packets in a row; 0: it is not apart
        uint64_t since = 0;  // when the first of these came
        Packet last;
        Packet probe;  // one that is remembered, to be found with the other path
        uint64_t probe_at = 0;
    };

    static uint32_t ticks(uint64_t now) noexcept { return static_cast<uint32_t>(now >> kShift) & ~kCame; }
    static uint32_t came_by(unsigned path) noexcept { return 1u << path; }
    uint32_t skew() const noexcept { return static_cast<uint32_t>(skew_.read()); }
    bool started() const noexcept { return highest_ != 0; }
    int ahead_of_highest(uint16_t sequence) const noexcept {
        return static_cast<int16_t>(static_cast<uint16_t>(sequence - static_cast<uint16_t>(highest_)));
    }
    Slot& slot_of(uint64_t number) noexcept { return slots_[number % kWindow]; }
    // Of a number that is so far ahead, or behind. Before the beginning there are holes of that age.
    Slot& slot_at(int ahead) noexcept {
        const uint64_t number = highest_ + static_cast<uint64_t>(int64_t{ahead});
        while (first_ > number) [[unlikely]] slot_of(--first_) = {started_at_, 0};
        return slot_of(number);
    }

    bool no_copy(const Slot& slot, uint32_t at) const noexcept {
        return at - (slot.when & ~kCame) > std::max(skew(), static_cast<uint32_t>(kLong >> kShift));
    }
    Slot& advance() noexcept {
        if (settled_ + kWindow <= ++highest_) judge(slot_of(settled_++));
        return slot_of(highest_);
    }
    void seen(unsigned path, uint64_t now) noexcept {
        last_[path] = now;
        apart_[path].run = 0;
    }
    Arrival again(unsigned path, Arrivals& arrivals, Slot& slot, uint32_t at) noexcept {
        const uint32_t lag = at - (slot.when & ~kCame);
        const bool copy = (slot.when & kCame) == came_by(path ^ 1);  // not what the path itself brought twice
        slot.when |= came_by(path);
        if (copy) {
            if (lag > arrivals.lag_most.read()) arrivals.lag_most.set(lag);
            const auto former = static_cast<int64_t>(counters_.skew.read());
            const int64_t behind = path == 1 ? int64_t{lag} : -int64_t{lag};
            counters_.skew.set(static_cast<uint64_t>(former + behind - (former >> 4)));
        }
        if (lag > skew()) return arrivals.late.add(), Arrival::late;
        return arrivals.second.add(), Arrival::second;
    }
    // What became of numbers that nothing can bring any more. Two a packet: it catches up after a gap, and no packet
    // pays for all.
    void settle(uint32_t at) noexcept {
        for (int i = 0; i < 2 && settled_ + repaired_.read() < highest_; i++) {
            const Slot& slot = slot_of(settled_);
            if (at - (slot.when & ~kCame) <= skew()) return;
            judge(slot);
            settled_++;
        }
    }
    void judge(const Slot& slot) noexcept {
        const uint32_t came = slot.when & kCame;
        if (came == kCame) return;
        if (came == 0) return counters_.unrecovered.add();
        if (last_[0] != 0 && last_[1] != 0) counters_.by_path.add();
    }
    Arrival elsewhere(unsigned path, Arrivals& arrivals, const Packet& packet, uint64_t now) noexcept;
    bool is_late(unsigned path, const Packet& packet) noexcept;
    bool left_just_now(uint32_t ssrc, uint64_t now) const noexcept;
    bool twin(unsigned path, const Packet& packet, uint64_t now) noexcept;
    bool agrees(unsigned path, const Packet& packet) const noexcept;
    void compare_probe(unsigned of, const Packet& packet) noexcept;
    Arrival restart(unsigned path, Arrivals& arrivals, const Packet& packet, uint64_t now) noexcept;

    uint64_t highest_ = 0;            // number: the low 16 bits are the sequence number; 0 before the first packet
    uint64_t settled_ = 0;            // numbers below it were judged
    uint64_t first_ = 0;              // the lowest number of this life
    std::array<uint64_t, 2> last_{};  // when each path brought something of the life that was followed; 0: never
    std::array<uint32_t, 2> ssrc_{};  // of each path
    std::array<uint32_t, 2> left_{};  // the same of the life before
    uint64_t left_at_ = 0;            // 0: there was none
    Counter out_ssrc_;                // gauge
    uint32_t started_at_ = 0;         // ticks
    bool probing_ = false;
    Counter skew_, repaired_;  // ticks, packets. control: wo, worker: ro
    std::vector<Slot> slots_;
    std::array<Apart, 2> apart_{};
    MergeCounters counters_;
};

}  // namespace penstock::rtp
