#include "rtp/merge.hpp"

#include <catch2/catch.hpp>

using penstock::rtp::Merge;

TEST_CASE("the first copy is used, the second is not", "[merge]") {
    Merge merge;
    for (unsigned i = 65530; i < 65530 + 20; i++) {
        CHECK(merge.first(static_cast<uint16_t>(i), 1));
        CHECK_FALSE(merge.first(static_cast<uint16_t>(i), 1));
    }
}

TEST_CASE("a hole of the leading path is filled by the lagging one, as long as the window remembers it", "[merge]") {
    Merge merge;
    CHECK(merge.first(100, 1));
    for (unsigned s = 102; s < 101 + Merge::kWindow; s++) REQUIRE(merge.first(static_cast<uint16_t>(s), 1));
    CHECK(merge.first(101, 1));
    CHECK_FALSE(merge.first(101, 1));
    CHECK_FALSE(merge.first(100, 1));
}

TEST_CASE("what is older than the window is refused", "[merge]") {
    Merge merge;
    CHECK(merge.first(100, 1));
    for (unsigned s = 102; s <= 101 + Merge::kWindow; s++) REQUIRE(merge.first(static_cast<uint16_t>(s), 1));
    CHECK_FALSE(merge.first(101, 1));
}

TEST_CASE("a restarted source is followed from its second packet on", "[merge]") {
    Merge merge;
    for (unsigned s = 1; s < 10; s++) merge.first(static_cast<uint16_t>(s), 1);
    CHECK_FALSE(merge.first(30000, 1));
    CHECK(merge.first(30001, 1));
    CHECK(merge.first(30002, 1));
    CHECK_FALSE(merge.first(30001, 1));
}

TEST_CASE("a single stray packet moves nothing", "[merge]") {
    Merge merge;
    for (unsigned s = 1; s < 10; s++) merge.first(static_cast<uint16_t>(s), 1);
    CHECK_FALSE(merge.first(30000, 1));
    CHECK(merge.first(10, 1));
    CHECK_FALSE(merge.first(9, 1));
}

TEST_CASE("a new SSRC starts anew", "[merge]") {
    Merge merge;
    for (unsigned s = 1; s < 10; s++) merge.first(static_cast<uint16_t>(s), 1);
    CHECK(merge.first(5, 2));
    CHECK_FALSE(merge.first(5, 2));
}

TEST_CASE("when the SSRC changes, the lagging path brings nothing back", "[merge]") {
    Merge merge;
    constexpr unsigned kLag = 10;
    unsigned used = 0;
    for (unsigned i = 0; i < 100 + kLag; i++) {  // SSRC 1 up to packet 49, SSRC 2 from then on, by two paths
        if (i < 100) used += merge.first(static_cast<uint16_t>(i), i < 50 ? 1 : 2);
        if (i >= kLag) used += merge.first(static_cast<uint16_t>(i - kLag), i - kLag < 50 ? 1 : 2);
    }
    CHECK(used == 100);
}

TEST_CASE("a source that goes back to its former SSRC for good is followed", "[merge]") {
    Merge merge;
    for (unsigned i = 0; i < 10; i++) merge.first(static_cast<uint16_t>(i), 1);
    for (unsigned i = 0; i < 10; i++) merge.first(static_cast<uint16_t>(i), 2);
    unsigned used = 0;
    for (unsigned i = 1000; i < 1500; i++) used += merge.first(static_cast<uint16_t>(i), 1);
    CHECK(used == 500 - 127);
}
