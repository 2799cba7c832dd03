// Messages from bytes and back, from one table; what is malformed; Transport; URLs; port pairs.
#include <catch2/catch.hpp>

#include "control/rtsp/limits.hpp"
#include "control/rtsp/parser.hpp"
#include "control/rtsp/port_pairs.hpp"
#include "control/rtsp/transport.hpp"
#include "control/rtsp/url.hpp"

using namespace penstock;
using namespace penstock::rtsp;

namespace {

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

Headers headers(std::initializer_list<std::pair<const char*, const char*>> list) {
    Headers all;
    for (const auto& [name, value] : list) all.add(name, value);
    return all;
}

int status_of(std::string_view text) {
    Parser parser;
    parser.receive(bytes(text));
    for (;;) {
        const auto message = parser.next();
        if (!message) return message.error().status;
        if (!*message) return 0;
    }
}

}  // namespace

TEST_CASE("messages, both directions", "[rtsp]") {
    const std::pair<std::string, Message> table[] = {
        {"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", Request{"OPTIONS", "*", {1, 0}, headers({{"CSeq", "1"}}), ""}},
        {"PLAY rtsp://h/x RTSP/2.0\r\n\r\n", Request{"PLAY", "rtsp://h/x", {2, 0}, {}, ""}},
        {"ANNOUNCE rtsp://h/x RTSP/1.0\r\nCSeq: 2\r\nContent-Length: 5\r\n\r\nv=0\r\n",
         Request{"ANNOUNCE", "rtsp://h/x", {1, 0}, headers({{"CSeq", "2"}, {"Content-Length", "5"}}), "v=0\r\n"}},
        {"RTSP/1.0 404 Not Found\r\nCSeq: 3\r\n\r\n", Response{404, "Not Found", {1, 0}, headers({{"CSeq", "3"}}), ""}},
        {"RTSP/1.0 299 An own word\r\n\r\n", Response{299, "An own word", {1, 0}, {}, ""}},
        {std::string("$\x01\x00\x02\x80\xff", 6), Frame{1, {std::byte{0x80}, std::byte{0xff}}}},
        {std::string("$\x00\x00\x00", 4), Frame{0, {}}},
    };
    std::string all;
    std::vector<Message> expected;
    for (const auto& [text, message] : table) {
        INFO(text);
        CHECK(std::visit([](const auto& m) { return write(m); }, message) == text);
        all += text;
        expected.push_back(message);
    }
    Parser parser;
    parser.receive(bytes(all));
    for (const Message& message : expected) {
        const auto next = parser.next();
        REQUIRE(next);
        CHECK(*next == message);
    }
    CHECK(parser.next() == std::expected<std::optional<Message>, Malformed>(std::nullopt));
    CHECK(parser.waiting() == 0);
}

TEST_CASE("what clients write otherwise", "[rtsp]") {
    Parser parser;
    // LF alone, empty lines between messages, a folded header, names in any case, blanks around values.
    parser.receive(bytes("\r\n\nOPTIONS * RTSP/1.0\ncseq:7  \nUser-Agent: a\n  b\n\n\r\n"));
    const auto next = parser.next();
    REQUIRE(next);
    REQUIRE(*next);
    const auto& request = std::get<Request>(**next);
    CHECK(request.headers.get("CSeq") == "7");
    CHECK(request.headers.get("USER-AGENT") == "a b");
    // GStreamer names two agents: the first is its own.
    parser.receive(bytes("OPTIONS * RTSP/1.0\r\nUser-Agent: GStreamer/1.22.0\r\nUser-Agent: RealMedia\r\n\r\n"));
    CHECK(std::get<Request>(*parser.next().value()).headers.get("User-Agent") == "GStreamer/1.22.0");
}

TEST_CASE("what is malformed", "[rtsp]") {
    const std::pair<std::string, int> table[] = {
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"OPTIONS\r\n\r\n", 400},
        {"OPTIONS *\r\n\r\n", 400},
        {"OPTIONS  RTSP/1.0\r\n\r\n", 400},
        {"OP(TIONS * RTSP/1.0\r\n\r\n", 400},
        {"OPTIONS a b RTSP/1.0\r\n\r\n", 400},
        {"OPTIONS * RTSP/x.0\r\n\r\n", 400},
        {"RTSP/1.0 20 OK\r\n\r\n", 400},
        {"OPTIONS * RTSP/1.0\r\nno colon\r\n\r\n", 400},
        {"OPTIONS * RTSP/1.0\r\n folded: x\r\n\r\n", 400},
        {"OPTIONS * RTSP/1.0\r\n: x\r\n\r\n", 400},
        {"OPTIONS * RTSP/1.0\r\nA: \x01\r\n\r\n", 400},
        {"OPTIONS * RTSP/1.0\r\nContent-Length: x\r\n\r\n", 400},
        {"OPTIONS * RTSP/1.0\r\nContent-Length: -1\r\n\r\n", 400},
        {"OPTIONS * RTSP/1.0\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
        {"OPTIONS * RTSP/1.0\r\nContent-Length: 65537\r\n\r\n", 413},
        {"OPTIONS * RTSP/1.0\r\nContent-Length: 99999999999999999999999\r\n\r\n", 413},
        {std::string("OPT\0", 4), 400},
        {std::string(kLongestHead + 1, 'A'), 400},
        {"OPTIONS * RTSP/1.0\r\nA: " + std::string(kLongestHead, 'x') + "\r\n\r\n", 400},
    };
    for (const auto& [text, status] : table) {
        INFO(text.substr(0, 100));
        CHECK(status_of(text) == status);
    }
    std::string many = "OPTIONS * RTSP/1.0\r\n";
    for (size_t i = 0; i <= kMostHeaders; i++) many += "A: b\r\n";
    CHECK(status_of(many + "\r\n") == 400);
    CHECK(status_of("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n") == 0);
    Parser parser;  // the number of the request is known by then
    parser.receive(bytes("OPTIONS * RTSP/1.0\r\nCSeq: 12\r\nContent-Length: x\r\n\r\n"));
    CHECK(parser.next().error().cseq == "12");
    parser.receive(bytes("OPTIONS * RTSP/1.0\r\nCSeq: 13\r\n\r\n"));
    CHECK(parser.next().error().cseq == "12");  // nothing is understood after it
    CHECK(parser.waiting() == 0);
}

TEST_CASE("Transport", "[rtsp]") {
    const auto one = [](std::string_view text) {
        auto all = parse_transport(text);
        INFO(text);
        REQUIRE(all);
        REQUIRE(all->size() == 1);
        return (*all)[0];
    };
    Transport t = one("RTP/AVP;unicast;client_port=35120-35121");  // live555, GStreamer, VLC
    CHECK(t.client_port == Pair{35120, 35121});
    CHECK(t.lower == Lower::udp);
    CHECK(t.mode == "PLAY");
    t = one("RTP/AVP/UDP;unicast;client_port=22316-22317;mode=record");  // FFmpeg: /UDP, no quotes
    CHECK(t.profile == "RTP/AVP");
    CHECK(t.mode == "RECORD");
    t = one("RTP/AVP/TCP;unicast;interleaved=2-3;ssrc=93FBCB64;mode=\"PLAY\"");
    CHECK(t.lower == Lower::tcp);
    CHECK(t.interleaved == Pair{2, 3});
    CHECK(t.ssrc == 0x93FBCB64);
    CHECK(one("RTP/AVP;unicast;client_port=5000").client_port == Pair{5000, 5001});
    CHECK(one("RTP/AVP;multicast;destination=\"239.1.1.1\";ttl=16;port=5000-5001").multicast);
    CHECK(one("RTP/SAVPF;unicast;client_port=5000-5001").profile == "RTP/SAVPF");
    t = one("RTP/AVP;unicast;client_port=5000-5001;x=\"a;b,c\";append");
    CHECK(t.others == decltype(t.others){{"x", "a;b,c"}, {"append", ""}});
    CHECK(one(write(t)) == t);

    const auto several = parse_transport(
        "RTP/AVP/TCP;interleaved=0-1, RAW/RAW/UDP;unicast, RTP/AVP;client_port=0-1,"
        "RTP/AVP;unicast;client_port=6-7");
    REQUIRE(several);
    REQUIRE(several->size() == 3);  // port 0 makes no sense
    CHECK((*several)[0].lower == Lower::tcp);
    CHECK((*several)[1].lower == Lower::other);
    CHECK((*several)[2].client_port == Pair{6, 7});
    for (const char* wrong : {"", ",,", "RTP/AVP;client_port=x", "RTP/AVP;client_port=9-8", "RTP/AVP;ttl=256",
                              "RTP/AVP;interleaved=0-256", "RTP/AVP;client_port=65535"})
        CHECK_FALSE(parse_transport(wrong));
    CHECK_FALSE(parse_transport(std::string(kMostAlternatives + 1, ',') + "RTP/AVP"));
}

TEST_CASE("what a URL names", "[rtsp]") {
    CHECK(target_of("rtsp://h/cam") == Target{"cam", ""});
    CHECK(target_of("rtsp://h:554/cam/") == Target{"cam", ""});
    CHECK(target_of("rtsp://user:pw@[fd00::1]:554/cam/video?x=/y#z") == Target{"cam", "video"});
    CHECK(target_of("/cam/video") == Target{"cam", "video"});  // path-only
    for (const char* none : {"*", "", "rtsp://h", "rtsp://h/", "rtsp://h//x", "cam", "rtsp://h/a/b/c"})
        CHECK_FALSE(target_of(none));
    CHECK(base_of("rtsp://h/cam/?x=1") == "rtsp://h/cam");
}

TEST_CASE("pairs of ports", "[rtsp]") {
    const auto any = [](uint16_t) { return true; };
    PortPairs pairs(20001, 20007);  // 20002-20003, 20004-20005, 20006-20007
    CHECK(pairs.size() == 3);
    CHECK(pairs.take(any) == 20002);
    CHECK(pairs.take([](uint16_t port) { return port != 20004; }) == 20006);
    CHECK(pairs.take(any) == 20004);
    CHECK_FALSE(pairs.take(any));
    pairs.give_back(20006);
    CHECK(pairs.taken() == 2);
    CHECK(pairs.take(any) == 20006);
    CHECK(PortPairs(20000, 20000).size() == 0);
    CHECK(PortPairs(65535, 65535).size() == 0);
    PortPairs round(20000, 20003);
    CHECK(round.take(any) == 20000);
    round.give_back(20000);
    CHECK(round.take(any) == 20002);  // not the one that was just given back
    CHECK(PortPairs(20000, 20003, 7).take(any) == 20002);
    CHECK(PortPairs(20000, 20000, 7).size() == 0);
}
