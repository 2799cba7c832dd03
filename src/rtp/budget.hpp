#pragma once
// So many a second, and after a pause a quarter of a second's worth at once. Times are of the workers' clock: seconds
// as 32.32 fixed point.
#include <algorithm>
#include <cstdint>

namespace penstock::rtp {

class Budget {
public:
    bool take(uint64_t now, uint32_t per_second) noexcept {
        const uint64_t full = std::max(uint64_t{per_second} << 30, kOne);  // 32.32
        const uint64_t elapsed = now > last_ ? std::min(now - last_, kOne) : 0;
        level_ = started_ ? std::min(level_ + (elapsed >> 16) * per_second * 0x10000, full) : full;
        started_ = true;
        last_ = now;
        if (level_ < kOne) return false;
        level_ -= kOne;
        return true;
    }

private:
    static constexpr uint64_t kOne = uint64_t{1} << 32;
    uint64_t level_ = 0, last_ = 0;
    bool started_ = false;
};

}  // namespace penstock::rtp
