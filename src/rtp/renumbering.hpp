#pragma once
// Sequence numbers of a stream from which packets are taken out, or into which some are put: what is left, or comes
// after, moves by one for each. A packet that comes late gets the number of its own place.
#include <cstddef>
#include <cstdint>
#include <vector>

namespace penstock::rtp {

class Renumbering {
public:
    // `step`: 1 where packets are put in, -1 where they are taken out. `remembered`: the last so many.
    Renumbering(int step, size_t remembered) : step_(step), places_(remembered) {}

    // Packets of a higher number than this move by one step more. Numbers never go down between two calls of forget().
    void step_after(uint64_t number) noexcept {
        last_ = last_ + 1 == places_.size() ? 0 : last_ + 1;
        places_[last_] = number;
        if (known_ < places_.size()) known_++;
        shift_ = static_cast<uint16_t>(shift_ + step_);
    }
    uint16_t of(uint64_t number) const noexcept {
        uint16_t shift = shift_;
        size_t at = last_;
        for (size_t left = known_; left > 0 && number <= places_[at]; left--) {
            shift = static_cast<uint16_t>(shift - step_);
            at = at == 0 ? places_.size() - 1 : at - 1;
        }
        return static_cast<uint16_t>(number + shift);
    }
    // What a packet gets that is put after this one, the highest so far, and all that were put after it already.
    uint16_t next(uint64_t highest) const noexcept { return static_cast<uint16_t>(highest + shift_ + 1); }
    // Numbers begin anew: what lies behind is not known any more. The shift goes on.
    void forget() noexcept { known_ = 0; }

private:
    int step_;
    uint16_t shift_ = 0;
    std::vector<uint64_t> places_;  // a ring
    size_t last_ = 0, known_ = 0;
};

}  // namespace penstock::rtp
