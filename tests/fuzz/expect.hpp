#pragma once
// An invariant of a fuzz target: broken, the program ends there and libFuzzer keeps the input.
#include <cstddef>
#include <cstdint>
#include <span>

#define EXPECT(condition) ((condition) ? static_cast<void>(0) : __builtin_trap())

inline std::span<const std::byte> input(const uint8_t* data, size_t size) {
    return std::as_bytes(std::span{data, size});
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
