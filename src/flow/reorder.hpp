#pragma once
// Packets of one track that wait until those before them have come, so that outputs leave in order: the reorder buffer
// of a track with `delay`. What is in order waits for nothing. Made by control; the one worker that owns the track uses
// it, control reads the counters. What a buffer is, and how it is given back, the worker knows.
//
// Times are of the workers' clock: seconds as 32.32 fixed point. A packet waits for `delay` at most, whatever came
// before or after it; when that is over, the numbers missing before it are passed over, and what comes of them later is
// late. Packets wait by sequence number in a ring of slots, which are chained in the order of arrival, so that the one
// whose time is over first is always at hand: nothing is searched, and each number is passed once.
#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/counter.hpp"
#include "flow/held.hpp"
#include "flow/rewrite.hpp"
#include "rtp/numbering.hpp"

namespace penstock::flow {

struct ReorderCounters {
    Counter held;       // gauge: packets that wait
    Counter reordered;  // packets that waited, and left in order
    Counter late;       // that came when their number had been passed over
    Counter missing;    // numbers that were passed over
    Counter cut_short;  // times that packets left before their time, for want of room
};

class Reorder {
public:
    using GiveBack = void (*)(void* buffer);
    struct Packet {
        void* buffer = nullptr;
        PayloadSum sum;
        uint8_t ttl = 0, tos = 0;  // as it arrived
    };
    // What becomes of a packet that comes: it is the next one, or none that could have a turn (of a source that may
    // have restarted), and leaves; it waits; its number was passed over, or lies too far back to know; it came already.
    enum class Turn : uint8_t { now, waits, late, duplicate };

    static constexpr uint64_t kNever = ~uint64_t{0};
    static constexpr uint64_t kPacketsPerSecond = 10'000;  // that there is room for: 100 Mbit/s
    static constexpr size_t kLeast = 64;
    static constexpr size_t slots_for(uint64_t delay) noexcept {
        return std::bit_ceil(std::max<size_t>(kLeast, delay * kPacketsPerSecond >> 32));
    }

    explicit Reorder(uint64_t delay) : delay_(delay), slots_(slots_for(delay)) {}
    ~Reorder() {
        for (uint32_t i = oldest_; i != kNone; i = slots_[i].later) give_back_(slots_[i].packet.buffer);
    }
    Reorder(const Reorder&) = delete;
    Reorder& operator=(const Reorder&) = delete;

    // A packet of the track that is new, however it came, at `now`. Before it `leave(packet)` is called for those that
    // leave earlier, in order. One that waits is to be given to hold(); after one that leaves, release() is called.
    // `life` is another one when the source began anew, under whichever SSRC and numbers.
    template <class Leave>
    Turn arrived(uint16_t sequence, uint32_t ssrc, uint64_t life, uint64_t now, Leave leave) {
        release(now, leave);
        if (std::exchange(life_, life) != life && numbering_.started()) [[unlikely]]
            return restart(numbering_.restart(sequence, ssrc)->number, leave);
        const auto place = numbering_.place(sequence, ssrc);
        if (!place) return Turn::now;
        if (place->restarted) return restart(place->number, leave);
        if (place->number > numbering_.newest()) numbering_.advance(place->number);
        const uint64_t number = base_ + place->number;
        if (number < next_) return came(number) ? Turn::duplicate : (counters_.late.add(), Turn::late);
        if (came(number)) return Turn::duplicate;
        if (number - next_ >= slots_.size()) make_room(number, leave);
        slot_of(number).number = number;
        if (number == next_) return next_++, Turn::now;
        waiting_ = index_of(number);
        return Turn::waits;
    }
    // The packet that waits by the last call of arrived().
    void hold(const Packet& packet, uint64_t now, GiveBack give_back) noexcept {
        give_back_ = give_back;
        const uint32_t at = waiting_;
        Slot& slot = slots_[at];
        slot.packet = packet;
        slot.due = now + delay_;
        slot.earlier = newest_;
        slot.later = kNone;
        (newest_ == kNone ? oldest_ : slots_[newest_].later) = at;
        newest_ = at;
        counters_.held.add();
    }
    // What has its turn, or no time left, leaves.
    template <class Leave>
    void release(uint64_t now, Leave leave) {
        while (oldest_ != kNone) {
            Slot& slot = slot_of(next_);
            if (slot.number == next_) {
                next_++;
                leave_by(slot, leave);
            } else if (slots_[oldest_].due <= now) {
                next_++;
                counters_.missing.add();
            } else {
                return;
            }
        }
    }
    // There is no room to wait in.
    template <class Leave>
    void cut_short(Leave leave) {
        counters_.cut_short.add();
        release(kNever, leave);
    }
    // When the next packet has waited long enough.
    uint64_t due() const noexcept { return oldest_ == kNone ? kNever : slots_[oldest_].due; }

    uint64_t delay() const noexcept { return delay_; }
    const ReorderCounters& counters() const noexcept { return counters_; }

private:
    static constexpr uint32_t kNone = ~uint32_t{0};
    static constexpr uint32_t kBehind = 16384;  // what is further back may be of a source that restarted

    struct Slot {
        uint64_t number = 0;  // of the last packet that came here
        Packet packet;
        uint64_t due = 0;
        uint32_t earlier = kNone, later = kNone;  // that wait, by arrival
    };

    uint32_t index_of(uint64_t number) const noexcept { return static_cast<uint32_t>(number & (slots_.size() - 1)); }
    Slot& slot_of(uint64_t number) noexcept { return slots_[index_of(number)]; }
    bool came(uint64_t number) noexcept { return slot_of(number).number == number; }

    template <class Leave>
    void leave_by(Slot& slot, Leave leave) {
        (slot.earlier == kNone ? oldest_ : slots_[slot.earlier].later) = slot.later;
        (slot.later == kNone ? newest_ : slots_[slot.later].earlier) = slot.earlier;
        counters_.held.set(counters_.held.read() - 1);
        counters_.reordered.add();
        leave(slot.packet);
    }
    // A number so far ahead that it has the slot of one that is waited for.
    template <class Leave>
    void make_room(uint64_t number, Leave leave) {
        const uint64_t first = number - slots_.size() + 1;
        counters_.cut_short.add();
        for (; next_ < first && oldest_ != kNone; next_++) {
            Slot& slot = slot_of(next_);
            if (slot.number == next_) {
                leave_by(slot, leave);
            } else {
                counters_.missing.add();
            }
        }
        if (next_ < first) counters_.missing.add(first - std::exchange(next_, first));
        release(0, leave);
    }
    // Of another life of the source: what waits is the last of the former one. Its numbers lie above all before them.
    template <class Leave>
    Turn restart(uint64_t number, Leave leave) {
        release(kNever, leave);
        base_ = next_ + slots_.size();
        next_ = base_ + number;
        slot_of(next_).number = next_;
        next_++;
        return Turn::now;
    }

    const uint64_t delay_;
    GiveBack give_back_ = nullptr;
    rtp::Numbering numbering_{kBehind};
    uint64_t life_ = 0;
    uint64_t base_ = 0;  // of this life's numbers
    uint64_t next_ = 0;  // number whose turn it is
    uint32_t oldest_ = kNone, newest_ = kNone;
    uint32_t waiting_ = kNone;
    std::vector<Slot> slots_;
    ReorderCounters counters_;
};

// Of one table: immutable but for the states.
struct Delay {
    Reorder* reorder = nullptr;  // null: the track has no delay any more
    Reorder* former = nullptr;   // of the track until now, from which everything leaves first; null: there was none
    Held held;
};

}  // namespace penstock::flow
