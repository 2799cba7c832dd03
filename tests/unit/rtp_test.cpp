// RTP's fixed header, and which protocol a datagram is.
#include <catch2/catch.hpp>

#include "rtp/header.hpp"
#include "rtp/mux.hpp"
#include "support/media.hpp"

using namespace penstock::rtp;
using namespace penstock::test;

TEST_CASE("a header says what its bits say", "[rtp]") {
    const Bytes packet = hex("80e0fffe 80000001 deadbeef aa");
    const auto header = Header::parse(packet);
    REQUIRE(header);
    CHECK(header->marker());
    CHECK(header->payload_type() == 96);
    CHECK(header->sequence() == 0xfffe);
    CHECK(header->timestamp() == 0x80000001);
    CHECK(header->ssrc() == 0xdeadbeef);
    CHECK(header->size() == 12);
    CHECK_FALSE(Header::parse(hex("8060fffe 80000001 deadbeef"))->marker());
}

TEST_CASE("headers are valid or not", "[rtp]") {
    struct Case {
        const char* packet;
        int size;  // of the header; -1 for a version, -2 for a length, -3 for a padding that is wrong
    };
    constexpr int kVersion = -1, kRunt = -2, kPadding = -3;
    const auto c = GENERATE_COPY(values<Case>({
        {"80600001 00000001 00000001", 12},                    // no payload
        {"81600001 00000001 00000001 00000002", 16},           // one CSRC
        {"90600001 00000001 00000001 bede0000", 16},           // an empty extension
        {"90600001 00000001 00000001 bede0001 10aa0000", 20},  // RFC 8285
        {"92600001 00000001 00000001 00000002 00000003 bede0001 10aa0000 ff", 28},
        {"a0600001 00000001 00000001 ff 01", 12},                    // padding of one
        {"a0600001 00000001 00000001 00000004", 12},                 // padding only
        {"a0600001 00000001 00000001 00000005", kPadding},           // more padding than payload
        {"a0600001 00000001 00000001 00000000", kPadding},           // none, though announced
        {"a0600001 00000001 00000001", kPadding},                    // the SSRC is not padding
        {"b0600001 00000001 00000001 bede0001 00000004", kPadding},  // nor is the extension
        {"a1600001 00000001 00000001 00000002 00000005", kPadding},  // nor the CSRC list
        {"a1600001 00000001 00000001 00000002 00000004", 16},
        {"00600001 00000001 00000001", kVersion},
        {"40600001 00000001 00000001", kVersion},
        {"c0600001 00000001 00000001", kVersion},
        {"90600001 00000001 00000001 bedeffff 00000000", kRunt},  // an extension longer than the packet
        {"9f600001 00000001 00000001", kRunt},
        {"", kRunt},
    }));
    INFO(c.packet);
    const Bytes packet = hex(c.packet);
    const auto header = Header::parse(packet);
    if (c.size >= 0) {
        REQUIRE(header);
        CHECK(header->size() == static_cast<size_t>(c.size));
    } else {
        REQUIRE_FALSE(header);
        CHECK(header.error() == (c.size == kVersion ? Invalid::version
                                 : c.size == kRunt  ? Invalid::runt
                                                    : Invalid::padding));
    }
}

TEST_CASE("a header that is cut anywhere is a runt", "[rtp]") {
    const Bytes packet = hex("92600001 00000001 00000001 00000002 00000003 bede0001 10aa0000");
    for (size_t size = 0; size < packet.size(); size++) {
        const Bytes cut(packet.begin(), packet.begin() + static_cast<long>(size));  // its own memory: ASan sees the end
        const auto header = Header::parse(cut);
        REQUIRE_FALSE(header);
        REQUIRE(header.error() == Invalid::runt);
    }
    CHECK(Header::parse(packet));
}

TEST_CASE("the first byte tells the protocol: RFC 7983 section 7", "[mux]") {
    for (unsigned first = 0; first < 256; first++) {
        const auto expected = first <= 3                   ? Protocol::stun
                              : first < 16                 ? Protocol::unknown
                              : first < 20                 ? Protocol::zrtp
                              : first < 64                 ? Protocol::dtls
                              : first < 80                 ? Protocol::turn_channel
                              : first < 128 || first > 191 ? Protocol::unknown
                                                           : Protocol::rtp;
        INFO(first);
        const Bytes alone{std::byte(first)}, more{std::byte(first), std::byte{96}};
        CHECK(protocol_of(alone) == expected);
        CHECK(protocol_of(more) == expected);
    }
    CHECK(protocol_of({}) == Protocol::unknown);
}

TEST_CASE("the second byte tells RTCP from RTP: RFC 5761 section 4", "[mux]") {
    for (unsigned second = 0; second < 256; second++) {
        INFO(second);
        const Bytes payload{std::byte{0x80}, std::byte(second)};
        CHECK(protocol_of(payload) == (second >= 192 && second <= 223 ? Protocol::rtcp : Protocol::rtp));
    }
    CHECK(protocol_of(hex("00c8")) == Protocol::stun);
}
