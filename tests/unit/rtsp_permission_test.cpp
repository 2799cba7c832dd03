// What the server makes of users and rules: nobody learns or gets what he may not, sessions are their users', guessing
// ends, and a reload takes away what is not allowed any more.
#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "support/rtsp_stage.hpp"

using namespace penstock;
using namespace penstock::test;
using namespace std::chrono_literals;
using config::Rule;
using Who = Rule::Who;
using Done = std::vector<std::string>;

namespace {

constexpr std::string_view kCam = "rtsp://10.0.1.1/cam", kUdp = "Transport: RTP/AVP;unicast;client_port=5000-5001\r\n";
constexpr std::string_view kRecord = "Transport: RTP/AVP;unicast;client_port=5000-5001;mode=record\r\n";
constexpr std::string_view kSdp = "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:a\r\n";

config::User user(std::string name, std::string password = "pw") {
    return {std::move(name), std::move(password), {}, {}};
}

rtsp::ServerSettings with(std::vector<config::User> users, std::optional<std::vector<Rule>> rules = {},
                          bool publish = false) {
    rtsp::ServerSettings s;
    s.software = "test";
    s.access.realm = "node";
    s.access.users = std::move(users);
    s.access.rules = std::move(rules);
    s.publish = publish;
    return s;
}

struct Stage : RtspStage {
    using RtspStage::RtspStage;

    int request(rtsp::ConnectionId id, std::string_view method, std::string_view url = kCam, std::string_view more = "",
                std::string_view body = "") {
        std::string length = body.empty() ? "" : fmt::format("Content-Length: {}\r\n", body.size());
        return ask(id, fmt::format("{} {} RTSP/1.0\r\nCSeq: 1\r\n{}{}\r\n{}", method, url, more, length, body));
    }
    // As a client does: it is challenged, and asks again.
    int as(rtsp::ConnectionId id, std::string_view who, std::string_view method, std::string_view url = kCam,
           std::string more = "", std::string_view body = "", std::string_view password = "pw") {
        if (const int status = request(id, method, url, more, body); status != 401) return status;
        return request(id, method, url, more + proof(who, method, url, password), body);
    }
    std::string proof(std::string_view who, std::string_view method, std::string_view url,
                      std::string_view password = "pw") const {
        const size_t at = said.rfind("nonce=\"") + 7;
        rtsp::Credentials c;
        c.username = who;
        c.realm = "node";
        c.nonce = said.substr(at, said.find('"', at) - at);
        c.uri = url;
        c.response = response_to(c, method, secret_of(rtsp::Algorithm::md5, who, "node", password));
        return "Authorization: " + write(c) + "\r\n";
    }
    std::string last() const { return said.substr(said.rfind("RTSP/1.0")); }
    uint64_t found(rtsp::Found what) const { return server.counters().found[static_cast<size_t>(what)]; }
    void reload(rtsp::ServerSettings settings) {
        server.replace(std::move(settings));
        drain();
    }
};

Rule may_play(std::vector<std::string> users, std::vector<std::string> streams = {}) {
    return Rule{true, true, false, Who::named, std::move(users), std::move(streams)};
}

}  // namespace

TEST_CASE("who proves nothing learns nothing", "[rtsp][permission]") {
    Stage stage(with({user("eve")}, {}, true));
    stage.connect(1);
    // Of what is there and what is not, and whatever is asked, the answer is the same.
    for (const auto& [method, more] : {std::pair{"DESCRIBE", ""},
                                       {"SETUP", kUdp.data()},
                                       {"SETUP", ""},
                                       {"PLAY", ""},
                                       {"PAUSE", ""},
                                       {"TEARDOWN", ""},
                                       {"GET_PARAMETER", ""},
                                       {"SET_PARAMETER", ""},
                                       {"ANNOUNCE", ""},
                                       {"RECORD", ""}}) {
        std::set<std::string> answers;
        for (const char* url :
             {"rtsp://10.0.1.1/cam", "rtsp://10.0.1.1/none", "rtsp://10.0.1.1/cam/video", "rtsp://10.0.1.1/", "*"})
            for (const char* session : {"", "Session: 00000000000000010000000000000002\r\n"}) {
                INFO(method << ' ' << url << ' ' << session);
                CHECK(stage.request(1, method, url, std::string(more) + session) == 401);
                answers.insert(stage.last());
            }
        CHECK(answers.size() == 1);
    }
    CHECK(stage.done.empty());
    CHECK(stage.request(1, "OPTIONS") == 200);
    CHECK(stage.found(rtsp::Found::challenged) == 100);
    CHECK(stage.found(rtsp::Found::wrong) == 0);  // to ask is no failure
    CHECK(stage.as(1, "eve", "DESCRIBE") == 200);
    CHECK(stage.as(1, "eve", "DESCRIBE", "rtsp://10.0.1.1/none") == 404);
    CHECK(stage.found(rtsp::Found::proven) == 2);
}

TEST_CASE("what rules allow and refuse", "[rtsp][permission]") {
    Stage stage(
        with({user("eve"), user("adam"), user("encoder")},
             std::vector{may_play({"eve"}, {"cam"}), Rule{true, true, false, Who::anyone, {}, {"open", "cam-open"}},
                         Rule{true, false, true, Who::named, {"encoder"}, {"live"}}},
             true));
    stage.connect(1);
    CHECK(stage.as(1, "eve", "DESCRIBE") == 200);
    CHECK(stage.as(1, "adam", "DESCRIBE") == 403);  // known, and may not
    CHECK(stage.as(1, "adam", "DESCRIBE", "rtsp://10.0.1.1/none") == 403);
    CHECK(stage.request(1, "DESCRIBE", "rtsp://10.0.1.1/none") == 403);  // no password helps
    CHECK(stage.request(1, "DESCRIBE", "rtsp://10.0.1.1/open") == 404);  // anyone may
    // Who names himself has to prove it, even there.
    stage.request(1, "DESCRIBE");
    CHECK(stage.request(1, "DESCRIBE", "rtsp://10.0.1.1/open",
                        stage.proof("eve", "DESCRIBE", "rtsp://10.0.1.1/open", "x")) == 401);
    CHECK(stage.found(rtsp::Found::forbidden) == 3);
    CHECK(stage.found(rtsp::Found::wrong) == 1);
    // Publishing is another matter.
    constexpr std::string_view kLive = "rtsp://10.0.1.1/live";
    const std::string sdp = "Content-Type: application/sdp\r\n";
    CHECK(stage.as(1, "eve", "ANNOUNCE", kLive, sdp, kSdp) == 403);
    CHECK(stage.as(1, "encoder", "ANNOUNCE", "rtsp://10.0.1.1/other", sdp, kSdp) == 403);
    CHECK(stage.as(1, "encoder", "DESCRIBE", kLive) == 403);
    CHECK(stage.as(1, "encoder", "ANNOUNCE", kLive, sdp, kSdp) == 200);
    CHECK(stage.as(1, "eve", "SETUP", "rtsp://10.0.1.1/live/a", std::string(kRecord)) == 403);
    CHECK(stage.as(1, "encoder", "SETUP", "rtsp://10.0.1.1/live/a", std::string(kRecord)) == 200);
    CHECK(stage.as(1, "eve", "RECORD", kLive, "Session: " + stage.token() + "\r\n") == 454);
    CHECK(stage.done.back().starts_with("receive"));
}

TEST_CASE("an announcement is its user's", "[rtsp][permission]") {
    Stage stage(with({user("eve"), user("adam")}, {}, true));
    stage.connect(1);
    CHECK(stage.as(1, "eve", "ANNOUNCE", "rtsp://10.0.1.1/live", "Content-Type: application/sdp\r\n", kSdp) == 200);
    CHECK(stage.as(1, "adam", "SETUP", "rtsp://10.0.1.1/live/a", std::string(kRecord)) == 455);
    CHECK(stage.as(1, "eve", "SETUP", "rtsp://10.0.1.1/live/a", std::string(kRecord)) == 200);
}

TEST_CASE("a session is its user's", "[rtsp][permission]") {
    Stage stage(with({user("eve"), user("adam")}));
    stage.connect(1);
    stage.connect(2);
    CHECK(stage.as(1, "eve", "SETUP", "rtsp://10.0.1.1/cam/video", std::string(kUdp)) == 200);
    const std::string token = stage.token(), session = "Session: " + token + "\r\n";
    for (const char* method : {"PLAY", "PAUSE", "GET_PARAMETER", "SET_PARAMETER", "TEARDOWN", "DESCRIBE"}) {
        INFO(method);
        CHECK(stage.as(2, "adam", method, kCam, session) == 454);  // for him it is not there
        CHECK(stage.request(2, method, kCam, session) == 401);
    }
    CHECK(stage.server.sessions().at(1).user == "eve");
    CHECK(stage.done == Done{"setup 1 video 5000"});
    CHECK(stage.as(1, "eve", "PLAY", kCam, session) == 200);
    CHECK(stage.as(2, "eve", "TEARDOWN", kCam, session) == 200);  // by another connection of the same address
    CHECK(stage.done.back() == "end 1 teardown");
}

TEST_CASE("the answer to one client is never given to another", "[rtsp][permission]") {
    Stage stage(
        with({user("eve"), user("adam")}, std::vector{may_play({"eve"}, {"cam"}), may_play({"adam"}, {"other"})}));
    stage.answer_describe = false;
    stage.connect(1);
    stage.connect(2);
    stage.as(1, "eve", "DESCRIBE");
    stage.as(2, "adam", "DESCRIBE", "rtsp://10.0.1.1/other");
    REQUIRE(stage.described.size() == 2);
    stage.said.clear();
    std::map<rtsp::ConnectionId, std::string> told;
    for (const size_t which : {1u, 0u}) {  // the second one first
        stage.server.answer(stage.now, stage.described[which], rtsp::Described{which == 0 ? "of cam" : "of other"});
        while (const auto output = stage.server.poll())
            if (const auto* send = std::get_if<rtsp::Send>(&*output)) told[send->to] += send->bytes;
    }
    CHECK(told[1].ends_with("of cam"));
    CHECK(told[2].ends_with("of other"));
    CHECK(told[1].find("of other") == std::string::npos);
    // What was asked by one who has gone is told to nobody.
    stage.as(1, "eve", "DESCRIBE");
    stage.server.disconnected(1);
    stage.connect(3);
    stage.server.answer(stage.now, stage.described[2], rtsp::Described{"of cam"});
    CHECK_FALSE(stage.server.poll());
}

TEST_CASE("guessing ends", "[rtsp][permission]") {
    auto settings = with({user("eve"), user("adam")});
    settings.per_address.failures = 3;
    Stage stage(settings);
    stage.connect(1, "10.0.1.66");
    stage.connect(2, "10.0.1.66");  // of the same address, and honest
    stage.connect(3);
    CHECK(stage.as(2, "adam", "SETUP", "rtsp://10.0.1.1/cam/video", std::string(kUdp)) == 200);
    const std::string session = "Session: " + stage.token() + "\r\n";
    for (int i = 0; i < 3; i++) CHECK(stage.as(1, "eve", "DESCRIBE", kCam, "", "", "guess") == 401);
    CHECK(stage.done.back() == "blocked 10.0.1.66");
    stage.pass(20s);
    CHECK(stage.as(1, "eve", "DESCRIBE", kCam, "", "", "guess") == 503);
    CHECK(stage.last().find("Retry-After: 40\r\n") != std::string::npos);
    CHECK(stage.closed == std::vector<rtsp::ConnectionId>{1});
    stage.connect(4, "10.0.1.66");
    CHECK(stage.as(4, "eve", "DESCRIBE") == 503);  // the right one, too: it is no guess that tells
    CHECK(std::ranges::count(stage.done, "blocked 10.0.1.66") == 1);
    CHECK(stage.found(rtsp::Found::wrong) == 3);
    CHECK(stage.found(rtsp::Found::blocked) == 2);
    // Who has a session goes on with it, and guesses no one else's password by it.
    stage.connect(5, "10.0.1.66");
    stage.as(3, "eve", "DESCRIBE");  // others are not concerned
    CHECK(stage.last().starts_with("RTSP/1.0 200"));
    stage.connect(6, "10.0.1.66");
    CHECK(stage.request(6, "PLAY", kCam, session + stage.proof("eve", "PLAY", kCam)) == 503);
    CHECK(stage.request(2, "PLAY", kCam, session + stage.proof("adam", "PLAY", kCam)) ==
          401);  // stale: the nonce is of 3
    CHECK(stage.request(2, "PLAY", kCam, session + stage.proof("adam", "PLAY", kCam)) == 200);
    // The minute ends.
    stage.pass(40s);
    stage.connect(7, "10.0.1.66");
    CHECK(stage.as(7, "eve", "DESCRIBE") == 200);
}

TEST_CASE("one wrong password now and then blocks nobody", "[rtsp][permission]") {
    auto settings = with({user("eve")});
    settings.per_address.failures = 3;
    Stage stage(settings);
    for (rtsp::ConnectionId id = 1; id <= 9; id++) {
        stage.connect(id);
        CHECK(stage.as(id, "eve", "DESCRIBE", kCam, "", "", "guess") == 401);
        stage.server.disconnected(id);
        stage.pass(31s);
    }
    CHECK(stage.done.empty());
}

TEST_CASE("limits count an IPv6 host by its /64", "[rtsp][permission]") {
    auto settings = with({user("eve")});
    settings.per_address = {.connections = 3, .sessions = 1, .requests = 100, .streams = 1, .failures = 2};
    Stage stage(settings);
    CHECK(stage.connect(1, "2001:db8:0:1::1"));
    CHECK(stage.connect(2, "2001:db8:0:1::2"));
    CHECK(stage.connect(3, "2001:db8:0:1:ffff::3"));
    CHECK_FALSE(stage.connect(4, "2001:db8:0:1::4"));
    CHECK(stage.connect(5, "2001:db8:0:2::1"));
    CHECK(stage.as(1, "eve", "SETUP", "rtsp://10.0.1.1/cam/video", std::string(kUdp)) == 200);
    CHECK(stage.as(2, "eve", "SETUP", "rtsp://10.0.1.1/cam/video", std::string(kUdp)) == 453);
    CHECK(stage.as(2, "eve", "PLAY", kCam, "Session: " + stage.token() + "\r\n") ==
          454);  // a session is of one address
    CHECK(stage.as(5, "eve", "SETUP", "rtsp://10.0.1.1/cam/video", std::string(kUdp)) == 200);
    CHECK(stage.as(1, "eve", "DESCRIBE", kCam, "", "", "guess") == 401);
    CHECK(stage.as(3, "eve", "DESCRIBE", kCam, "", "", "guess") == 401);
    CHECK(stage.done.back() == "blocked 2001:db8:0:1::");
    CHECK(stage.as(2, "eve", "DESCRIBE") == 503);
    CHECK(stage.as(5, "eve", "DESCRIBE") == 200);
}

TEST_CASE("a reload", "[rtsp][permission]") {
    Stage stage(with({user("eve"), user("adam"), user("lilith")}));
    for (rtsp::ConnectionId id = 1; id <= 3; id++) {
        stage.connect(id);
        REQUIRE(stage.as(id,
                         id == 1   ? "eve"
                         : id == 2 ? "adam"
                                   : "lilith",
                         "SETUP", "rtsp://10.0.1.1/cam/video", std::string(kUdp)) == 200);
    }
    SECTION("that changes nothing disturbs nobody") {
        stage.reload(with({user("lilith"), user("adam"), user("eve")}));
        CHECK(stage.server.sessions().size() == 3);
        CHECK(stage.closed.empty());
        CHECK(stage.request(3, "DESCRIBE", kCam, stage.proof("lilith", "DESCRIBE", kCam)) ==
              200);  // with the same nonce
    }
    SECTION("ends the sessions of those who went, who have another password, and who may not any more") {
        stage.reload(with({user("eve"), user("adam", "other")}));
        CHECK(stage.done.back() == "end 3 forbidden");
        CHECK(stage.server.sessions().size() == 1);
        CHECK(stage.closed == std::vector<rtsp::ConnectionId>{2, 3});
        stage.reload(with({user("eve"), user("adam", "other")}, std::vector{may_play({"adam"})}));
        CHECK(stage.done.back() == "end 1 forbidden");
        CHECK(stage.server.sessions().empty());
        stage.connect(4);
        CHECK(stage.as(4, "eve", "DESCRIBE") == 403);
        CHECK(stage.as(4, "lilith", "DESCRIBE") == 401);
        CHECK(stage.as(4, "adam", "DESCRIBE", kCam, "", "", "other") == 200);
    }
    SECTION("of the timeout is for sessions to come: clients keep time by what they were told") {
        auto shorter = with({user("eve"), user("adam"), user("lilith")});
        shorter.session_timeout = 5s;
        stage.reload(shorter);
        stage.connect(4);
        CHECK(stage.as(4, "eve", "SETUP", "rtsp://10.0.1.1/cam/video", std::string(kUdp)) == 200);
        CHECK(stage.last().find(";timeout=5\r\n") != std::string::npos);
        stage.pass(6s);
        CHECK(stage.server.sessions().size() == 3);
        CHECK(stage.done.back() == "end 4 timeout");
    }
    SECTION("of limits lets be what is there") {
        auto less = with({user("eve"), user("adam"), user("lilith")});
        less.per_address.sessions = less.per_address.connections = 1;
        stage.reload(less);
        CHECK(stage.server.sessions().size() == 3);
        CHECK_FALSE(stage.connect(4));
        CHECK(stage.as(1, "eve", "SETUP", "rtsp://10.0.1.1/cam/video", std::string(kUdp)) == 453);
    }
    SECTION("meets what is being answered") {
        stage.answer_describe = false;
        stage.connect(4);
        stage.as(4, "eve", "DESCRIBE");
        REQUIRE(stage.described.size() == 1);
        stage.said.clear();
        SECTION("and is not allowed by now") { stage.reload(with({user("adam")})); }
        SECTION("and has another password by now") { stage.reload(with({user("eve", "other")})); }
        stage.server.answer(stage.now, stage.described[0], rtsp::Described{"v=0\r\n"});
        stage.drain();
        CHECK(stage.said.starts_with("RTSP/1.0 403"));
        CHECK(stage.said.find("v=0") == std::string::npos);
    }
}

TEST_CASE("publishers end when publishing is turned off", "[rtsp][permission]") {
    Stage stage(with({}, {}, true));
    stage.connect(1);
    stage.request(1, "ANNOUNCE", "rtsp://10.0.1.1/live", "Content-Type: application/sdp\r\n", kSdp);
    CHECK(stage.request(1, "SETUP", "rtsp://10.0.1.1/live/a", kRecord) == 200);
    stage.connect(2);
    CHECK(stage.request(2, "SETUP", "rtsp://10.0.1.1/cam/video", kUdp) == 200);
    stage.reload(with({}));
    CHECK(stage.done.back() == "end 1 forbidden");
    CHECK(stage.server.sessions().size() == 1);
    CHECK(stage.closed == std::vector<rtsp::ConnectionId>{1});
    CHECK(stage.request(2, "ANNOUNCE", "rtsp://10.0.1.1/live") == 405);
}
