#pragma once
// A number with one writing thread and any number of readers. add() is a plain load, add and store: no lock prefix.
#include <atomic>
#include <cstdint>

namespace penstock {

template <class Number>
class BasicCounter {
public:
    void add(Number n = 1) noexcept { set(static_cast<Number>(read() + n)); }
    void set(Number v) noexcept { value_.store(v, std::memory_order_relaxed); }
    Number read() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<Number> value_{0};
};

using Counter = BasicCounter<uint64_t>;

}  // namespace penstock
