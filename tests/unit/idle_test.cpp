#include "dataplane/idle.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

using penstock::dataplane::Idle;

TEST_CASE("an idle worker polls on for a while, then sleeps longer and longer, never over 300 us", "[idle]") {
    Idle idle;
    unsigned polls = 0;
    uint32_t ns = 0;
    while ((ns = idle.after(false)) == 0) {
        REQUIRE(++polls < 100'000);
    }
    CHECK(polls >= 500);
    std::vector<uint32_t> steps{ns};
    for (int i = 0; i < 10'000; i++) {
        ns = idle.after(false);
        REQUIRE(ns >= steps.back());
        if (ns != steps.back()) steps.push_back(ns);
    }
    CHECK(steps == std::vector<uint32_t>{18'750, 37'500, 75'000, 150'000, 300'000});
}

TEST_CASE("a packet wakes it up altogether", "[idle]") {
    Idle idle;
    for (int i = 0; i < 100'000; i++) idle.after(false);
    CHECK(idle.after(false) == 300'000);
    CHECK(idle.after(true) == 0);
    for (int i = 0; i < 500; i++) REQUIRE(idle.after(false) == 0);
}

TEST_CASE("a clock that is wrong makes no sleep longer", "[idle]") {
    constexpr uint64_t second = uint64_t{1} << 32, now = 1000 * second;
    CHECK(Idle::until(now + second / 10'000, now) == 99'999);
    CHECK(Idle::until(now, now) == 0);
    CHECK(Idle::until(now - second, now) == 0);
    for (const uint64_t far : {second, 3600 * second, UINT64_MAX - now, UINT64_MAX / 2})
        CHECK(Idle::until(now + far, now) == Idle::kLongest);
    CHECK(Idle::until(now, 0) == Idle::kLongest);  // it jumped back
}

TEST_CASE("a worker whose sleep does not end is woken", "[idle]") {
    using namespace std::chrono_literals;
    Idle idle;
    std::atomic<bool> over = false;
    const auto start = std::chrono::steady_clock::now();
    std::thread sleeper([&] {
        idle.sleep(4'000'000'000);  // ns: as long as can be said
        over = true;
    });
    while (!over) idle.wake(), std::this_thread::yield();
    sleeper.join();
    CHECK(std::chrono::steady_clock::now() - start < 3s);
}
