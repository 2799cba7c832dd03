// RTSP in HTTP: what real clients write, in any pieces; who may join whom; what hostile ones get.
#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "support/tunnel_stage.hpp"

using namespace penstock;
using namespace penstock::test;
using namespace std::chrono_literals;

namespace {

// base64 of "OPTIONS *" + two requests that end in = and ==, each encoded by itself, as clients do.
constexpr std::string_view kFirst = "OPTIONS rtsp://h/cam RTSP/1.0\r\nCSeq: 1\r\n\r\n";
constexpr std::string_view kSecond = "DESCRIBE rtsp://h/cam RTSP/1.0\r\nCSeq: 2\r\n\r\n";
constexpr std::string_view kThird = "TEARDOWN rtsp://h/cam RTSP/1.0\r\nCSeq: 33\r\n\r\n";
constexpr std::string_view kFirst64 = "T1BUSU9OUyBydHNwOi8vaC9jYW0gUlRTUC8xLjANCkNTZXE6IDENCg0K";
constexpr std::string_view kSecond64 = "REVTQ1JJQkUgcnRzcDovL2gvY2FtIFJUU1AvMS4wDQpDU2VxOiAyDQoNCg==";
constexpr std::string_view kThird64 = "VEVBUkRPV04gcnRzcDovL2gvY2FtIFJUU1AvMS4wDQpDU2VxOiAzMw0KDQo=";

std::string get(std::string_view cookie, std::string_view name = "x-sessioncookie") {
    return fmt::format(
        "GET /cam HTTP/1.0\r\nUser-Agent: QTS\r\n{}: {}\r\nAccept: application/x-rtsp-tunnelled\r\n"
        "Pragma: no-cache\r\nCache-Control: no-cache\r\n\r\n",
        name, cookie);
}
std::string post(std::string_view cookie, std::string_view body = "") {
    return fmt::format(
        "POST /cam HTTP/1.0\r\nx-sessioncookie: {}\r\nContent-Type: application/x-rtsp-tunnelled\r\n"
        "Pragma: no-cache\r\nContent-Length: 32767\r\nExpires: Sun, 9 Jan 1972 00:00:00 GMT\r\n\r\n{}",
        cookie, body);
}
std::string all64() { return fmt::format("{}{}{}", kFirst64, kSecond64, kThird64); }
std::string all() { return fmt::format("{}{}{}", kFirst, kSecond, kThird); }
int status(const TunnelStage& stage, rtsp::ConnectionId id) {
    const auto said = stage.said.find(id);
    return said == stage.said.end() ? 0 : std::stoi(said->second.substr(9, 3));
}
using Ids = std::vector<rtsp::ConnectionId>;

}  // namespace

TEST_CASE("a tunnel is one connection, whatever the pieces", "[tunnel]") {
    for (const size_t piece : {1, 2, 3, 4, 5, 7, 64, 10'000}) {
        INFO("pieces of " << piece);
        TunnelStage stage;
        stage.connect(1);
        stage.connect(2);
        stage.say_in_pieces(1, get("AbC/123+"), piece);
        CHECK(stage.said[1] ==
              "HTTP/1.0 200 OK\r\nServer: test\r\nConnection: close\r\nCache-Control: no-store\r\n"
              "Pragma: no-cache\r\nContent-Type: application/x-rtsp-tunnelled\r\n\r\n");
        CHECK(stage.tunnels.open() == 0);
        stage.say_in_pieces(2, post("AbC/123+", all64()), piece);
        CHECK(stage.rtsp[1] == all());
        CHECK(stage.joined == std::set<rtsp::ConnectionId>{2});
        CHECK(!stage.said.contains(2));
        CHECK(!stage.rtsp.contains(2));
        CHECK(stage.tunnels.open() == 1);
        stage.say(1, "OPTIONS rtsp://h/cam RTSP/1.0\r\nCSeq: 9\r\n\r\n");  // behind a GET nothing counts
        stage.pass(1h);                                                    // and a joined one waits for nothing
        CHECK(stage.rtsp[1] == all());
        CHECK(stage.closed.empty());
        stage.disconnect(1);
        CHECK(stage.closed == Ids{2});
        stage.say(2, kFirst64);
        stage.disconnect(2);
        CHECK(stage.rtsp[1] == all());
        CHECK(stage.tunnels.open() == 0);
        CHECK(stage.tunnels.counters().tunnels == 1);
    }
}

TEST_CASE("RTSP passes as it is", "[tunnel]") {
    for (const std::string_view text :
         {"GET_PARAMETER rtsp://h/cam RTSP/1.0\r\n\r\n", "PLAY rtsp://h/cam RTSP/1.0\r\n\r\n", "GETTER", "POSTAL code",
          "\r\n\r\nOPTIONS", "$\1\0\1x"})
        for (const size_t piece : {1, 2, 3, 100}) {
            TunnelStage stage;
            stage.connect(1);
            stage.say_in_pieces(1, text, piece);
            CHECK(stage.rtsp[1] == text);
            CHECK(stage.closed.empty());
        }
}

TEST_CASE("a POST that ends is followed by another", "[tunnel]") {
    TunnelStage stage;
    for (const rtsp::ConnectionId id : {1, 2, 3, 4}) stage.connect(id);
    stage.say(1, get("c"));
    stage.say(2, post("c", kFirst64));
    stage.disconnect(2);
    stage.pass(9s);
    CHECK(stage.closed.empty());
    stage.say(3, post("c", kSecond64));
    stage.pass(1h);
    CHECK(stage.closed.empty());
    SECTION("before it is closed") {
        stage.say(4, post("c", kThird64));
        CHECK(stage.closed == Ids{3});
        stage.say(3, kFirst64);  // no more is taken of the former one
        CHECK(stage.rtsp[1] == all());
        stage.disconnect(3);
        CHECK(stage.tunnels.open() == 1);
    }
    SECTION("or the tunnel ends") {
        stage.disconnect(3);
        stage.pass(9999ms);
        CHECK(stage.closed.empty());
        stage.pass(1ms);
        CHECK(stage.closed == Ids{1});
        CHECK(stage.tunnels.counters().refused.at("unjoined") == 1);
    }
    CHECK(stage.tunnels.counters().tunnels == 1);
}

TEST_CASE("cookies of several addresses and clients do not mix", "[tunnel]") {
    TunnelStage stage;
    stage.connect(1, "10.0.1.20");
    stage.connect(2, "10.0.1.21");
    stage.connect(3, "10.0.1.20");
    stage.say(1, get("same"));
    stage.say(2, get("same", "X-SessionCookie"));
    stage.say(3, get("other"));
    stage.connect(11, "10.0.1.20");
    stage.connect(12, "10.0.1.21");
    stage.connect(13, "10.0.1.20");
    stage.say(12, post("same", kSecond64));
    stage.say(13, post("other", kThird64));
    stage.say(11, post("same", kFirst64));
    CHECK(stage.rtsp == std::map<rtsp::ConnectionId, std::string>{
                            {1, std::string(kFirst)}, {2, std::string(kSecond)}, {3, std::string(kThird)}});
    stage.connect(21, "10.0.1.22");
    stage.say(21, post("other", kFirst64));  // from another address there is no such GET
    CHECK(status(stage, 21) == 404);
    stage.connect(22, "10.0.1.20");
    stage.say(22, get("other"));  // who has it keeps it
    CHECK(status(stage, 22) == 409);
    CHECK(stage.closed == Ids{21, 22});
    CHECK(stage.rtsp[3] == kThird);
}

TEST_CASE("HTTP that is no tunnel is told so and let go", "[tunnel]") {
    struct Case {
        std::string text;
        int status;
        std::string_view reason;
    };
    const std::string long_cookie(rtsp::kLongestCookie + 1, 'c');
    const Case cases[] = {
        {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 404, "no_tunnel"},
        {"POST / HTTP/1.1\nHost: h\n\n", 404, "no_tunnel"},
        {post("nobody"), 404, "no_get"},
        {get(long_cookie), 400, "cookie"},
        {get("with blanks"), 400, "cookie"},
        {get("caf\xc3\xa9"), 400, "cookie"},
        {get(""), 404, "no_tunnel"},
        {"GET / HTTP/1.0\r\nx-sessioncookie: a\r\nx-sessioncookie: b\r\n\r\n", 404, "no_tunnel"},
        {"GET rtsp://h/cam RTSP/1.0\r\nCSeq: 1\r\n\r\n", 400, "malformed"},
        {"GET \r\n\r\n", 400, "malformed"},
        {"GET /" + std::string(rtsp::kLongestHttpHead, 'x'), 400, "malformed"},
    };
    for (const Case& c : cases)
        for (const size_t piece : {1, 100'000}) {
            INFO(c.text.substr(0, 80) << " in pieces of " << piece);
            TunnelStage stage;
            stage.connect(1);
            stage.say_in_pieces(1, c.text, piece);
            CHECK(status(stage, 1) == c.status);
            CHECK(stage.closed == Ids{1});
            CHECK(stage.rtsp.empty());
            CHECK(stage.tunnels.counters().refused.at(c.reason) == 1);
        }
}

TEST_CASE("what a tunnel may cost", "[tunnel]") {
    TunnelStage stage;
    SECTION("GETs that wait, of one address") {
        for (size_t i = 0; i <= rtsp::kMostUnjoined; i++) {
            stage.connect(i + 1);
            stage.say(i + 1, get(fmt::format("c{}", i)));
        }
        CHECK(status(stage, rtsp::kMostUnjoined) == 200);
        CHECK(status(stage, rtsp::kMostUnjoined + 1) == 503);
        stage.connect(100, "10.0.1.21");
        stage.say(100, get("c"));
        CHECK(status(stage, 100) == 200);
        stage.pass(10s);
        CHECK(stage.closed.size() == rtsp::kMostUnjoined + 2);
    }
    SECTION("a head that does not end") {
        stage.connect(1);
        stage.pass(1h);
        stage.say(1, "GET /cam HTTP/1.0\r\n");
        stage.pass(9s);
        stage.say(1, "x-sessioncookie: c\r\n");
        CHECK(stage.closed.empty());
        stage.pass(1s);
        CHECK(status(stage, 1) == 408);
        CHECK(stage.closed == Ids{1});
    }
    SECTION("a body that is no base64 ends both") {
        stage.connect(1);
        stage.connect(2);
        stage.say(1, get("c"));
        stage.say(2, post("c", std::string(kFirst64) + "\r\n" + std::string(kSecond64) + "====T1BU"));
        CHECK(stage.rtsp[1] == std::string(kFirst) + std::string(kSecond));  // blanks are passed over
        CHECK(stage.closed == Ids{1, 2});
        stage.say(2, kFirst64);
        CHECK(stage.rtsp[1] == std::string(kFirst) + std::string(kSecond));
        CHECK(stage.tunnels.counters().refused.at("base64") == 1);
        stage.connect(3);
        stage.say(3, get("c"));  // the cookie is free
        CHECK(status(stage, 3) == 200);
    }
    SECTION("TLS where there is none") {
        stage.connect(1);
        stage.say(1, std::string("\x16\x03\x01\x02\x00\x01", 6));
        CHECK(stage.closed == Ids{1});
        CHECK(stage.tunnels.counters().tls == 1);
    }
}
