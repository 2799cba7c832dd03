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
void store(std::byte* to, uint64_t v) noexcept { std::memcpy(to, &v, sizeof v); }

// Where a sum begins, its memory has no meaning yet and is not read.
enum class Sum : bool { begins, goes_on };

void portable_one(std::byte* to, const std::byte* from, size_t size) noexcept {
    for (; size >= 8; size -= 8, to += 8, from += 8) store(to, load(to) ^ load(from));
    for (size_t i = 0; i < size; i++) to[i] ^= from[i];
}
template <Sum kA>
void portable_two(std::byte* a, std::byte* b, const std::byte* from, size_t size) noexcept {
    for (; size >= 8; size -= 8, a += 8, b += 8, from += 8) {
        const uint64_t v = load(from);
        store(a, kA == Sum::begins ? v : v ^ load(a));
        store(b, v ^ load(b));
    }
    for (size_t i = 0; i < size; i++) {
        a[i] = kA == Sum::begins ? from[i] : a[i] ^ from[i];
        b[i] ^= from[i];
    }
}

// The same loop by each instruction set: whole vectors, then the portable one for the rest.
#if defined(__x86_64__)

template <Sum kSum>
void sse2_add(std::byte* to, __m128i v) noexcept {
    auto* const p = reinterpret_cast<__m128i*>(to);
    _mm_storeu_si128(p, kSum == Sum::begins ? v : _mm_xor_si128(_mm_loadu_si128(p), v));
}
void sse2_one(std::byte* to, const std::byte* from, size_t size) noexcept {
    for (; size >= 16; size -= 16, to += 16, from += 16)
        sse2_add<Sum::goes_on>(to, _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
    portable_one(to, from, size);
}
template <Sum kA>
void sse2_two(std::byte* a, std::byte* b, const std::byte* from, size_t size) noexcept {
    for (; size >= 16; size -= 16, a += 16, b += 16, from += 16) {
        const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
        sse2_add<kA>(a, v);
        sse2_add<Sum::goes_on>(b, v);
    }
    portable_two<kA>(a, b, from, size);
}

#define PENSTOCK_AVX2 __attribute__((target("avx2")))

template <Sum kSum>
PENSTOCK_AVX2 inline void avx2_add(std::byte* to, __m256i v) noexcept {
    auto* const p = reinterpret_cast<__m256i*>(to);
    _mm256_storeu_si256(p, kSum == Sum::begins ? v : _mm256_xor_si256(_mm256_loadu_si256(p), v));
}
PENSTOCK_AVX2 void avx2_one(std::byte* to, const std::byte* from, size_t size) noexcept {
    for (; size >= 32; size -= 32, to += 32, from += 32)
        avx2_add<Sum::goes_on>(to, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
    sse2_one(to, from, size);
}
template <Sum kA>
PENSTOCK_AVX2 void avx2_two(std::byte* a, std::byte* b, const std::byte* from, size_t size) noexcept {
    for (; size >= 32; size -= 32, a += 32, b += 32, from += 32) {
        const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
        avx2_add<kA>(a, v);
        avx2_add<Sum::goes_on>(b, v);
    }
    sse2_two<kA>(a, b, from, size);
}

#define PENSTOCK_AVX512 __attribute__((target("avx512f,avx512bw")))

template <Sum kSum>
PENSTOCK_AVX512 inline void avx512_add(std::byte* to, __m512i v) noexcept {
    _mm512_storeu_si512(to, kSum == Sum::begins ? v : _mm512_xor_si512(_mm512_loadu_si512(to), v));
}
// What is to be added, line by line of the sum: add(i, v). Where the sum begins or ends within a line, a mask reads
// zeros for the rest of it, and nothing is stored by a mask: the next packet's load would have to wait for that.
template <class Add>
PENSTOCK_AVX512 inline void avx512_each_line(size_t skip, const std::byte* from, size_t size, Add add) noexcept {
    const size_t end = skip + size;
    from -= skip;
    const auto part = [&](size_t i, uint64_t mask) PENSTOCK_AVX512 { add(i, _mm512_maskz_loadu_epi8(mask, from + i)); };
    const uint64_t first = ~uint64_t{0} << skip, last = ~(~uint64_t{0} << end % 64);
    if (end < 64) return part(0, first & last);
    part(0, first);
    size_t i = 64;
    for (; i + 64 <= end; i += 64) add(i, _mm512_loadu_si512(from + i));
    if (i < end) part(i, last);
}
size_t place_in_line(const std::byte* p) noexcept { return reinterpret_cast<uintptr_t>(p) % 64; }

PENSTOCK_AVX512 void avx512_one(std::byte* to, const std::byte* from, size_t size) noexcept {
    const size_t skip = place_in_line(to);
    to -= skip;
    avx512_each_line(skip, from, size,
                     [&](size_t i, __m512i v) PENSTOCK_AVX512 { avx512_add<Sum::goes_on>(to + i, v); });
}
template <Sum kA>
PENSTOCK_AVX512 void avx512_two(std::byte* a, std::byte* b, const std::byte* from, size_t size) noexcept {
    const size_t skip = place_in_line(a);
    a -= skip;
    b -= skip;
    avx512_each_line(skip, from, size, [&](size_t i, __m512i v) PENSTOCK_AVX512 {
        avx512_add<kA>(a + i, v);
        avx512_add<Sum::goes_on>(b + i, v);
    });
}

#elif defined(__aarch64__)  // where NEON is always there

template <Sum kSum>
void neon_add(std::byte* to, uint8x16_t v) noexcept {
    auto* const p = reinterpret_cast<uint8_t*>(to);
    vst1q_u8(p, kSum == Sum::begins ? v : veorq_u8(vld1q_u8(p), v));
}
void neon_one(std::byte* to, const std::byte* from, size_t size) noexcept {
    for (; size >= 16; size -= 16, to += 16, from += 16)
        neon_add<Sum::goes_on>(to, vld1q_u8(reinterpret_cast<const uint8_t*>(from)));
    portable_one(to, from, size);
}
template <Sum kA>
void neon_two(std::byte* a, std::byte* b, const std::byte* from, size_t size) noexcept {
    for (; size >= 16; size -= 16, a += 16, b += 16, from += 16) {
        const uint8x16_t v = vld1q_u8(reinterpret_cast<const uint8_t*>(from));
        neon_add<kA>(a, v);
        neon_add<Sum::goes_on>(b, v);
    }
    portable_two<kA>(a, b, from, size);
}

#endif

constexpr std::array kXors {
#if defined(__x86_64__)
    Xor{"avx512", avx512_one, avx512_two<Sum::goes_on>, avx512_two<Sum::begins>, 64},
        Xor{"avx2", avx2_one, avx2_two<Sum::goes_on>, avx2_two<Sum::begins>, 1},
        Xor{"sse2", sse2_one, sse2_two<Sum::goes_on>, sse2_two<Sum::begins>, 1},
#elif defined(__aarch64__)
    Xor{"neon", neon_one, neon_two<Sum::goes_on>, neon_two<Sum::begins>, 1},
#endif
        Xor{"portable", portable_one, portable_two<Sum::goes_on>, portable_two<Sum::begins>, 1},
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
