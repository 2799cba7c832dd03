#include <catch2/catch.hpp>

#include <array>
#include <string>
#include <vector>

#include "rtp/rtcp/bye.hpp"
#include "rtp/rtcp/description.hpp"
#include "rtp/rtcp/feedback.hpp"
#include "rtp/rtcp/report.hpp"
#include "rtp/rtcp/writer.hpp"
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

TEST_CASE("the report on an SSRC, or the first", "[rtcp]") {
    const auto rr = hex("81c90007 00000001 5eed5eed 40000007 00010203 0000002a 00000000 00000000");
    CHECK(report_on(0, rr) == ReportBlock{0x5eed5eed, 64, 7, 0x00010203, 42});
    CHECK(report_on(0, hex("81c90007 00000001 00000002 ffffffff 00000000 00000000 00000000 00000000"))->lost == -1);
    CHECK(report_on(0, hex("81c80007 00000001 00000000 00000000 00000000 00000000 00000000 00000000")) == std::nullopt);
    CHECK(report_on(0, hex("80c90001 00000001 81c90007 00000001 00000002 00000003 00000000 00000000 00000000 00000000"))
              ->lost == 3);
    const auto both =
        hex("82c9000d 00000001 0000000a 00000003 00000000 00000000 00000000 00000000"
            "0000000b 00000004 00000000 00000000 00000000 00000000");
    CHECK(report_on(0xa, both)->lost == 3);
    CHECK(report_on(0xb, both)->lost == 4);
    CHECK(report_on(0xc, both)->lost == 3);
    CHECK_FALSE(report_on(0, sender_report()));
    CHECK_FALSE(report_on(0, bye()));
    CHECK(says_bye(bye()));
    CHECK_FALSE(says_bye(sender_report()));
    CHECK_FALSE(says_bye({}));
    CHECK_FALSE(report_on(0, hex("81c90001 00000001")));  // a block is announced, and there is none
    CHECK_FALSE(report_on(0, {}));
}

namespace {

std::vector<RtcpPacket> packets_of(const Bytes& datagram) {
    std::vector<RtcpPacket> all;
    each_packet(datagram, [&](const RtcpPacket& p) { all.push_back(p); });
    return all;
}
std::vector<uint16_t> asked(const Bytes& datagram) {
    std::vector<uint16_t> numbers;
    const auto nack = feedback(packets_of(datagram).at(0), RtcpType::rtpfb, kNack);
    if (nack) each_number(*nack, [&](uint16_t n) { numbers.push_back(n); });
    return numbers;
}
Bytes of(const RtcpWriter& writer) { return {writer.written().begin(), writer.written().end()}; }

}  // namespace

TEST_CASE("the packets of a compound one, without their padding", "[rtcp]") {
    const auto all = packets_of(hex("80c90001 11223344 a0cb0002 11223344 00000004"));
    REQUIRE(all.size() == 2);
    CHECK(all[0].type == RtcpType::rr);
    CHECK(all[0].body.size() == 4);
    CHECK(all[1].type == RtcpType::bye);
    CHECK(all[1].body.size() == 4);
    CHECK(packets_of(hex("80c90002 11223344")).empty());
    CHECK(packets_of(hex("a0c90001 000000ff")).empty());
}

TEST_CASE("what a sender report says", "[rtcp]") {
    const Bytes bytes = sender_report();
    const auto all = packets_of(bytes);
    CHECK(sender_info(all[0]) == SenderInfo{0x11223344, 0xe000000000000000, 3000, 100, 20000});
    CHECK_FALSE(sender_info(all[1]));
    CHECK(middle_of(0x1122334455667788) == 0x33445566);
    const Bytes cut = hex("80c80001 11223344");
    CHECK_FALSE(sender_info(packets_of(cut)[0]));
}

TEST_CASE("the items of a description", "[rtcp]") {
    std::string names;
    const Bytes sdes = hex("82ca0006 00000001 01036140 62020178 00000000 00000002 0101630000000000");
    each_packet(sdes, [&](const RtcpPacket& p) {
        each_item(p, [&](uint32_t ssrc, uint8_t type, std::string_view text) {
            names += std::to_string(ssrc) + ":" + std::to_string(type) + "=" + std::string(text) + " ";
        });
    });
    CHECK(names == "1:1=a@b 1:2=x 2:1=c ");
    const Bytes overlong = hex("81ca0002 00000001 01ff6140");
    each_packet(overlong, [&](const RtcpPacket& p) { each_item(p, [](auto...) { FAIL("it does not fit"); }); });
}

TEST_CASE("who leaves, and why", "[rtcp]") {
    const Bytes bytes = hex("82cb0003 00000001 00000002 03656e64");
    const auto all = packets_of(bytes);
    std::vector<uint32_t> gone;
    each_leaving(all[0], [&](uint32_t ssrc) { gone.push_back(ssrc); });
    CHECK(gone == std::vector<uint32_t>{1, 2});
    CHECK(reason_of(all[0]) == "end");
    const Bytes cut = hex("81cb0002 00000001 ff656e64");
    CHECK(reason_of(packets_of(cut)[0]).empty());
}

TEST_CASE("the numbers that a NACK asks for", "[rtcp]") {
    CHECK(asked(hex("81cd0003 00000001 00000002 00010000")) == std::vector<uint16_t>{1});
    CHECK(asked(hex("81cd0004 00000001 00000002 fffe8005 00640001")) ==
          std::vector<uint16_t>{0xfffe, 0xffff, 1, 14, 100, 101});
    CHECK(asked(hex("8fcd0003 00000001 00000002 00010000")).empty());  // transport-cc is no NACK
    CHECK(asked(hex("81ce0003 00000001 00000002 00010000")).empty());
    CHECK(asked(hex("81cd0001 00000001")).empty());
}

TEST_CASE("who asks for a key frame", "[rtcp]") {
    const auto asks = [](const Bytes& bytes) { return asks_key_frame(packets_of(bytes).at(0), 2); };
    CHECK(asks(hex("81ce0002 00000001 00000002")));
    CHECK_FALSE(asks(hex("81ce0002 00000001 00000003")));
    CHECK(asks(hex("84ce0006 00000001 00000000 00000009 01000000 00000002 01000000")));
    CHECK_FALSE(asks(hex("84ce0004 00000001 00000002 00000009 01000000")));
    CHECK_FALSE(asks(hex("8fce0002 00000001 00000002")));  // REMB
}

TEST_CASE("what we write", "[rtcp]") {
    std::array<std::byte, 256> room;
    RtcpWriter writer(room);
    const ReportBlock block{0x5eed5eed, 64, -1, 0x00010203, 42, 0x33445566, 0x10000};
    CHECK(writer.receiver_report(1, {&block, 1}));
    CHECK(writer.cname(1, "ab"));
    const std::vector<uint16_t> numbers{0xfffe, 0xffff, 1, 14, 15, 100};
    CHECK(writer.nack(1, 2, numbers) == 6);
    CHECK(writer.pli(1, 2));
    CHECK(writer.fir(1, 2, 7));
    CHECK(writer.bye(1, "end"));
    CHECK(of(writer) == hex("81c90007 00000001 5eed5eed 40ffffff 00010203 0000002a 33445566 00010000"
                            "81ca0003 00000001 01026162 00000000"
                            "81cd0005 00000001 00000002 fffe8005 000f0000 00640000"
                            "81ce0002 00000001 00000002"
                            "84ce0004 00000001 00000000 00000002 07000000"
                            "81cb0002 00000001 03656e64"));
    CHECK(valid_rtcp(writer.written()));
}

// RFC 3611 sections 4.4 and 4.5.
TEST_CASE("times of receivers, and how long ago they were", "[rtcp]") {
    std::array<std::byte, 64> room;
    RtcpWriter writer(room);
    CHECK(writer.reference_time(1, 0x0123456789abcdef));
    CHECK(writer.since_reference(2, {3, 0x456789ab, 0x10000}));
    const Bytes written = of(writer);
    CHECK(written == hex("80cf0004 00000001 04000002 01234567 89abcdef"
                         "80cf0005 00000002 05000003 00000003 456789ab 00010000"));
    CHECK(valid_rtcp(written));
    const auto read = [](const Bytes& rtcp) {
        std::optional<uint64_t> time;
        std::vector<SinceReference> since;
        each_packet(rtcp, [&](const RtcpPacket& p) {
            if (const auto one = reference_time(p)) time = one;
            each_since_reference(p, [&](const SinceReference& one) { since.push_back(one); });
        });
        return std::pair(time, since);
    };
    CHECK(read(written) ==
          std::pair(std::optional<uint64_t>(0x0123456789abcdef), std::vector{SinceReference{3, 0x456789ab, 0x10000}}));
    // Other blocks are passed over; those that lie are not read, nor what follows them.
    CHECK(read(hex("80cf0006 00000001 01000001 ffffffff 04000002 00000001 00000002")).first == 0x100000002);
    CHECK_FALSE(read(hex("80cf0003 00000001 04000002 00000001")).first);
    CHECK_FALSE(read(hex("80cf0003 00000001 04000001 00000001")).first);
    CHECK_FALSE(read(hex("80c90004 00000001 04000002 00000001 00000002")).first);
    CHECK(read(hex("80cf0004 00000001 05000002 00000001 00000002")).second.empty());
    CHECK(read(hex("80cf0000")).second.empty());
    CHECK_FALSE(RtcpWriter(std::span{room}.first(19)).reference_time(1, 1));
    CHECK_FALSE(RtcpWriter(std::span{room}.first(23)).since_reference(1, {}));
}

TEST_CASE("what finds no room is not written, and of a NACK's numbers only those that do", "[rtcp]") {
    std::array<std::byte, 20> room;
    RtcpWriter writer(room);
    const std::vector<uint16_t> numbers{1, 100, 200, 300};
    CHECK(writer.nack(1, 2, numbers) == 2);
    CHECK(of(writer) == hex("81cd0004 00000001 00000002 00010000 00640000"));
    CHECK_FALSE(writer.pli(1, 2));
    CHECK(writer.written().size() == 20);
    RtcpWriter tight(std::span{room}.first(12));
    CHECK(tight.nack(1, 2, numbers) == 0);
    CHECK(tight.written().empty());
    CHECK(tight.nack(1, 2, {}) == 0);
    CHECK_FALSE(RtcpWriter(room).cname(1, std::string(256, 'x')));
}
