#pragma once
// Memory for a fixed number of packets or their sums, in one piece. Slots begin at cache lines; their number of lines
// is odd, so that the first lines of all slots do not fight for the same few sets of a cache.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace penstock::rtp::fec {

// Brings memory into the cache. Always inline: GCC leaves out calls of functions that do nothing but this.
template <bool kToWrite = false>
[[gnu::always_inline]] inline void fetch_lines(const void* from, size_t size) noexcept {
    for (size_t i = 0; i < size; i += 64) __builtin_prefetch(static_cast<const std::byte*>(from) + i, kToWrite ? 1 : 0);
}

class Slots {
public:
    static constexpr size_t kLine = 64;

    Slots(size_t count, size_t size) : stride_(((size + kLine - 1) / kLine | 1) * kLine) {
        memory_.reset(static_cast<std::byte*>(::operator new (count* stride_, std::align_val_t{kLine})));
    }
    std::byte* operator[](size_t i) noexcept { return memory_.get() + i * stride_; }
    const std::byte* operator[](size_t i) const noexcept { return memory_.get() + i * stride_; }

private:
    struct Free {
        void operator()(std::byte* p) const noexcept { ::operator delete (p, std::align_val_t{kLine}); }
    };
    size_t stride_;
    std::unique_ptr<std::byte, Free> memory_;
};

}  // namespace penstock::rtp::fec
