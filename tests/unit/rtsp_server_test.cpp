// The server as a state machine: real clients' words, the life of a session on a virtual clock, limits, passwords.
#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "support/rtsp_clients.hpp"
#include "support/rtsp_stage.hpp"

using namespace penstock;
using namespace penstock::test;
using namespace std::chrono_literals;
using Done = std::vector<std::string>;

namespace {

std::string request(std::string_view method, std::string_view url = "rtsp://10.0.1.1/cam", std::string_view more = "") {
    return fmt::format("{} {} RTSP/1.0\r\nCSeq: 1\r\n{}\r\n", method, url, more);
}
const std::string kSetup =
    request("SETUP", "rtsp://10.0.1.1/cam/video", "Transport: RTP/AVP;unicast;client_port=5000-5001\r\n");
const std::string kPlay = request("PLAY", "rtsp://10.0.1.1/cam", "Session: SESSION\r\n");

}  // namespace

TEST_CASE("what real clients say", "[rtsp]") {
    for (const ClientScript& client : client_scripts()) {
        RtspStage stage;
        REQUIRE(stage.connect(1));
        for (const Exchange& exchange : client.exchanges) {
            INFO(client.name << "\n" << exchange.request);
            CHECK(stage.ask(1, std::string(exchange.request)) == exchange.status);
        }
        CHECK(stage.closed.empty());
    }
}

TEST_CASE("what the answers hold", "[rtsp]") {
    RtspStage stage;
    stage.connect(1);
    stage.ask(1, request("DESCRIBE"));
    CHECK(stage.said ==
          "RTSP/1.0 200 OK\r\nCSeq: 1\r\nServer: test\r\nContent-Type: application/sdp\r\n"
          "Content-Base: rtsp://10.0.1.1/cam/\r\nContent-Length: 5\r\n\r\nv=0\r\n");
    stage.said.clear();
    stage.ask(1, kSetup);
    CHECK(stage.said ==
          "RTSP/1.0 200 OK\r\nCSeq: 1\r\nServer: test\r\n"
          "Transport: RTP/AVP;unicast;source=10.0.1.1;client_port=5000-5001;server_port=20000-20001;ssrc=0000ABCD;"
          "mode=\"PLAY\"\r\nSession: 00000000000000010000000000000002;timeout=60\r\n\r\n");
    stage.said.erase(0, stage.said.find("Session"));
    stage.ask(1, kPlay);
    CHECK(stage.said.find("Range: npt=now-\r\nRTP-Info: url=rtsp://10.0.1.1/cam/video;seq=7;rtptime=90000\r\n\r\n") !=
          std::string::npos);
}

TEST_CASE("alternatives in the order of the client's liking; a path without scheme and host", "[rtsp]") {
    for (const auto& [offered, granted] :
         {std::pair{"RAW/RAW/UDP;unicast,RTP/AVP/TCP;unicast;interleaved=4-5,RTP/AVP;unicast;"
                    "client_port=5000-5001",
                    "Transport: RTP/AVP/TCP;unicast;interleaved=4-5"},
          {"RTP/SAVP;unicast;client_port=5000-5001,RTP/AVP;unicast;client_port=5000-5001,RTP/AVP/TCP;interleaved=0-1",
           "Transport: RTP/AVP;unicast;source=10.0.1.1;client_port=5000-5001"},
          {"RTP/AVP/TCP;unicast", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"}}) {
        RtspStage stage;
        stage.connect(1);
        CHECK(stage.ask(1, request("DESCRIBE", "/cam")) == 200);
        CHECK(stage.ask(1, request("SETUP", "/cam/video", fmt::format("Transport: {}\r\n", offered))) == 200);
        INFO(stage.said);
        CHECK(stage.said.find(granted) != std::string::npos);
    }
}

TEST_CASE("the life of a session", "[rtsp]") {
    RtspStage stage;
    stage.connect(1);
    CHECK(stage.ask(1, kPlay) == 454);
    CHECK(stage.ask(1, kSetup) == 200);
    CHECK(stage.ask(1, request("SETUP", "rtsp://10.0.1.1/cam/audio",
                               "Session: SESSION\r\nTransport: RTP/AVP;unicast;client_port=6000-6001\r\n")) == 200);
    CHECK(stage.ask(1, request("SETUP", "rtsp://10.0.1.1/other/audio",
                               "Session: SESSION\r\nTransport: RTP/AVP;unicast;client_port=6000-6001\r\n")) == 459);
    CHECK(stage.ask(1, request("PLAY", "rtsp://10.0.1.1/cam/video", "Session: SESSION\r\n")) == 460);
    CHECK(stage.ask(1, kPlay) == 200);
    CHECK(stage.ask(1, kPlay) == 200);  // a client that keeps its session alive by it
    CHECK(stage.ask(1, request("SETUP", "rtsp://10.0.1.1/cam/audio",
                               "Session: SESSION\r\nTransport: RTP/AVP;unicast;client_port=6000-6001\r\n")) == 455);
    CHECK(stage.ask(1, request("PAUSE", "rtsp://10.0.1.1/cam", "Session: SESSION\r\n")) == 200);
    CHECK(stage.ask(1, kPlay) == 200);
    CHECK(stage.ask(1, request("TEARDOWN", "rtsp://10.0.1.1/cam/audio", "Session: SESSION\r\n")) == 200);
    CHECK(stage.ask(1, request("TEARDOWN", "rtsp://10.0.1.1/cam", "Session: SESSION;timeout=60\r\n")) == 200);
    CHECK(stage.ask(1, kPlay) == 454);
    CHECK(stage.done == Done{"setup 1 video 5000", "setup 1 audio 6000", "play 1", "pause 1", "play 1", "leave 1 audio",
                             "end 1 teardown"});
    CHECK(stage.server.sessions().empty());
}

TEST_CASE("multicast is granted where it is on; such a session lives by its connection, and by requests", "[rtsp]") {
    const auto setup = [](std::string_view transport) {
        return request("SETUP", "rtsp://10.0.1.1/cam/video", fmt::format("Transport: {}\r\n", transport));
    };
    RtspStage off;
    off.connect(1);
    CHECK(off.ask(1, setup("RTP/AVP;multicast")) == 461);
    CHECK(off.ask(1, setup("RTP/AVP;multicast;port=5000-5001,RTP/AVP;unicast;client_port=5000-5001")) == 200);
    CHECK(off.done == Done{"setup 1 video 5000"});

    rtsp::ServerSettings settings;
    settings.multicast = true;
    RtspStage on(settings);
    on.connect(1);
    for (const char* no : {"RTP/AVP/TCP;multicast", "RTP/SAVP;multicast", "RTP/AVP;multicast;mode=\"FLY\"", "RTP/AVP"})
        CHECK(on.ask(1, setup(no)) == 461);
    CHECK(on.ask(1, setup("RTP/AVP;multicast;destination=239.1.1.1")) == 403);  // which group is ours to say
    on.said.clear();
    CHECK(on.ask(1, setup("RTP/AVP/UDP;multicast;port=7000-7001;ttl=127")) == 200);  // FFmpeg, but for port and ttl
    CHECK(on.said.find("Transport: RTP/AVP;multicast;destination=239.10.0.1;source=10.0.1.1;port=20002-20003;ttl=16;"
                       "mode=\"PLAY\"\r\n") != std::string::npos);
    CHECK(on.server.sessions().begin()->second.transport() == "multicast");
    CHECK(on.ask(1, kPlay) == 200);
    on.pass(200s);
    REQUIRE(on.server.sessions().size() == 1);
    on.server.disconnected(1);
    on.pass(59s);
    REQUIRE(on.server.sessions().size() == 1);
    on.connect(2);
    CHECK(on.ask(2, request("GET_PARAMETER", "rtsp://10.0.1.1/cam", "Session: SESSION\r\n")) == 200);
    on.server.disconnected(2);
    on.pass(59s);
    CHECK(on.server.sessions().size() == 1);
    on.pass(1s);
    CHECK(on.server.sessions().empty());
    CHECK(on.done.back().ends_with("timeout"));
}

TEST_CASE("a session by multicast whose RTCP was heard lives by it, whatever its connection does", "[rtsp]") {
    rtsp::ServerSettings settings;
    settings.multicast = true;
    RtspStage stage(settings);
    stage.connect(1);
    CHECK(stage.ask(1, request("SETUP", "rtsp://10.0.1.1/cam/video", "Transport: RTP/AVP;multicast\r\n")) == 200);
    CHECK(stage.ask(1, kPlay) == 200);
    stage.server.heard(stage.now, 1);
    stage.pass(59s);
    stage.server.heard(stage.now, 1);
    stage.pass(59s);
    CHECK(stage.server.sessions().size() == 1);
    stage.pass(1s);  // the player vanished, and its connection hangs
    CHECK(stage.server.sessions().empty());
    CHECK(stage.done.back().ends_with("timeout"));
}

TEST_CASE("silence ends a session, RTCP and requests do not", "[rtsp]") {
    RtspStage stage;
    stage.connect(1);
    stage.ask(1, kSetup);
    stage.server.disconnected(1);  // over UDP it lives on
    stage.pass(59s);
    CHECK(stage.server.sessions().size() == 1);
    stage.server.heard(stage.now, 1);
    stage.pass(59s);
    CHECK(stage.server.sessions().size() == 1);
    stage.connect(2);
    CHECK(stage.ask(2, request("GET_PARAMETER", "rtsp://10.0.1.1/cam", "Session: SESSION\r\n")) == 200);
    stage.pass(59s);
    CHECK(stage.server.sessions().size() == 1);
    stage.pass(1s);
    CHECK(stage.server.sessions().empty());
    CHECK(stage.done.back() == "end 1 timeout");
    CHECK(stage.closed == std::vector<rtsp::ConnectionId>{2});  // idle, and without a session by now
}

TEST_CASE("a session belongs to an address", "[rtsp]") {
    RtspStage stage;
    stage.connect(1);
    stage.connect(2, "10.0.1.66");
    stage.ask(1, kSetup);
    CHECK(stage.ask(2, kPlay) == 454);
    CHECK(stage.ask(2, request("TEARDOWN", "rtsp://10.0.1.1/cam", "Session: SESSION\r\n")) == 454);
    CHECK(stage.server.sessions().size() == 1);
}

TEST_CASE("requests wait for the answer to the one before", "[rtsp]") {
    RtspStage stage;
    stage.answer_play = false;
    stage.connect(1);
    stage.ask(1, kSetup);
    const std::string token = stage.token();
    stage.said.clear();
    std::string play = kPlay, options = "OPTIONS * RTSP/1.0\r\nCSeq: 2\r\n\r\n";
    play.replace(play.find("SESSION"), 7, token);
    stage.say(1, play + options);
    CHECK(stage.said.empty());
    stage.server.answer(stage.now, stage.unanswered, rtsp::Playing{});
    stage.drain();
    CHECK(stage.said.find("CSeq: 1") < stage.said.find("CSeq: 2"));
    CHECK(stage.said.find("CSeq: 2") != std::string::npos);
    // Meanwhile nobody may send without end.
    stage.ask(1, request("PAUSE", "rtsp://10.0.1.1/cam", "Session: " + token + "\r\n"));
    stage.say(1, play);
    stage.say(1, std::string(rtsp::kMostPipelined + 1, '\n'));
    CHECK(stage.closed == std::vector<rtsp::ConnectionId>{1});
    // An answer after the session ended, and after the connection is gone.
    stage.server.disconnected(1);
    stage.server.end(1, rtsp::EndReason::stream_gone);
    stage.server.answer(stage.now, stage.unanswered, rtsp::Playing{});
    stage.server.answer(stage.now, 4711, rtsp::Playing{});
    stage.drain();
    CHECK(stage.done.back() == "end 1 stream_gone");
}

TEST_CASE("wrong requests", "[rtsp]") {
    RtspStage stage;
    stage.connect(1);
    const std::pair<std::string, int> table[] = {
        {request("DESCRIBE", "rtsp://10.0.1.1/none"), 404},
        {request("DESCRIBE", "rtsp://10.0.1.1/"), 404},
        {request("DESCRIBE", "/cam"), 200},  // path-only
        {request("DESCRIBE", "rtsp://10.0.1.1/cam", "Accept: text/html\r\n"), 406},
        {request("DESCRIBE", "rtsp://10.0.1.1/cam", "Accept: text/html, */*\r\n"), 200},
        {request("SETUP", "rtsp://10.0.1.1/cam/video"), 400},
        {request("SETUP", "rtsp://10.0.1.1/cam/video", "Transport: nonsense\r\n"), 461},
        {request("SETUP", "rtsp://10.0.1.1/cam/video", "Transport: RTP/AVP;client_port=x\r\n"), 400},
        {request("SETUP", "rtsp://10.0.1.1/cam/video", "Transport: RTP/AVP;multicast\r\n"), 461},
        {request("SETUP", "rtsp://10.0.1.1/cam/video", "Transport: RTP/SAVP;unicast;client_port=5000-5001\r\n"), 461},
        {request("SETUP", "rtsp://10.0.1.1/cam/video",
                 "Transport: RTP/AVP;unicast;client_port=5000-5001;mode=record\r\n"),
         461},
        {request("SETUP", "rtsp://10.0.1.1/cam/video",
                 "Transport: RTP/AVP/TCP;interleaved=0-1,RTP/AVP;unicast;client_port=5000-5001\r\n"),
         200},
        {request("SETUP", "rtsp://10.0.1.1/cam/video",
                 "Transport: RTP/AVP;unicast;client_port=5000-5001;destination=10.0.1.20\r\n"),
         200},
        {request("SETUP", "rtsp://10.0.1.1/cam/video",
                 "Transport: RTP/AVP;unicast;client_port=5000-5001;destination=10.0.1.21\r\n"),
         403},
        {request("PAUSE"), 454},
        {request("TEARDOWN"), 454},
        {request("PLAY", "rtsp://10.0.1.1/cam", "Session: \r\n"), 454},
        {request("GET_PARAMETER"), 200},
        {request("GET_PARAMETER", "rtsp://10.0.1.1/cam", "Session: none\r\n"), 454},
        {request("SET_PARAMETER", "rtsp://10.0.1.1/cam", "Content-Length: 1\r\n") + "x", 451},
        {request("ANNOUNCE"), 405},
        {request("RECORD"), 405},
        {request("FLY"), 501},
        {request("options"), 501},
        {request("OPTIONS", "*", "Require: a.b\r\n"), 551},
        {"OPTIONS * RTSP/1.0\r\n\r\n", 400},
        {"OPTIONS * RTSP/1.0\r\nCSeq: -1\r\n\r\n", 400},
        {"OPTIONS * RTSP/1.1\r\nCSeq: 1\r\n\r\n", 505},
        {"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n", 0},  // an answer to nothing
        {std::string("$\0\0\1x", 5), 0},            // a frame of no channel
    };
    for (const auto& [text, status] : table) {
        INFO(text);
        CHECK(stage.ask(1, text) == status);
    }
    CHECK(stage.closed.empty());
    CHECK(stage.ask(1, "GET / HTTP/1.0\r\n\r\n") == 400);
    CHECK(stage.closed == std::vector<rtsp::ConnectionId>{1});
    CHECK(stage.ask(1, request("OPTIONS")) == 0);
    CHECK(stage.server.counters().malformed == 1);
    CHECK(stage.server.counters().requests.at({rtsp::Method::setup, 461}) == 4);
    CHECK(stage.server.counters().requests.at({rtsp::Method::other, 501}) == 2);
}

TEST_CASE("limits of one address", "[rtsp]") {
    RtspStage stage({.software = {}, .access = {}, .session_timeout = 60s, .per_address = {3, 2, 10}});
    for (rtsp::ConnectionId id = 1; id <= 3; id++) CHECK(stage.connect(id));
    CHECK_FALSE(stage.connect(4));
    CHECK(stage.connect(5, "10.0.1.21"));
    stage.server.disconnected(2);
    CHECK(stage.connect(6));
    CHECK(stage.ask(1, kSetup) == 200);
    CHECK(stage.ask(1, kSetup) == 200);  // another session: it does not name the first
    CHECK(stage.ask(1, kSetup) == 453);
    CHECK(stage.server.counters().refused.at("address_full") == 1);

    stage.pass(2s);
    int answered = 0;
    while (stage.ask(1, request("OPTIONS")) == 200) REQUIRE(++answered <= 20);
    CHECK(answered == 20);  // twice the rate, at once
    CHECK(stage.said.find("503 Service Unavailable\r\nCSeq: 1\r\nRetry-After: 1") != std::string::npos);
    CHECK(stage.closed == std::vector<rtsp::ConnectionId>{1});
    CHECK(stage.ask(5, request("OPTIONS")) == 200);  // others are not concerned
    stage.pass(1s);
    answered = 0;
    while (stage.ask(3, request("OPTIONS")) == 200) REQUIRE(++answered <= 10);
    CHECK(answered == 10);
}

TEST_CASE("a message that does not end", "[rtsp]") {
    RtspStage stage;
    stage.connect(1);
    stage.say(1, "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n");
    stage.pass(9s);
    CHECK(stage.closed.empty());
    stage.say(1, "A: b\r\n");  // a line now and then does not help
    stage.pass(1s);
    CHECK(stage.closed == std::vector<rtsp::ConnectionId>{1});
    CHECK(stage.said.starts_with("RTSP/1.0 408"));
}
