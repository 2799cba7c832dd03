#include "rtp/rtcp.hpp"

#include <catch2/catch.hpp>

#include "rtp/bye.hpp"
#include "support/media.hpp"

using namespace penstock::rtp;
using namespace penstock::test;

TEST_CASE("compound packets are valid or not", "[rtcp]") {
    struct Case {
        const char* what;
        Bytes packet;
        bool valid;
    };
    const auto c = GENERATE(values<Case>({
        {"SR and SDES", sender_report(), true},
        {"an empty RR and BYE", bye(), true},
        {"a lone NACK: RFC 5506", hex("81cd0003 11223344 55667788 00010000"), true},
        {"a lone PLI", hex("81ce0002 11223344 55667788"), true},
        {"XR", hex("80cf0001 11223344"), true},
        {"APP", hex("80cc0002 11223344 41424344"), true},
        {"padding in the last packet", hex("80c90001 11223344 a0cb0002 11223344 00000004"), true},
        {"padding in the first", hex("a0c90002 11223344 00000004 80cb0001 11223344"), false},
        {"padding of none", hex("a0c90002 11223344 00000000"), false},
        {"padding that is no word", hex("a0c90002 11223344 00000003"), false},
        {"padding that eats the header", hex("a0c90002 11223344 0000000c"), false},
        {"padding that leaves the header", hex("a0c90002 11223344 00000008"), true},
        {"version 1", hex("40c90001 11223344"), false},
        {"version 3", hex("c0c90001 11223344"), false},
        {"version 0 in the second", hex("80c90001 11223344 00cb0001 11223344"), false},
        {"below SR", hex("80c70001 11223344"), false},
        {"above XR", hex("80d00001 11223344"), false},
        {"an unknown type in the second", hex("80c90001 11223344 80df0000"), true},  // RFC 3550 6.1: to be ignored
        {"a length too large", hex("80c90002 11223344"), false},
        {"a length too small", hex("80c90000 11223344"), false},
        {"a rest that is no packet", hex("80c90001 11223344 80cb"), false},
        {"length 65535", hex("80c9ffff 11223344"), false},
        {"nothing", {}, false},
    }));
    INFO(c.what);
    CHECK(valid_rtcp(c.packet) == c.valid);
}

TEST_CASE("a compound packet that is cut is valid only where one of its packets ends", "[rtcp]") {
    const Bytes whole = sender_report();
    for (size_t size = 0; size <= whole.size(); size++) {
        INFO(size);
        const Bytes cut(whole.begin(), whole.begin() + static_cast<long>(size));
        CHECK(valid_rtcp(cut) == (size == 28 || size == whole.size()));
    }
}

TEST_CASE("the first report block", "[rtcp]") {
    const auto rr = hex("81c90007 00000001 5eed5eed 40000007 00010203 0000002a 00000000 00000000");
    CHECK(first_report(rr) == ReportBlock{0x5eed5eed, 64, 7, 0x00010203, 42});
    CHECK(first_report(hex("81c90007 00000001 00000002 ffffffff 00000000 00000000 00000000 00000000"))->lost == -1);
    CHECK(first_report(hex("81c80007 00000001 00000000 00000000 00000000 00000000 00000000 00000000")) == std::nullopt);
    CHECK(first_report(hex("80c90001 00000001 81c90007 00000001 00000002 00000003 00000000 00000000 00000000 00000000"))
              ->lost == 3);
    CHECK_FALSE(first_report(sender_report()));
    CHECK_FALSE(first_report(bye()));
    CHECK(says_bye(bye()));
    CHECK_FALSE(says_bye(sender_report()));
    CHECK_FALSE(says_bye({}));
    CHECK_FALSE(first_report(hex("81c90001 00000001")));  // a block is announced, and there is none
    CHECK_FALSE(first_report({}));
}
