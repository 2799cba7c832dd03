#pragma once
// The sum of packets over GF(2), which is all that parity codes compute. Which instructions do it is decided once, by
// what the machine can run: the build's own -march is an old one.
#include <cstddef>
#include <span>
#include <string_view>

namespace penstock::rtp::fec {

struct Xor {
    std::string_view name;
    // to ^= from.
    void (*one)(std::byte* to, const std::byte* from, size_t size) noexcept;
    // a ^= from and b ^= from, reading it once: a packet belongs to a row and to a column. a and b do not overlap.
    void (*two)(std::byte* a, std::byte* b, const std::byte* from, size_t size) noexcept;
};

// Those that this machine can run, the fastest first; the last is the portable one.
std::span<const Xor> runnable_xors() noexcept;

inline const Xor& fastest_xor() noexcept { return runnable_xors().front(); }

}  // namespace penstock::rtp::fec
