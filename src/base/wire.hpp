#pragma once
// Unaligned big-endian access and one's-complement sums (RFC 1071). No I/O, no allocation, no DPDK.
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace penstock::wire {

inline uint8_t load8(const std::byte* p) noexcept { return std::to_integer<uint8_t>(*p); }
inline uint16_t load16(const std::byte* p) noexcept {
    uint16_t v;
    std::memcpy(&v, p, sizeof v);
    return __builtin_bswap16(v);
}
inline uint32_t load32(const std::byte* p) noexcept {
    uint32_t v;
    std::memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}
inline void store16(std::byte* p, uint16_t v) noexcept {
    v = __builtin_bswap16(v);
    std::memcpy(p, &v, sizeof v);
}
inline void store32(std::byte* p, uint32_t v) noexcept {
    v = __builtin_bswap32(v);
    std::memcpy(p, &v, sizeof v);
}
static_assert(std::endian::native == std::endian::little);

// Folds a sum of 16-bit words to 16 bits with end-around carry. Never turns a non-zero sum into zero.
constexpr uint16_t fold(uint64_t sum) noexcept {
    // Both halves plus the same exchanged: the carry out of the lower addition is the end-around carry of the upper.
    const auto half = static_cast<uint32_t>((sum + std::rotl(sum, 32)) >> 32);
    return static_cast<uint16_t>((half + std::rotl(half, 16)) >> 16);
}

// The folded one's-complement sum of big-endian 16-bit words; an odd last byte counts as the high byte of a word.
// The sum does not depend on byte order (RFC 1071 section 2), so words are added as they lie and swapped once.
inline uint16_t sum16(std::span<const std::byte> bytes) noexcept {
    const std::byte* p = bytes.data();
    size_t left = bytes.size();
    uint64_t a = 0, b = 0;
    for (; left >= 16; left -= 16, p += 16) {
        uint32_t w[4];
        std::memcpy(w, p, sizeof w);
        a += uint64_t{w[0]} + w[2];
        b += uint64_t{w[1]} + w[3];
    }
    uint64_t sum = a + b;
    for (; left >= 4; left -= 4, p += 4) {
        uint32_t w;
        std::memcpy(&w, p, sizeof w);
        sum += w;
    }
    for (; left >= 2; left -= 2, p += 2) {
        uint16_t w;
        std::memcpy(&w, p, sizeof w);
        sum += w;
    }
    if (left != 0) sum += load8(p);
    return __builtin_bswap16(fold(sum));
}

}  // namespace penstock::wire
