#pragma once
// Generated inputs. The seed differs from run to run and is printed; PENSTOCK_SEED=N repeats a run.
#include <cstdio>
#include <cstdlib>
#include <random>

#include "support/bytes.hpp"

namespace penstock::test {

inline uint64_t seed() {
    static const uint64_t chosen = [] {
        const char* given = std::getenv("PENSTOCK_SEED");
        const uint64_t s = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
        std::printf("PENSTOCK_SEED=%llu\n", static_cast<unsigned long long>(s));
        std::fflush(stdout);
        return s;
    }();
    return chosen;
}

// Every test case makes its own, so that it can be repeated alone.
class Random {
public:
    explicit Random(uint64_t more = 0) : engine_(seed() + more) {}

    uint64_t word() { return engine_(); }
    template <class Number = unsigned>
    Number below(uint64_t end) {  // 0 to end - 1
        return static_cast<Number>(std::uniform_int_distribution<uint64_t>{0, end - 1}(engine_));
    }
    template <class Number = unsigned>
    Number between(uint64_t first, uint64_t last) {
        return static_cast<Number>(first + below<uint64_t>(last - first + 1));
    }
    bool chance(double p) { return std::bernoulli_distribution{p}(engine_); }
    template <class List>
    auto& one_of(List& list) {
        return list[below<size_t>(list.size())];
    }
    Bytes bytes(size_t size) {
        Bytes out(size);
        for (std::byte& b : out) b = static_cast<std::byte>(word() & 0xff);
        return out;
    }

private:
    std::mt19937_64 engine_;
};

}  // namespace penstock::test
