#pragma once
// Which packets of a track are to be asked for again: those that did not come in order, nor by another path or FEC
// within a while, until they come or it is too late. It tells numbers, and knows nothing of how they are asked for.
// Written by the one worker that owns the track; the counters are read by control.
//
// Times are of the workers' clock: seconds as 32.32 fixed point. It needs no timer: packets of the track drive it, and
// while none come there is nothing to be asked for.
#include <cstdint>
#include <span>
#include <vector>

#include "base/counter.hpp"
#include "rtp/budget.hpp"
#include "rtp/numbering.hpp"

namespace penstock::rtp {

struct AskingPlan {
    uint64_t wait = 0;        // before a number is asked for: it may only be reordered
    uint64_t deadline = 0;    // from when it was found missing: then it is given up
    uint32_t per_second = 0;  // numbers, at most
    bool operator==(const AskingPlan&) const = default;
};

struct AskingCounters {
    Counter asked;        // numbers, each time
    Counter recovered;    // of them, those that came
    Counter over_budget;  // times that a number would have been asked for
    Counter round_trip;   // gauge: from asking to the packet, smoothed; 0: not known
};

class Asking {
public:
    explicit Asking(const AskingPlan& plan) : plan_(plan) { missing_.reserve(kMost); }

    // A packet of the track that is new, however it came. `life` is another one when the source began anew, under
    // whichever SSRC and numbers.
    void arrived(uint16_t sequence, uint32_t ssrc, uint64_t life, uint64_t now) noexcept {
        if (numbering_.follows(sequence, ssrc) && life == life_) [[likely]]
            return numbering_.advance(numbering_.newest() + 1);
        unusual(sequence, ssrc, life, now);
    }
    // FEC made it: whoever is asked for it answers in vain.
    void mended(uint16_t sequence) noexcept;
    // Whether it is waited for, asked for or not.
    bool misses(uint16_t sequence) const noexcept;
    // Whether due() has anything to do.
    bool has_due(uint64_t now) const noexcept { return now >= next_; }
    // Numbers to ask for now, ascending: how many were put into `into`. `times`: which request for it this is, from 1.
    struct Due {
        uint16_t sequence = 0;
        uint32_t times = 0;
    };
    size_t due(uint64_t now, std::span<Due> into) noexcept;

    const AskingPlan& plan() const noexcept { return plan_; }
    const AskingCounters& counters() const noexcept { return counters_; }

    static constexpr size_t kMost = 256;  // numbers missing at a time; what is older gives way

private:
    static constexpr uint64_t kNever = ~uint64_t{0};
    static constexpr uint64_t kLeastSpacing = (uint64_t{1} << 32) / 100;  // 10 ms between two requests for one packet
    static constexpr uint64_t kFirstSpacing = (uint64_t{1} << 32) / 20;   // while the round trip is not known
    static constexpr uint32_t kBehind = 16384;  // what answers may lag: a deadline at a high rate

    struct Missing {
        uint64_t number;
        uint64_t since, next, asked_at;
        uint32_t times;
    };

    void unusual(uint16_t sequence, uint32_t ssrc, uint64_t life, uint64_t now) noexcept;
    void came(uint64_t number, uint64_t now) noexcept;
    void give_up_all() noexcept;
    uint64_t spacing() const noexcept;

    const AskingPlan plan_;
    Numbering numbering_{kBehind};
    uint64_t life_ = 0;
    uint64_t next_ = kNever;        // nothing is due before
    std::vector<Missing> missing_;  // by number
    Budget budget_;
    AskingCounters counters_;
};

}  // namespace penstock::rtp
