#pragma once
// Media Delivery Index (RFC 4445) of one path of a stream of constant rate, DF:MLR. Written by the one worker that owns
// the track; the counters are read by control.
//
// The delay factor is how deep a buffer would have to be that is drained at the stream's rate: the span of its filling
// over an interval, as time. The rate is what came over the last intervals.
#include <algorithm>
#include <cstdint>

#include "base/counter.hpp"

namespace penstock::rtp {

struct MdiCounters {
    Counter delay_factor;      // gauge, microseconds: of the last interval
    Counter delay_factor_max;  // gauge, microseconds
    Counter lost;              // gauge: packets lost in the last interval, which is a second: the media loss rate
    Counter rate;              // gauge, bytes a second: averaged
    Counter intervals;         // that were measured
};

class Mdi {
public:
    static constexpr uint64_t kInterval = uint64_t{1} << 32;  // a second, 32.32 fixed point, as all times here

    // A packet of `size` bytes came at `now`; `lost`: packets of the path that were lost so far.
    void receive(uint32_t size, uint64_t now, uint64_t lost) noexcept {
        if (now - began_ >= kInterval) [[unlikely]]
            begin(now, lost);
        const auto drained = static_cast<int64_t>((now - began_) * rate_ >> 32);
        low_ = std::min(low_, received_ - drained);
        received_ += size;
        high_ = std::max(high_, received_ - drained);
    }
    const MdiCounters& counters() const noexcept { return counters_; }

private:
    static constexpr uint64_t kMostRate = uint64_t{1} << 31;  // bytes a second

    void begin(uint64_t now, uint64_t lost) noexcept {
        const uint64_t elapsed = now - began_;
        if (began_ != 0 && elapsed < 2 * kInterval) {  // else it was silent: the rate is that of before
            const uint64_t came = static_cast<uint64_t>(received_) * ((kInterval << 16) / (elapsed >> 8)) >> 24;
            if (rate_ != 0) {
                const auto span = static_cast<uint64_t>(high_ - low_);
                counters_.delay_factor.set(span * 1'000'000 / rate_);
                counters_.delay_factor_max.set(std::max(counters_.delay_factor_max.read(), span * 1'000'000 / rate_));
                counters_.lost.set(lost - lost_);
                counters_.intervals.add();
            }
            rate_ = std::min(kMostRate, rate_ == 0 ? came : (7 * rate_ + came) / 8);
            counters_.rate.set(rate_);
        }
        began_ = now;
        lost_ = lost;
        received_ = low_ = high_ = 0;
    }

    uint64_t began_ = 0;    // the interval; 0: none yet
    uint64_t rate_ = 0;     // bytes a second; 0: not known yet
    int64_t received_ = 0;  // bytes in this interval
    int64_t low_ = 0, high_ = 0;
    uint64_t lost_ = 0;
    MdiCounters counters_;
};

}  // namespace penstock::rtp
