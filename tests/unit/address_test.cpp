#include "base/address.hpp"

#include <catch2/catch.hpp>

#include "support/packet_builder.hpp"

using namespace penstock;
using penstock::test::endpoint;
using penstock::test::ip;

TEST_CASE("addresses are read and written", "[address]") {
    struct Case {
        const char *text, *written;
        bool v4, multicast;
    };
    const auto c = GENERATE(values<Case>({
        {"10.0.0.1", "10.0.0.1", true, false},
        {"255.255.255.255", "255.255.255.255", true, false},
        {"223.255.255.255", "223.255.255.255", true, false},
        {"224.0.0.0", "224.0.0.0", true, true},
        {"239.255.255.255", "239.255.255.255", true, true},
        {"240.0.0.0", "240.0.0.0", true, false},
        {"2001:DB8:0:0::1", "2001:db8::1", false, false},
        {"::1", "::1", false, false},
        {"::", "::", false, false},
        {"ff3e::8000:1", "ff3e::8000:1", false, true},
        {"fe80::1", "fe80::1", false, false},
        {"::ffff:10.0.0.1", "10.0.0.1", true, false},  // an IPv4-mapped address is the IPv4 address
        {"::ffff:e000:1", "224.0.0.1", true, true},
        {"::10.0.0.1", "::10.0.0.1", false, false},  // but an IPv4-compatible one is not
    }));
    INFO(c.text);
    const auto parsed = Ip::parse(c.text);
    REQUIRE(parsed);
    CHECK(parsed->text() == c.written);
    CHECK(Ip::parse(c.written) == parsed);
    CHECK(parsed->is_v4() == c.v4);
    CHECK(parsed->is_multicast() == c.multicast);
    CHECK(parsed->wire().size() == (c.v4 ? 4u : 16u));
}

TEST_CASE("what is no address is refused", "[address]") {
    const auto text = GENERATE(values<std::string>(
        {"", " ", "10.0.0", "10.0.0.256", "10.0.0.1 ", " 10.0.0.1", "10.0.0.1/24", "[::1]", "fe80::1%eth0",
         "1:2:3:4:5:6:7", "1::2::3", "localhost", "10.0.0.1:5004", std::string("10.0.0.1\0x", 10), "012.0.0.1"}));
    INFO(text);
    CHECK_FALSE(Ip::parse(text));
}

TEST_CASE("an unspecified address is known in both families", "[address]") {
    CHECK(ip("0.0.0.0").is_unspecified());
    CHECK(ip("::").is_unspecified());
    CHECK(Ip{}.is_unspecified());
    CHECK_FALSE(ip("0.0.0.1").is_unspecified());
    CHECK_FALSE(ip("::1").is_unspecified());
    CHECK(ip("0.0.0.0") != ip("::"));
}

TEST_CASE("the bytes of an address are in network order", "[address]") {
    const auto copied = [](std::span<const std::byte> of) { return test::Bytes(of.begin(), of.end()); };
    const Ip v4 = ip("10.1.2.3"), v6 = ip("2001:db8::ff");
    CHECK(copied(v4.wire()) == test::hex("0a010203"));
    CHECK(copied(v6.wire()) == test::hex("20010db8 00000000 00000000 000000ff"));
    CHECK(Ip::v6(v6.wire().first<16>()) == v6);
    CHECK(Ip::v4(v4.wire().first<4>()) == v4);
    CHECK(Ip::v6(v4.bytes()) == v4);
}

TEST_CASE("endpoints are read and written", "[address]") {
    const auto text = GENERATE(values<std::string>({"10.0.0.1:5004", "[2001:db8::1]:1", "239.1.1.1:65535", "[::]:7"}));
    CHECK(endpoint(text).text() == text);
}

TEST_CASE("what is no endpoint is refused", "[address]") {
    const auto text = GENERATE(values<std::string>(
        {"", ":", "10.0.0.1", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:-1", "10.0.0.1:5004x",
         "10.0.0.1: 5", "10.0.0.1:+5", "[10.0.0.1]:5004", "2001:db8::1:5004", "[2001:db8::1]", "[2001:db8::1:5004",
         "[]:5004", ":5004", "10.0.0.1:0x10", "10.0.0.1:99999999999999999999"}));
    INFO(text);
    CHECK_FALSE(Endpoint::parse(text));
}

TEST_CASE("prefixes contain what lies below them", "[address]") {
    struct Case {
        const char *prefix, *address;
        bool inside;
    };
    const auto c = GENERATE(values<Case>({
        {"10.0.0.0/24", "10.0.0.255", true},
        {"10.0.0.0/24", "10.0.1.0", false},
        {"10.0.0.77/24", "10.0.0.1", true},  // host bits do not matter
        {"10.0.0.128/25", "10.0.0.128", true},
        {"10.0.0.128/25", "10.0.0.127", false},
        {"10.0.0.0/9", "10.127.0.1", true},
        {"10.0.0.0/9", "10.128.0.1", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "10.0.0.1", false},  // an IPv4 address is in no IPv6 prefix, though it is kept mapped
        {"::/0", "2001:db8::1", true},
        {"10.0.0.1/32", "10.0.0.1", true},
        {"10.0.0.1/32", "10.0.0.2", false},
        {"fd00::/64", "fd00::1:2:3:4", true},
        {"fd00::/64", "fd00:0:0:1::", false},
        {"fd00::1/128", "fd00::1", true},
        {"fd00::1/128", "fd00::2", false},
    }));
    INFO(c.prefix << " " << c.address);
    const auto prefix = Prefix::parse(c.prefix);
    REQUIRE(prefix);
    CHECK(prefix->text() == c.prefix);
    CHECK(prefix->contains(ip(c.address)) == c.inside);
}

TEST_CASE("what is no prefix is refused", "[address]") {
    const auto text = GENERATE(values<std::string>(
        {"", "/", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "fd00::/129", "10.0.0.0/-1", "10.0.0.0/24/8", "/24", "x/8"}));
    INFO(text);
    CHECK_FALSE(Prefix::parse(text));
}

TEST_CASE("MAC addresses are read and written", "[address]") {
    CHECK(Mac::parse("02:00:00:00:00:aB")->text() == "02:00:00:00:00:ab");
    CHECK(Mac::parse("ff:ff:ff:ff:ff:ff")->bytes[5] == std::byte{0xff});
    const auto text = GENERATE(values<std::string>({"", "02:00:00:00:00", "02:00:00:00:00:1", "02-00-00-00-00-01",
                                                    "02:00:00:00:00:0g", "02:00:00:00:00:001", " 2:00:00:00:00:01",
                                                    "0200:00:00:00:001", "-2:00:00:00:00:01", "02:00:00:00:00:01:02"}));
    INFO(text);
    CHECK_FALSE(Mac::parse(text));
}

TEST_CASE("a multicast group has its Ethernet address", "[address]") {
    CHECK(Mac::of_multicast(ip("239.129.2.3")).text() == "01:00:5e:01:02:03");  // 23 bits of the group are left
    CHECK(Mac::of_multicast(ip("224.0.0.251")).text() == "01:00:5e:00:00:fb");
    CHECK(Mac::of_multicast(ip("ff3e::8765:4321")).text() == "33:33:87:65:43:21");
}
