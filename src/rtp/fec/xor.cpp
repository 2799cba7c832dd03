#include "rtp/fec/xor.hpp"

#include <array>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace penstock::rtp::fec {
namespace {

uint64_t load(const std::byte* p) noexcept {
    uint64_t v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
void xor_word(std::byte* to, uint64_t v) noexcept {
    v ^= load(to);
    std::memcpy(to, &v, sizeof v);
}

void portable_one(std::byte* to, const std::byte* from, size_t size) noexcept {
    for (; size >= 8; size -= 8, to += 8, from += 8) xor_word(to, load(from));
    for (size_t i = 0; i < size; i++) to[i] ^= from[i];
}
void portable_two(std::byte* a, std::byte* b, const std::byte* from, size_t size) noexcept {
    for (; size >= 8; size -= 8, a += 8, b += 8, from += 8) {
        const uint64_t v = load(from);
        xor_word(a, v);
        xor_word(b, v);
    }
    for (size_t i = 0; i < size; i++) {
        a[i] ^= from[i];
        b[i] ^= from[i];
    }
}

// The same loop by each instruction set: whole vectors, then the portable one for the rest.
#if defined(__x86_64__)

void sse2_add(std::byte* to, __m128i v) noexcept {
    auto* const p = reinterpret_cast<__m128i*>(to);
    _mm_storeu_si128(p, _mm_xor_si128(_mm_loadu_si128(p), v));
}
void sse2_one(std::byte* to, const std::byte* from, size_t size) noexcept {
    for (; size >= 16; size -= 16, to += 16, from += 16)
        sse2_add(to, _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
    portable_one(to, from, size);
}
void sse2_two(std::byte* a, std::byte* b, const std::byte* from, size_t size) noexcept {
    for (; size >= 16; size -= 16, a += 16, b += 16, from += 16) {
        const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
        sse2_add(a, v);
        sse2_add(b, v);
    }
    portable_two(a, b, from, size);
}

#define PENSTOCK_AVX2 __attribute__((target("avx2")))

PENSTOCK_AVX2 inline void avx2_add(std::byte* to, __m256i v) noexcept {
    auto* const p = reinterpret_cast<__m256i*>(to);
    _mm256_storeu_si256(p, _mm256_xor_si256(_mm256_loadu_si256(p), v));
}
PENSTOCK_AVX2 void avx2_one(std::byte* to, const std::byte* from, size_t size) noexcept {
    for (; size >= 32; size -= 32, to += 32, from += 32)
        avx2_add(to, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
    sse2_one(to, from, size);
}
PENSTOCK_AVX2 void avx2_two(std::byte* a, std::byte* b, const std::byte* from, size_t size) noexcept {
    for (; size >= 32; size -= 32, a += 32, b += 32, from += 32) {
        const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
        avx2_add(a, v);
        avx2_add(b, v);
    }
    sse2_two(a, b, from, size);
}

#define PENSTOCK_AVX512 __attribute__((target("avx512f,avx512bw")))

PENSTOCK_AVX512 inline void avx512_add(std::byte* to, __m512i v) noexcept {
    _mm512_storeu_si512(to, _mm512_xor_si512(_mm512_loadu_si512(to), v));
}
// A mask does the rest: bytes outside are neither read nor written.
PENSTOCK_AVX512 inline void avx512_add(std::byte* to, __m512i v, __mmask64 mask) noexcept {
    _mm512_mask_storeu_epi8(to, mask, _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, to), v));
}
PENSTOCK_AVX512 void avx512_one(std::byte* to, const std::byte* from, size_t size) noexcept {
    for (; size >= 64; size -= 64, to += 64, from += 64) avx512_add(to, _mm512_loadu_si512(from));
    if (size == 0) return;
    const __mmask64 mask = ~uint64_t{0} >> (64 - size);
    avx512_add(to, _mm512_maskz_loadu_epi8(mask, from), mask);
}
PENSTOCK_AVX512 void avx512_two(std::byte* a, std::byte* b, const std::byte* from, size_t size) noexcept {
    for (; size >= 64; size -= 64, a += 64, b += 64, from += 64) {
        const __m512i v = _mm512_loadu_si512(from);
        avx512_add(a, v);
        avx512_add(b, v);
    }
    if (size == 0) return;
    const __mmask64 mask = ~uint64_t{0} >> (64 - size);
    const __m512i v = _mm512_maskz_loadu_epi8(mask, from);
    avx512_add(a, v, mask);
    avx512_add(b, v, mask);
}

#elif defined(__aarch64__)  // where NEON is always there

void neon_add(std::byte* to, uint8x16_t v) noexcept {
    auto* const p = reinterpret_cast<uint8_t*>(to);
    vst1q_u8(p, veorq_u8(vld1q_u8(p), v));
}
void neon_one(std::byte* to, const std::byte* from, size_t size) noexcept {
    for (; size >= 16; size -= 16, to += 16, from += 16) neon_add(to, vld1q_u8(reinterpret_cast<const uint8_t*>(from)));
    portable_one(to, from, size);
}
void neon_two(std::byte* a, std::byte* b, const std::byte* from, size_t size) noexcept {
    for (; size >= 16; size -= 16, a += 16, b += 16, from += 16) {
        const uint8x16_t v = vld1q_u8(reinterpret_cast<const uint8_t*>(from));
        neon_add(a, v);
        neon_add(b, v);
    }
    portable_two(a, b, from, size);
}

#endif

constexpr std::array kXors {
#if defined(__x86_64__)
    Xor{"avx512", avx512_one, avx512_two}, Xor{"avx2", avx2_one, avx2_two}, Xor{"sse2", sse2_one, sse2_two},
#elif defined(__aarch64__)
    Xor{"neon", neon_one, neon_two},
#endif
        Xor{"portable", portable_one, portable_two},
};

size_t first_runnable() noexcept {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512bw")) return 0;
    return __builtin_cpu_supports("avx2") ? 1 : 2;
#else
    return 0;
#endif
}

}  // namespace

std::span<const Xor> runnable_xors() noexcept {
    static const size_t first = first_runnable();
    return std::span{kXors}.subspan(first);
}

}  // namespace penstock::rtp::fec
