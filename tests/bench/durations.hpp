#pragma once
// Durations in TSC cycles, to within a hundredth of each. The memory is there from the start: a vector that grows under
// measurement is copied and its new pages are faulted in, tens of milliseconds of which no subject is guilty.
#include <rte_cycles.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace penstock::bench {

class Durations {
public:
    void add(uint64_t cycles, uint64_t count = 1) {
        counts_[place_of(cycles)] += count;
        count_ += count;
    }
    uint64_t count() const { return count_; }
    // Of all of them, so many (0 ... 1) are at most as long.
    double us(double share) const {
        const auto wanted = static_cast<uint64_t>(share * static_cast<double>(count_));
        uint64_t seen = 0;
        size_t place = 0;
        while (place + 1 < counts_.size() && (seen += counts_[place]) <= wanted) place++;
        return middle_of(place) / static_cast<double>(rte_get_tsc_hz()) * 1e6;
    }

private:
    static constexpr int kBits = 6;  // 64 to 127 parts of 2^e each
    static constexpr size_t kParts = size_t{1} << kBits;
    static constexpr int kLongest = 40;  // bits: minutes

    static size_t place_of(uint64_t cycles) {
        const int e = std::clamp(static_cast<int>(std::bit_width(cycles)) - kBits - 1, 0, kLongest);
        return static_cast<size_t>(e) * kParts + static_cast<size_t>(std::min(cycles >> e, uint64_t{2 * kParts - 1}));
    }
    static double middle_of(size_t place) {
        const size_t e = place < 2 * kParts ? 0 : place / kParts - 1;
        return (static_cast<double>(place - e * kParts) + (e == 0 ? 0 : 0.5)) * static_cast<double>(uint64_t{1} << e);
    }

    std::vector<uint64_t> counts_ = std::vector<uint64_t>((kLongest + 2) * kParts);
    uint64_t count_ = 0;
};

}  // namespace penstock::bench
