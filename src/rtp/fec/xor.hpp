#pragma once
// The sum of packets over GF(2), which is all that parity codes compute. Which instructions do it is decided once, by
// what the machine can run: the build's own -march is an old one.
//
// Sums lie in memory of which whole lines of 64 bytes are the caller's: what lies beside them there is written as it
// is, or as zeros where a sum begins.
#include <cstddef>
#include <span>
#include <string_view>

namespace penstock::rtp::fec {

struct Xor {
    std::string_view name;
    // to ^= from.
    void (*one)(std::byte* to, const std::byte* from, size_t size) noexcept;
    // a ^= from and b ^= from, reading it once: a packet belongs to a row and to a column. a and b do not overlap.
    // Both begin at the same place of a line.
    void (*two)(std::byte* a, std::byte* b, const std::byte* from, size_t size) noexcept;
    // a = from and b ^= from: the packet is the first of a.
    void (*first)(std::byte* a, std::byte* b, const std::byte* from, size_t size) noexcept;
    // Where sums begin at the same place as packets, modulo this, no vector lies in two lines. 1: that gains nothing.
    size_t line;
};

// Those that this machine can run, the fastest first; the last is the portable one.
std::span<const Xor> runnable_xors() noexcept;

inline const Xor& fastest_xor() noexcept { return runnable_xors().front(); }

}  // namespace penstock::rtp::fec
