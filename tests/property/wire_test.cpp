#include "base/wire.hpp"

#include <catch2/catch.hpp>

#include "support/random.hpp"

using namespace penstock;
using namespace penstock::test;

TEST_CASE("sum16 is RFC 1071's sum, for every length at every alignment", "[wire]") {
    Random random;
    for (size_t length = 0; length <= 200; length++) {
        for (size_t offset = 0; offset < 8; offset++) {
            const Bytes bytes =
                random.chance(0.1) ? Bytes(length + offset, std::byte{0xff}) : random.bytes(length + offset);
            const auto span = std::span{bytes}.subspan(offset);
            INFO("length " << length << " offset " << offset);
            REQUIRE(wire::sum16(span) == naive_sum(span));
        }
    }
}

TEST_CASE("sums of parts fold to the sum of the whole", "[wire]") {
    Random random;
    for (int i = 0; i < 2000; i++) {
        const Bytes bytes = random.bytes(random.below(9000));
        const size_t cut = random.below<size_t>(bytes.size() / 2 + 1) * 2;
        const auto head = std::span{bytes}.first(std::min(cut, bytes.size())),
                   tail = std::span{bytes}.subspan(head.size());
        REQUIRE(wire::fold(uint64_t{wire::sum16(head)} + wire::sum16(tail)) == wire::sum16(bytes));
    }
}

TEST_CASE("fold keeps the value modulo 0xffff, and zero is zero only", "[wire]") {
    Random random;
    for (int i = 0; i < 100'000; i++) {
        const uint64_t word = random.word() >> random.below(64);
        REQUIRE(wire::fold(word) % 0xffff == word % 0xffff);
        REQUIRE((wire::fold(word) == 0) == (word == 0));
    }
}
