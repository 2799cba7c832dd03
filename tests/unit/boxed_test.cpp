#include "base/boxed.hpp"

#include <catch2/catch.hpp>

#include <string>

using penstock::Boxed;
using Text = Boxed<std::string>;

TEST_CASE("what is boxed is copied with what it is part of", "[boxed]") {
    Text a = "lan";
    Text b = a;
    *b += "2";
    CHECK(a == "lan");
    CHECK(b == "lan2");
    b = a;
    CHECK(a == b);
    Text c = std::move(a);
    CHECK(c == "lan");
    CHECK_FALSE(a);
    c = std::nullopt;
    CHECK(c == std::nullopt);
    CHECK(sizeof c == sizeof(void*));
}

TEST_CASE("a box is as an optional is", "[boxed]") {
    const std::optional<std::string> none, some = "wan";
    Text box = some;
    CHECK(box == "wan");
    CHECK(std::optional<std::string>(box) == some);
    CHECK(box.value_or("any") == "wan");
    box = none;
    CHECK_FALSE(box.has_value());
    CHECK(std::optional<std::string>(box) == none);
    CHECK(box.value_or("any") == "any");
    CHECK(box != "any");
    CHECK(box < Text("a"));  // absent comes first
    CHECK(box.emplace(3, 'x') == "xxx");
    CHECK(Text("a") < Text("b"));
    box.reset();
    CHECK(box == Text());
}
