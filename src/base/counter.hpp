#pragma once
// A number with one writing thread and any number of readers. add() is a plain load, add and store: no lock prefix.
#include <atomic>
#include <cstdint>

namespace penstock {

class Counter {
public:
    void add(uint64_t n = 1) noexcept {
        value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
    void set(uint64_t v) noexcept { value_.store(v, std::memory_order_relaxed); }
    uint64_t read() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<uint64_t> value_{0};
};

}  // namespace penstock
