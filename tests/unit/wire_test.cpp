#include "base/wire.hpp"

#include <catch2/catch.hpp>

#include "support/bytes.hpp"

using namespace penstock;
using namespace penstock::test;

TEST_CASE("integers are big endian at any alignment", "[wire]") {
    Bytes bytes(16);
    for (size_t at = 0; at < 8; at++) {
        wire::store32(&bytes[at], 0x01020304);
        CHECK(Bytes(bytes.begin() + static_cast<long>(at), bytes.begin() + static_cast<long>(at) + 4) ==
              hex("01020304"));
        CHECK(wire::load32(&bytes[at]) == 0x01020304);
        CHECK(wire::load16(&bytes[at + 1]) == 0x0203);
        CHECK(wire::load8(&bytes[at + 3]) == 4);
        wire::store16(&bytes[at], 0xfffe);
        CHECK(wire::load32(&bytes[at]) == 0xfffe0304);
    }
}

TEST_CASE("folding carries around and keeps zero apart", "[wire]") {
    CHECK(wire::fold(0) == 0);
    CHECK(wire::fold(1) == 1);
    CHECK(wire::fold(0xffff) == 0xffff);
    CHECK(wire::fold(0x10000) == 1);
    CHECK(wire::fold(0x1fffe) == 0xffff);
    CHECK(wire::fold(0xffff'ffff) == 0xffff);
    CHECK(wire::fold(0x1'0000'0000) == 1);
    CHECK(wire::fold(~uint64_t{0}) == 0xffff);
    CHECK(wire::fold(0xfffe'ffff'0001'0001) == 1);
}

TEST_CASE("the example of RFC 1071 section 3", "[wire]") {
    CHECK(wire::sum16(hex("0001 f203 f4f5 f6f7")) == 0xddf2);
    CHECK(wire::sum16({}) == 0);
    CHECK(wire::sum16(hex("ab")) == 0xab00);
}
