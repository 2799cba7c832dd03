// The client as a state machine: what it says to a camera, word by word, and what it makes of what cameras say.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <deque>

#include "control/rtsp/pull.hpp"
#include "control/rtsp/url.hpp"

using namespace penstock;
using namespace penstock::rtsp;
using config::location_of;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view kSdp =
    "v=0\r\no=- 0 0 IN IP4 10.0.0.7\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    "a=control:track1\r\nm=audio 0 RTP/AVP 0\r\na=control:track2\r\n";

// A client whose camera is the test.
class Talk {
public:
    explicit Talk(std::string_view url = "rtsp://u:p@10.0.0.7/live", Way way = Way::udp)
        : client({*location_of(url), way, "test"}, [this] { return ++random_; }) {
        client.start(now);
        drain();
        connect();
    }
    void connect() {
        client.connected(now, *Ip::parse("10.0.0.7"));
        drain();
    }
    // The first line of what was asked last.
    std::string asked() const { return said.substr(0, said.find(" RTSP/1.0")); }
    std::string header(std::string_view name) const {
        const size_t at = said.find(fmt::format("\r\n{}: ", name));
        if (at == std::string::npos) return "none";
        const size_t value = at + name.size() + 4;
        return said.substr(value, said.find("\r\n", value) - value);
    }
    void hear(std::string_view text) {
        client.receive(now, std::as_bytes(std::span(text)));
        drain();
    }
    void answer(int status, std::string_view headers = "", std::string_view body = "") {
        hear(fmt::format("RTSP/1.0 {} {}\r\nCSeq: {}\r\n{}{}\r\n{}", status, reason_of(status), header("CSeq"), headers,
                         body.empty() ? "" : fmt::format("Content-Length: {}\r\n", body.size()), body));
    }
    void describe(std::string_view headers = "", std::string_view sdp = kSdp) {
        answer(200, "Public: OPTIONS, GET_PARAMETER\r\n");
        answer(200, headers, sdp);
    }
    void choose(size_t tracks = 1) {
        std::vector<Wanted> all;
        for (size_t i = 0; i < tracks; i++)
            all.push_back({i, Pair{static_cast<uint16_t>(5000 + 2 * i), static_cast<uint16_t>(5001 + 2 * i)}});
        client.set_up(now, all);
        drain();
    }
    void play() {
        client.play(now);
        drain();
    }
    // Up to the answer of PLAY, one track.
    void until_playing(std::string_view session = "77;timeout=10", std::string_view transport = "RTP/AVP;unicast") {
        describe();
        choose();
        answer(200, fmt::format("Session: {}\r\nTransport: {}\r\n", session, transport));
        play();
        answer(200);
    }
    void pass(Duration time) {
        now += time;
        client.expire(now);
        drain();
    }
    std::string end() const {
        return !over ? "not over" : over->failure ? std::string(name(*over->failure)) : "stopped";
    }

    Instant now{};
    Client client;
    std::string said;  // the last
    std::vector<std::string> places;
    std::vector<client::Granted::Track> granted;
    std::vector<client::Received> frames;
    std::optional<client::Over> over;
    size_t requests = 0, closed = 0;

private:
    void drain() {
        while (auto output = client.poll()) std::visit([this](auto& o) { on(o); }, *output);
    }
    void on(const client::Connect& c) { places.push_back(fmt::format("{}:{}", c.host, c.port)); }
    void on(const client::Send& s) {
        said = s.bytes;
        requests++;
    }
    void on(const client::Close&) { closed++; }
    void on(const client::Described&) {}
    void on(const client::Granted& g) { granted = g.tracks; }
    void on(const client::Playing&) {}
    void on(client::Received& r) { frames.push_back(r); }
    void on(const client::Over& o) { over = o; }
    uint64_t random_ = 0;
};

}  // namespace

TEST_CASE("where a camera is", "[rtsp]") {
    const auto full = location_of("RTSP://us%65r:p@ss:w%20d@cam-1.lan:8554/a/b?channel=1&subtype=0");
    REQUIRE(full);
    CHECK(*full == Location{"cam-1.lan", 8554, "rtsp://cam-1.lan:8554/a/b?channel=1&subtype=0", "user", "p@ss:w d"});
    CHECK(location_of("rtsp://[fd00::7]:8554/x")->host == "fd00::7");
    CHECK(location_of("rtsp://[fd00::7]/x")->url == "rtsp://[fd00::7]/x");
    CHECK(location_of("rtsp://10.0.0.7")->port == 554);
    for (const char* wrong :
         {"", "http://h/x", "rtsps://h/x", "rtsp://", "rtsp:///x", "rtsp://h:0/", "rtsp://h:/", "rtsp://h:65536/",
          "rtsp://[fd00::7/x", "rtsp://[10.0.0.1]/", "rtsp://u:%4@h/", "rtsp://u:%0a@h/", "rtsp://:p@h/", "rtsp://a b/",
          "rtsp://h/\r\nX", "rtsp://[fd00::7]8/"}) {
        INFO(wrong);
        CHECK_FALSE(location_of(wrong));
    }
    for (const auto& [base, relative, url] : {
             std::tuple{"rtsp://h/live", "track1", "rtsp://h/live/track1"},
             {"rtsp://h/live/", "track1", "rtsp://h/live/track1"},
             {"rtsp://h/live", "*", "rtsp://h/live"},
             {"rtsp://h/live", "", "rtsp://h/live"},
             {"rtsp://h/live", "rtsp://o/t", "rtsp://o/t"},
             {"rtsp://h:8554/live", "/t", "rtsp://h:8554/t"},
             {"rtsp://h/c?channel=1&subtype=0", "trackID=0", "rtsp://h/c?channel=1&subtype=0/trackID=0"},
             {"rtsp://h/c", "?t=1", "rtsp://h/c?t=1"},
         })
        CHECK(resolve(base, relative) == url);
}

TEST_CASE("from OPTIONS to TEARDOWN", "[rtsp]") {
    Talk t;
    CHECK(t.places == std::vector<std::string>{"10.0.0.7:554"});
    CHECK(t.said == "OPTIONS rtsp://10.0.0.7/live RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: test\r\n\r\n");
    t.answer(200, "Public: OPTIONS, GET_PARAMETER\r\n");
    CHECK(t.said ==
          "DESCRIBE rtsp://10.0.0.7/live RTSP/1.0\r\nCSeq: 2\r\nUser-Agent: test\r\n"
          "Accept: application/sdp\r\n\r\n");
    t.answer(200, "Content-Base: rtsp://10.0.0.7/live/\r\nContent-Type: application/sdp;charset=utf-8\r\n", kSdp);
    CHECK(t.client.step() == Step::choosing);
    t.choose(2);
    CHECK(t.said ==
          "SETUP rtsp://10.0.0.7/live/track1 RTSP/1.0\r\nCSeq: 3\r\nUser-Agent: test\r\n"
          "Transport: RTP/AVP;unicast;client_port=5000-5001\r\n\r\n");
    t.answer(200,
             "Session: 77;timeout=10\r\nTransport: RTP/AVP/UDP;unicast;client_port=5000-5001;server_port=7000-7001;"
             "ssrc=00000ABC\r\n");
    CHECK(t.asked() == "SETUP rtsp://10.0.0.7/live/track2");
    CHECK(t.header("Session") == "77");
    // Without source and server_port: who sends is who was connected to.
    t.answer(200, "Session: 77\r\nTransport: RTP/AVP;unicast;client_port=5002-5003\r\n");
    CHECK(t.client.step() == Step::ready);
    REQUIRE(t.granted.size() == 2);
    CHECK(t.granted[0].transport.source == "10.0.0.7");
    CHECK(t.granted[0].transport.server_port == Pair{7000, 7001});
    CHECK_FALSE(t.granted[1].transport.server_port);
    t.play();
    CHECK(t.asked() == "PLAY rtsp://10.0.0.7/live/");
    CHECK(t.header("Range") == "npt=0.000-");
    t.answer(200);  // without RTP-Info and Session
    CHECK(t.client.step() == Step::playing);
    t.client.stop(t.now);
    t.pass(0s);
    CHECK(t.asked() == "TEARDOWN rtsp://10.0.0.7/live/");
    t.answer(200);
    CHECK(t.end() == "stopped");
    CHECK(t.closed == 1);
}

TEST_CASE("a camera that wants a password", "[rtsp]") {
    const std::string digest =
        "WWW-Authenticate: Digest realm=\"cam\", nonce=\"n1\", algorithm=SHA-256, qop=\"auth\"\r\n";
    const auto proof = [](Talk& t, std::string_view method) {
        const auto c = parse_credentials(t.header("Authorization"));
        return c && proves(*c, method, secret_of(c->algorithm, "u", "cam", "p"));
    };
    Talk t;
    t.answer(200);
    t.answer(401, "WWW-Authenticate: Basic realm=\"cam\"\r\nWWW-Authenticate: Digest realm=\"cam\", nonce=\"m\"\r\n" +
                      digest);
    CHECK(t.asked() == "DESCRIBE rtsp://10.0.0.7/live");
    CHECK(proof(t, "DESCRIBE"));
    CHECK(parse_credentials(t.header("Authorization"))->algorithm == Algorithm::sha256);
    t.answer(200, "", kSdp);
    t.choose();
    CHECK(proof(t, "SETUP"));
    CHECK(parse_credentials(t.header("Authorization"))->nonce_count == "00000002");
    // The nonce is old by now, with stale=true or without.
    t.answer(401, "WWW-Authenticate: Digest realm=\"cam\", nonce=\"n2\", algorithm=MD5\r\n");
    CHECK(proof(t, "SETUP"));
    CHECK(t.header("Authorization").find("qop") == std::string::npos);
    // The same nonce once more: the password is wrong.
    t.answer(401, "WWW-Authenticate: Digest realm=\"cam\", nonce=\"n2\", algorithm=MD5\r\n");
    CHECK(t.end() == "unauthorized");

    Talk for_ever;  // a new nonce each time is no reason to guess on and on
    for_ever.answer(200);
    for (int i = 0; i < 3; i++)
        for_ever.answer(401, fmt::format("WWW-Authenticate: Digest realm=\"cam\", nonce=\"{}\"\r\n", i));
    CHECK(for_ever.end() == "unauthorized");

    Talk basic("rtsp://user:pass@10.0.0.7/");
    basic.answer(401, "WWW-Authenticate: Basic realm=\"cam\"\r\n");
    CHECK(basic.header("Authorization") == "Basic dXNlcjpwYXNz");
    basic.answer(302, "Location: rtsp://10.0.0.8/\r\n");  // not in the clear to another
    basic.connect();
    basic.answer(401, "WWW-Authenticate: Basic realm=\"cam\"\r\n");
    CHECK(basic.end() == "unauthorized");

    Talk nobody("rtsp://10.0.0.7/");
    nobody.answer(401, digest);
    CHECK(nobody.end() == "unauthorized");
}

TEST_CASE("what cameras do that is odd", "[rtsp]") {
    SECTION("Axis: OPTIONS is not implemented") {
        Talk t;
        t.answer(501);
        CHECK(t.asked() == "DESCRIBE rtsp://10.0.0.7/live");
    }
    SECTION("Dahua: Content-Base with a query; control URLs go behind it") {
        Talk t("rtsp://10.0.0.7/cam/realmonitor?channel=1&subtype=0");
        t.describe("Content-Base: rtsp://10.0.0.7/cam/realmonitor?channel=1&subtype=0/\r\n");
        t.choose();
        CHECK(t.asked() == "SETUP rtsp://10.0.0.7/cam/realmonitor?channel=1&subtype=0/track1");
    }
    SECTION("no control at all, and a session-level one for PLAY") {
        Talk t;
        t.describe("Content-Location: /other/\r\n",
                   "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=control:rtsp://10.0.0.7/all\r\n"
                   "m=video 0 RTP/AVP 96\r\n");
        t.choose();
        CHECK(t.asked() == "SETUP rtsp://10.0.0.7/other/");
        t.answer(200, "Session: 1\r\nTransport: RTP/AVP;unicast\r\n");
        t.play();
        CHECK(t.asked() == "PLAY rtsp://10.0.0.7/all");
    }
    SECTION("camera apps of telephones: Content-Base without a scheme") {
        Talk t;
        t.describe("Content-Base: 10.0.0.7:1935/\r\n");
        t.choose();
        CHECK(t.asked() == "SETUP rtsp://10.0.0.7/live/track1");
    }
    SECTION("Hikvision, Dahua: RTP ports alone, ssrc with blanks; an IPv6 literal") {
        Talk t("rtsp://[fd00::7]:8554/live");
        CHECK(t.places.back() == "fd00::7:8554");
        t.describe("Content-Base: rtsp://[fd00::7]:8554/live/\r\n");
        t.choose();
        CHECK(t.asked() == "SETUP rtsp://[fd00::7]:8554/live/track1");
        t.answer(200, "Session: 1;timeout=2\r\nTransport: RTP/AVP/UDP;unicast;client_port=5000;server_port=8052;"
                      "ssrc= 4317f;mode=play\r\n");
        REQUIRE(t.granted.size() == 1);
        CHECK(t.granted[0].transport.server_port == Pair{8052, 8053});
        CHECK(t.granted[0].transport.ssrc == 0x4317f);
        CHECK(t.client.keepalive() == 1s);  // of a session that lives for two
    }
    SECTION("VLC: no interleaved= in the answer") {
        Talk t("rtsp://10.0.0.7/", Way::tcp);
        t.until_playing("1", "RTP/AVP/TCP;unicast");
        t.hear(std::string_view("$\0\0\1a$\1\0\1b$\2\0\1c", 15));
        REQUIRE(t.frames.size() == 2);
        CHECK_FALSE(t.frames[0].rtcp);
        CHECK(t.frames[1].rtcp);
    }
    SECTION("channels of the server's choice, frames in the middle of answers") {
        Talk t("rtsp://10.0.0.7/", Way::tcp);
        t.describe();
        t.choose();
        CHECK(t.header("Transport") == "RTP/AVP/TCP;unicast;interleaved=0-1");
        t.answer(200, "Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=8-9\r\n");
        t.play();
        t.hear(std::string_view("$\10\0\2hi", 6));
        t.answer(200);
        CHECK(t.frames.size() == 1);
        CHECK(t.client.step() == Step::playing);
    }
    SECTION("the same channels for both tracks") {
        Talk t("rtsp://10.0.0.7/", Way::tcp);
        t.describe();
        t.choose(2);
        t.answer(200, "Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n");
        t.answer(200, "Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n");
        CHECK(t.end() == "transport");
    }
    SECTION("a source that is no address") {
        Talk t;
        t.describe();
        t.choose();
        t.answer(200, "Session: 1\r\nTransport: RTP/AVP;unicast;source=0.0.0.0;server_port=7000\r\n");
        CHECK(t.granted.at(0).transport.source == "10.0.0.7");
    }
    SECTION("live555: the group stands in the SDP alone; Axis: its ports as client_port") {
        Talk t("rtsp://10.0.0.7/", Way::multicast);
        t.describe(
            "", "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\nc=IN IP4 239.1.1.1/16\r\n");
        t.choose();
        CHECK(t.header("Transport") == "RTP/AVP;multicast");
        t.answer(200, "Session: 1\r\nTransport: RTP/AVP;multicast;client_port=7000-7001\r\n");
        CHECK(t.granted.at(0).transport.destination == "239.1.1.1");
        CHECK(t.granted.at(0).transport.port == Pair{7000, 7001});
    }
    SECTION("live555's server: reports before the answer to PLAY, and 400 without CSeq") {
        // Of 2026.06.24, when two clients ask for the same file in one moment.
        constexpr std::string_view kBad =
            "RTSP/1.0 400 Bad Request\r\nDate: Mon, Nov 30 2026 20:44:03 GMT\r\n"
            "Allow: OPTIONS, DESCRIBE, SETUP, TEARDOWN, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER\r\n\r\n";
        Talk t("rtsp://10.0.0.7:554/film.mkv", Way::tcp);
        t.answer(200, "Date: Mon, Nov 30 2026 20:44:03 GMT\r\n"
                      "Public: OPTIONS, DESCRIBE, SETUP, TEARDOWN, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER\r\n");
        t.answer(200, "Content-Base: rtsp://10.0.0.7/film.mkv/\r\nContent-Type: application/sdp\r\n", kSdp);
        t.choose(2);
        t.answer(200, "Transport: RTP/AVP/TCP;unicast;destination=10.1.0.1;source=10.0.0.7;interleaved=0-1\r\n"
                      "Session: C40AF86F;timeout=65\r\n");
        CHECK(t.asked() == "SETUP rtsp://10.0.0.7/film.mkv/track2");
        SECTION("granted") {
            t.answer(200, "Transport: RTP/AVP/TCP;unicast;destination=10.1.0.1;source=10.0.0.7;interleaved=2-3\r\n"
                          "Session: C40AF86F;timeout=65\r\n");
            t.play();
            t.hear(std::string_view("$\1\0\2sr$\3\0\2sr", 12));
            t.answer(200, "Range: npt=0.000-\r\nSession: C40AF86F\r\nRTP-Info: url=rtsp://10.0.0.7/film.mkv/track1;"
                          "seq=41877;rtptime=2651080895,url=rtsp://10.0.0.7/film.mkv/track2;seq=28065;rtptime=1\r\n");
            CHECK(t.frames.size() == 2);
            CHECK(t.client.step() == Step::playing);
            CHECK(t.client.keepalive() == 32500ms);
        }
        SECTION("refused") {
            t.hear(kBad);
            CHECK(t.end() == "refused");
        }
    }
    SECTION("VLC's server: Cseq, absolute controls, one payload type for both tracks, no TCP") {
        const std::string sdp =
            "v=0\r\no=- 17201603604647347640 17201603604647347640 IN IP4 vm\r\ns=Unnamed\r\ni=N/A\r\nc=IN IP4 0.0.0.0\r\n"
            "t=0 0\r\na=tool:vlc 3.0.24\r\na=recvonly\r\na=type:broadcast\r\na=charset:UTF-8\r\n"
            "a=control:rtsp://10.0.0.7:8554/x\r\nm=video 0 RTP/AVP 96\r\nb=AS:718\r\nb=RR:0\r\na=rtpmap:96 H264/90000\r\n"
            "a=control:rtsp://10.0.0.7:8554/x/trackID=0\r\nm=audio 0 RTP/AVP 96\r\nb=RR:0\r\n"
            "a=rtpmap:96 mpeg4-generic/48000\r\na=control:rtsp://10.0.0.7:8554/x/trackID=1\r\n";
        Talk t("rtsp://10.0.0.7:8554/x", Way::tcp);
        t.hear("RTSP/1.0 200 OK\r\nServer: VLC/3.0.24\r\nContent-Length: 0\r\nCseq: 1\r\n"
               "Public: DESCRIBE,SETUP,TEARDOWN,PLAY,PAUSE,GET_PARAMETER\r\n\r\n");
        t.answer(200, "Content-Type: application/sdp\r\nContent-Base: rtsp://10.0.0.7:8554/x\r\n", sdp);
        t.choose(2);
        CHECK(t.asked() == "SETUP rtsp://10.0.0.7:8554/x/trackID=0");
        t.answer(461);
        CHECK(t.end() == "transport");
    }
    SECTION("D-Link: GET_PARAMETER is named and not implemented") {
        Talk t;
        t.until_playing();
        t.pass(5s);
        CHECK(t.asked() == "GET_PARAMETER rtsp://10.0.0.7/live");
        t.answer(501);
        t.pass(5s);
        CHECK(t.asked() == "OPTIONS rtsp://10.0.0.7/live");
        t.answer(200);
        CHECK(t.client.step() == Step::playing);
    }
}

TEST_CASE("keepalive and time", "[rtsp]") {
    Talk t;
    t.until_playing();  // timeout=10
    const size_t before = t.requests;
    t.pass(4900ms);
    CHECK(t.requests == before);
    t.pass(100ms);
    CHECK(t.asked() == "GET_PARAMETER rtsp://10.0.0.7/live");
    CHECK(t.header("Session") == "77");
    t.pass(9999ms);
    CHECK(t.end() == "not over");
    t.pass(1ms);
    CHECK(t.end() == "timeout");

    Talk lost;
    lost.until_playing();
    lost.pass(5s);
    lost.answer(454);
    CHECK(lost.end() == "session_lost");

    Talk silent;
    silent.pass(10s);
    CHECK(silent.end() == "timeout");

    Talk deaf;  // it does not answer TEARDOWN
    deaf.until_playing();
    deaf.client.give_up(deaf.now, Failure::no_packets, "x");
    deaf.pass(2s);
    CHECK(deaf.end() == "no_packets");
}

TEST_CASE("a server that asks and sends elsewhere", "[rtsp]") {
    Talk t;
    t.until_playing();
    t.hear("OPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\n");
    CHECK(t.said == "RTSP/1.0 200 OK\r\nCSeq: 9\r\nPublic: OPTIONS, GET_PARAMETER, SET_PARAMETER, REDIRECT\r\n\r\n");
    t.hear("GET_PARAMETER * RTSP/1.0\r\nCSeq: 10\r\n\r\n");
    CHECK(t.said == "RTSP/1.0 200 OK\r\nCSeq: 10\r\n\r\n");
    t.hear("ANNOUNCE * RTSP/1.0\r\nCSeq: 11\r\n\r\n");
    CHECK(t.said == "RTSP/1.0 501 Not Implemented\r\nCSeq: 11\r\n\r\n");
    t.hear("REDIRECT * RTSP/1.0\r\nCSeq: 12\r\nLocation: rtsp://10.0.0.8:8554/x\r\n\r\n");
    CHECK(t.places.back() == "10.0.0.8:8554");
    for (int i = 0; i < 4; i++) {
        t.connect();
        CHECK(t.header("Session") == "none");
        t.answer(301 + i % 3, "Location: rtsp://10.0.0.9/y\r\n");
    }
    CHECK(t.places.back() == "10.0.0.9:554");
    t.connect();
    t.answer(305, "Location: rtsp://10.0.0.9/y\r\n");
    CHECK(t.end() == "redirects");
}

TEST_CASE("failures have names", "[rtsp]") {
    const auto after_describe = [](int status, std::string_view headers, std::string_view body) {
        Talk t;
        t.answer(200);
        t.answer(status, headers, body);
        return t.end();
    };
    CHECK(after_describe(404, "", "") == "not_found");
    CHECK(after_describe(403, "", "") == "unauthorized");
    CHECK(after_describe(503, "Retry-After: 7\r\n", "") == "busy");
    CHECK(after_describe(500, "", "") == "refused");
    CHECK(after_describe(302, "", "") == "redirects");
    CHECK(after_describe(302, "Location: http://h/\r\n", "") == "redirects");
    CHECK(after_describe(200, "", "no SDP") == "malformed");
    CHECK(after_describe(200, "Content-Type: text/html\r\n", "<html>") == "malformed");
    CHECK(after_describe(200, "", "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n") == "no_media");
    Talk t;
    t.hear("HTTP/1.1 200 OK\r\n\r\n");
    CHECK(t.end() == "malformed");
    Talk gone;
    gone.client.disconnected(gone.now, "reset");
    gone.pass(0s);
    CHECK(gone.end() == "closed");
    for (const auto& [headers, end] : {std::pair{"Transport: RTP/AVP;unicast\r\n", "malformed"},
                                       {"Session: 1\r\n", "malformed"},
                                       {"Session: 1\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n", "transport"}}) {
        Talk setup;
        setup.describe();
        setup.choose();
        setup.answer(200, headers);
        CHECK(setup.end() == end);
    }
    Talk other;
    other.describe();
    other.choose();
    other.answer(461);
    CHECK(other.end() == "transport");
    Talk none;
    none.describe();
    none.choose(0);
    CHECK(none.end() == "no_media");
}

TEST_CASE("a pull tries again, by the other way where one does not come through", "[rtsp]") {
    Instant now{};
    uint64_t random = 0;
    Pull pull({*location_of("rtsp://10.0.0.7/"), Reach::automatic, "test"}, [&] { return random; });
    const auto drain = [&] {
        std::optional<client::Over> over;
        while (auto output = pull.poll(now))
            if (auto* o = std::get_if<client::Over>(&*output)) over = *o;
        return over;
    };
    const auto pass = [&](Duration time) {
        now += time;
        pull.expire(now);
        return drain();
    };
    unsigned cseq = 0;
    const auto answer = [&](std::string_view status, std::string_view headers = "", std::string_view body = "") {
        const std::string text = fmt::format("RTSP/1.0 {}\r\nCSeq: {}\r\n{}Content-Length: {}\r\n\r\n{}", status,
                                             ++cseq, headers, body.size(), body);
        pull.receive(now, std::as_bytes(std::span(text)));
        return drain();
    };
    const auto until_setup = [&] {
        cseq = 0;
        drain();
        pull.connected(now, *Ip::parse("10.0.0.7"));
        answer("200 OK");
        answer("200 OK", "", kSdp);
        pull.set_up(now, {{0, Pair{5000, 5001}}});
        drain();
    };
    const auto until_playing = [&](std::string_view transport) {
        until_setup();
        answer("200 OK", fmt::format("Session: 1\r\nTransport: {}\r\n", transport));
        pull.play(now);
        answer("200 OK");
        pass(0s);
    };

    pull.start(now);
    // Pauses grow, and begin with half of what they may be when chance is 0.
    for (const auto wait : {250ms, 500ms, 1000ms, 2000ms, 4000ms, 8000ms, 15000ms, 15000ms}) {
        pull.disconnected(now, "refused");
        CHECK(drain()->failure == Failure::unreachable);
        CHECK(pull.facts().state == "waiting");
        pass(wait - 1ms);
        CHECK(pull.facts().state == "waiting");
        pass(1ms);
        CHECK(pull.facts().state == "connecting");
    }
    // No UDP within three seconds: TCP at once.
    until_playing("RTP/AVP;unicast");
    CHECK(pull.playing());
    pass(2999ms);
    CHECK(pull.playing());
    pass(1ms);
    CHECK(pull.facts().state == "teardown");
    CHECK(answer("200 OK")->failure == Failure::no_packets);
    pass(0s);
    CHECK(pull.facts().way == Way::tcp);
    until_playing("RTP/AVP/TCP;unicast;interleaved=0-1");
    pull.media(now);
    for (int i = 0; i < 11; i++) {
        pass(1s);
        pull.media(now);
    }
    CHECK(pull.facts().tries == 0);
    pull.disconnected(now, "reset");  // TCP is remembered, and the pauses begin anew
    CHECK(drain()->failure == Failure::closed);
    pass(250ms);
    CHECK(pull.facts().way == Way::tcp);
    until_playing("RTP/AVP/TCP;unicast;interleaved=0-1");
    pull.media(now += 1ms);
    CHECK_FALSE(pass(9999ms));
    pass(1ms);  // it stopped sending
    CHECK(answer("200 OK")->failure == Failure::no_packets);
    pass(kTcpRemembered);
    CHECK(pull.facts().way == Way::udp);
    until_setup();
    CHECK(answer("461 Unsupported Transport")->failure == Failure::transport);
    pass(0s);
    CHECK(pull.facts().way == Way::tcp);
    until_setup();
    CHECK(answer("503 Service Unavailable", "Retry-After: 60\r\n")->failure == Failure::busy);
    pass(59s);
    CHECK(pull.facts().state == "waiting");
    pass(1s);
    CHECK(pull.facts().state == "connecting");
    pull.stop(now);
    CHECK_FALSE(drain()->failure);
    CHECK(pull.idle());
}

TEST_CASE("a password that was refused is not tried for minutes, whoever wants the stream", "[rtsp]") {
    Instant now{};
    Pull pull({*location_of("rtsp://u:p@10.0.0.7/"), Reach::udp, "test"}, [] { return 0; });
    unsigned cseq = 0;
    const auto drain = [&] {
        while (pull.poll(now)) {
        }
    };
    const auto answer = [&](std::string_view text) {
        const std::string bytes = fmt::format("RTSP/1.0 {}\r\nCSeq: {}\r\n", text, ++cseq) +
                                  "WWW-Authenticate: Digest realm=\"cam\", nonce=\"n\"\r\n\r\n";
        pull.receive(now, std::as_bytes(std::span(bytes)));
        drain();
    };
    const auto refused = [&] {
        cseq = 0;
        drain();
        pull.connected(now, *Ip::parse("10.0.0.7"));
        answer("200 OK");
        answer("401 Unauthorized");  // with our proof it asks once more, and that is wrong, too
        answer("401 Unauthorized");
        CHECK(pull.facts().failure == Failure::unauthorized);
    };
    pull.start(now);
    for (const auto wait : {60s, 120s, 240s, 480s, 480s}) {
        refused();
        // A viewer that goes and another one that comes are no reason to try sooner.
        pull.stop(now);
        pull.start(now);
        drain();
        now += wait - 1ms;
        pull.expire(now);
        CHECK(pull.facts().state == "waiting");
        now += 1ms;
        pull.expire(now);
        CHECK(pull.facts().state == "connecting");
    }
    pull.disconnected(now, "refused");  // of other failures the pauses are the usual ones
    drain();
    now += 250ms;
    pull.expire(now);
    CHECK(pull.facts().state == "connecting");
}
