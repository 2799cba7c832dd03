#pragma once
// Which numbers of one stream one receiver has seen: each packet is new, new but late, or a duplicate. Loss needs no
// watching: it is what was sent less what was new, and is known at the end.
#include <array>
#include <cstdint>

namespace penstock::gen {

class Window {
public:
    static constexpr uint32_t kSize = 512;  // numbers; FEC brings packets back more than a matrix of 100 late

    void see(uint64_t number) noexcept {
        if (number >= next_) {
            if (number - next_ >= kSize) {
                bits_.fill(0);
            } else {
                for (uint64_t n = next_; n <= number; n++) clear(n);
            }
            next_ = number + 1;
            mark(number);
            fresh_++;
        } else if (next_ - number > kSize) {
            stale_++;  // nobody knows any more whether it came before
        } else if (marked(number)) {
            duplicates_++;
        } else {
            mark(number);
            fresh_++;
            late_++;
        }
    }

    uint32_t fresh() const noexcept { return fresh_; }  // seen for the first time, late ones included
    uint32_t late() const noexcept { return late_; }    // after one with a higher number
    uint32_t duplicates() const noexcept { return duplicates_; }
    uint32_t stale() const noexcept { return stale_; }  // older than the window

private:
    bool marked(uint64_t n) const noexcept { return bits_[n / 64 % bits_.size()] >> n % 64 & 1; }
    void mark(uint64_t n) noexcept { bits_[n / 64 % bits_.size()] |= uint64_t{1} << n % 64; }
    void clear(uint64_t n) noexcept { bits_[n / 64 % bits_.size()] &= ~(uint64_t{1} << n % 64); }

    std::array<uint64_t, kSize / 64> bits_{};
    uint64_t next_ = 0;  // one above the highest number seen
    uint32_t fresh_ = 0, late_ = 0, duplicates_ = 0, stale_ = 0;
};

}  // namespace penstock::gen
