#include "cores.hpp"

#include <catch2/catch.hpp>

using namespace penstock;
using List = std::vector<unsigned>;

TEST_CASE("cores are shared out between control and workers", "[cores]") {
    struct Case {
        std::optional<List> wanted;
        List allowed;
        unsigned control;
        List workers;
    };
    const auto c = GENERATE(values<Case>({
        {std::nullopt, {0}, 0, {0}},  // one core: they share it
        {std::nullopt, {0, 1}, 0, {1}},
        {std::nullopt, {2, 5, 7}, 2, {5, 7}},
        {List{1}, {0, 1}, 0, {1}},
        {List{0}, {0, 1}, 1, {0}},           // control moves away from a worker
        {List{0, 1}, {0, 1}, 0, {0, 1}},     // and shares when it must
        {List{3, 2}, {1, 2, 3}, 1, {3, 2}},  // the order is the configuration's
        {List{4}, {4, 6}, 6, {4}},
    }));
    const auto cores = choose_cores(c.wanted, c.allowed);
    REQUIRE(cores);
    CHECK(cores->control == c.control);
    CHECK(cores->workers == c.workers);
}

TEST_CASE("a core outside the cpuset is refused by name", "[cores]") {
    const auto cores = choose_cores(List{1, 9}, {0, 1, 2});
    REQUIRE_FALSE(cores);
    CHECK(cores.error().text == "workers.cores: core 9 is not in this process's cpuset (0, 1, 2)");
}

TEST_CASE("this process may use some core", "[cores]") {
    const auto cores = allowed_cores();
    REQUIRE_FALSE(cores.empty());
    CHECK(std::is_sorted(cores.begin(), cores.end()));
}
