#pragma once
// When the packets of one path of a group are due: all its streams in turn, evenly spaced, so that packet k of the
// group belongs to stream k modulo their count and nothing need be remembered of a stream.
#include <cstdint>

#include "plan.hpp"

namespace penstock::gen {

class Pace {
public:
    // `start` and `hertz` of the clock that due() is asked with; `seconds` to send for.
    Pace(const Group& group, const Path& path, uint64_t start, uint64_t hertz, double seconds)
        : start_(start + static_cast<uint64_t>(path.skew * static_cast<double>(hertz))),
          nominal_(start),
          interval_(static_cast<double>(hertz) / (group.pps * group.count)),
          count_(group.count),
          total_(static_cast<uint64_t>(group.pps * group.count * seconds)) {}

    bool done() const noexcept { return next_ >= total_; }
    bool due(uint64_t now) const noexcept { return !done() && now >= start_ + offset(next_); }
    // When the next one is due by this path; and by one without skew, which is what the packet says.
    uint64_t moment() const noexcept { return start_ + offset(next_); }
    uint64_t nominal() const noexcept { return nominal_ + offset(next_); }

    uint64_t total() const noexcept { return total_; }
    uint64_t packets() const noexcept { return next_; }
    uint32_t stream() const noexcept { return static_cast<uint32_t>(next_ % count_); }
    uint64_t number() const noexcept { return next_ / count_; }
    void advance() noexcept { next_++; }
    // Sends no more than so many packets in all: where another path came no further.
    void end_at(uint64_t packets) noexcept { total_ = packets; }

private:
    uint64_t offset(uint64_t k) const noexcept { return static_cast<uint64_t>(static_cast<double>(k) * interval_); }

    uint64_t start_, nominal_;
    double interval_;
    uint32_t count_;
    uint64_t total_;
    uint64_t next_ = 0;
};

}  // namespace penstock::gen
