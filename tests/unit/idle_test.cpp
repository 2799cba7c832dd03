#include "dataplane/idle.hpp"

#include <catch2/catch.hpp>

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
