#pragma once
// 64 bits that nobody can guess, of the kernel.
#include <sys/random.h>

#include <cstdint>
#include <cstdlib>

namespace penstock {

inline uint64_t random_bits() {
    uint64_t bits = 0;
    if (getrandom(&bits, sizeof bits, 0) != sizeof bits) std::abort();  // cannot be once the kernel's pool is ready
    return bits;
}

}  // namespace penstock
