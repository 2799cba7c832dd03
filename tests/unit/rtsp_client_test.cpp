// The client as a state machine: what it says to a camera, word by word, and how it ends.
#include "rtsp_talk.hpp"

using namespace penstock;
using namespace penstock::test;

TEST_CASE("where a camera is", "[rtsp]") {
    const auto full = location_of("RTSP://us%65r:p@ss:w%20d@cam-1.lan:8554/a/b?channel=1&subtype=0");
    REQUIRE(full);
    CHECK(*full == Location{"cam-1.lan", 8554, "rtsp://cam-1.lan:8554/a/b?channel=1&subtype=0", "user", "p@ss:w d"});
    CHECK(location_of("rtsp://[fd00::7]:8554/x")->host == "fd00::7");
    CHECK(location_of("rtsp://[fd00::7]/x")->url == "rtsp://[fd00::7]/x");
    CHECK(location_of("rtsp://10.0.0.7")->port == 554);
    CHECK((location_of("rtsps://h/x")->port == 322 && location_of("rtsps://h/x")->tls));
    for (const char* wrong : {"", "http://h/x", "rtsp://", "rtsp:///x", "rtsp://h:0/", "rtsp://h:/", "rtsp://h:65536/",
                              "rtsp://[fd00::7/x", "rtsp://[10.0.0.1]/", "rtsp://u:%4@h/", "rtsp://u:%0a@h/",
                              "rtsp://:p@h/", "rtsp://a b/", "rtsp://h/\r\nX", "rtsp://[fd00::7]8/"}) {
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
