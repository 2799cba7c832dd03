// Publishers: what they announce, in which order they may do what, their channels, and how they end.
#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "support/rtsp_clients.hpp"
#include "support/rtsp_stage.hpp"

using namespace penstock;
using namespace penstock::test;
using namespace std::chrono_literals;
using Done = std::vector<std::string>;

namespace {

const std::string kHead = "v=0\r\no=- 0 0 IN IP4 10.0.1.20\r\ns=-\r\nt=0 0\r\n";
const std::string kVideo = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:streamid=0\r\n";
const std::string kAudio = "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 opus/48000/2\r\na=control:streamid=1\r\n";

rtsp::ServerSettings open_to_publishers(rtsp::PerAddress limits = {}) {
    return {.software = {}, .access = {}, .session_timeout = 60s, .per_address = limits, .publish = true};
}
std::string request(std::string_view method, std::string_view url, std::string_view more = "") {
    return fmt::format("{} {} RTSP/1.0\r\nCSeq: 1\r\n{}\r\n", method, url, more);
}
std::string announce(std::string_view sdp, std::string_view url = "rtsp://10.0.1.1/live",
                     std::string_view type = "application/sdp") {
    return request("ANNOUNCE", url, fmt::format("Content-Type: {}\r\nContent-Length: {}\r\n", type, sdp.size())) +
           std::string(sdp);
}
std::string setup(std::string_view track, std::string_view transport, std::string_view more = "") {
    return request("SETUP", fmt::format("rtsp://10.0.1.1/live/{}", track),
                   fmt::format("Transport: {}\r\n{}", transport, more));
}
constexpr std::string_view kUdp = "RTP/AVP;unicast;client_port=5000-5001;mode=record";
constexpr std::string_view kTcp = "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record";
const std::string kSession = "Session: SESSION\r\n";
const std::string kRecord = request("RECORD", "rtsp://10.0.1.1/live", kSession);
const std::string kTeardown = request("TEARDOWN", "rtsp://10.0.1.1/live", kSession);

std::string frame(unsigned channel, std::string_view text) {
    std::string out{'$', static_cast<char>(channel), 0, static_cast<char>(text.size())};
    return out.append(text);
}

}  // namespace

TEST_CASE("what real publishers say", "[rtsp]") {
    for (const ClientScript& client : publisher_scripts()) {
        RtspStage stage(open_to_publishers());
        REQUIRE(stage.connect(1));
        for (const Exchange& exchange : client.exchanges) {
            INFO(client.name << "\n" << exchange.request);
            CHECK(stage.ask(1, std::string(exchange.request)) == exchange.status);
        }
        CHECK(std::ranges::find(stage.done, "record 1") != stage.done.end());
        CHECK(stage.closed.empty());
        CHECK(stage.server.counters().stray_frames == 0);
    }
}

TEST_CASE("what the answers to a publisher hold", "[rtsp]") {
    RtspStage stage(open_to_publishers());
    stage.connect(1);
    CHECK(stage.ask(1, request("OPTIONS", "*")) == 200);
    CHECK(stage.said.find("SET_PARAMETER, ANNOUNCE, RECORD\r\n") != std::string::npos);
    stage.said.clear();
    stage.ask(1, announce(kHead + kVideo));
    CHECK(stage.said == "RTSP/1.0 200 OK\r\nCSeq: 1\r\nServer: test\r\n\r\n");
    stage.said.clear();
    stage.ask(1, setup("streamid=0", kUdp));
    CHECK(stage.said ==
          "RTSP/1.0 200 OK\r\nCSeq: 1\r\nServer: test\r\n"
          "Transport: RTP/AVP;unicast;client_port=5000-5001;server_port=20000-20001;mode=\"RECORD\"\r\n"
          "Session: 00000000000000010000000000000002;timeout=60\r\n\r\n");
    CHECK(stage.ask(1, announce(kHead + kVideo, "rtsp://10.0.1.1/taken")) == 403);
    CHECK(stage.said.find("RTSP/1.0 403 it is published already\r\n") != std::string::npos);
}

TEST_CASE("a publisher may announce what does not go by RTP, but not set it up", "[rtsp]") {
    RtspStage stage(open_to_publishers());
    stage.connect(1);
    CHECK(stage.ask(1, announce(kHead + "m=application 30000 UDP/FEC\r\na=control:fec\r\n" + kVideo)) == 200);
    CHECK(stage.ask(1, setup("fec", kUdp)) == 461);
    CHECK(stage.said.find("RTSP/1.0 461 SDP: m= is RTP/AVP\r\n") != std::string::npos);
    CHECK(stage.server.sessions().empty());
    CHECK(stage.ask(1, setup("streamid=0", kUdp)) == 200);
    CHECK(stage.ask(1, setup("fec", kUdp, kSession)) == 461);
    CHECK(stage.ask(1, kRecord) == 200);
}

TEST_CASE("the life of a publisher", "[rtsp]") {
    RtspStage stage(open_to_publishers());
    stage.connect(1);
    CHECK(stage.ask(1, kRecord) == 454);
    CHECK(stage.ask(1, request("RECORD", "rtsp://10.0.1.1/live")) == 455);
    CHECK(stage.ask(1, setup("streamid=0", kUdp)) == 455);  // nothing is announced
    CHECK(stage.ask(1, announce(kHead + kAudio)) == 200);
    CHECK(stage.ask(1, announce(kHead + kVideo + kAudio)) == 200);  // in place of the first
    CHECK(stage.ask(1, kRecord) == 454);
    CHECK(stage.ask(1, setup("streamid=2", kUdp)) == 404);
    CHECK(stage.ask(1, request("SETUP", "rtsp://10.0.1.1/other/streamid=0", fmt::format("Transport: {}\r\n", kUdp))) ==
          404);
    CHECK(stage.ask(1, setup("streamid=0", "RTP/SAVP;unicast;client_port=5000-5001;mode=record")) == 461);
    CHECK(stage.ask(1, setup("streamid=0", "RTP/AVP;multicast;mode=record")) == 461);
    CHECK(stage.ask(1, setup("streamid=0",
                             "RTP/SAVP/TCP;mode=record,RTP/AVP;unicast;client_port=1-2;mode=\"RECORD\"")) == 200);
    CHECK(stage.ask(1, setup("streamid=1", kUdp)) == 455);  // the announcement is that session's
    CHECK(stage.ask(1, setup("streamid=1", kUdp, kSession)) == 200);
    CHECK(stage.ask(1, setup("streamid=1", kUdp, kSession)) == 200);  // anew
    CHECK(stage.ask(1, setup("video", "RTP/AVP;unicast;client_port=5000-5001", kSession)) == 455);
    CHECK(stage.ask(1, request("PLAY", "rtsp://10.0.1.1/live", kSession)) == 455);
    std::string again = announce(kHead + kVideo);
    again.insert(again.find("Content-Type"), kSession);
    CHECK(stage.ask(1, again) == 455);
    CHECK(stage.ask(1, kRecord) == 200);
    CHECK(stage.server.sessions().begin()->second.state == rtsp::State::recording);
    CHECK(stage.ask(1, setup("streamid=0", kUdp, kSession)) == 455);
    CHECK(stage.ask(1, request("PLAY", "rtsp://10.0.1.1/live", kSession)) == 455);
    CHECK(stage.ask(1, kRecord) == 200);
    CHECK(stage.ask(1, request("GET_PARAMETER", "rtsp://10.0.1.1/live", kSession)) == 200);
    CHECK(stage.ask(1, request("PAUSE", "rtsp://10.0.1.1/live", kSession)) == 200);
    CHECK(stage.server.sessions().begin()->second.state == rtsp::State::ready);
    CHECK(stage.ask(1, kRecord) == 200);
    CHECK(stage.ask(1, request("TEARDOWN", "rtsp://10.0.1.1/live/streamid=0", kSession)) == 200);  // all of it
    CHECK(stage.ask(1, kTeardown) == 454);
    CHECK(stage.done == Done{"receive 1 live video", "receive 1 live audio", "receive 1 live audio", "record 1",
                             "record 1", "record 1", "end 1 teardown"});
    // Who watches may not record.
    stage.ask(1, request("SETUP", "rtsp://10.0.1.1/cam/video", "Transport: RTP/AVP;unicast;client_port=5000-5001\r\n"));
    CHECK(stage.ask(1, request("RECORD", "rtsp://10.0.1.1/cam", kSession)) == 455);
    CHECK(stage.ask(1, setup("streamid=0", kUdp, kSession)) == 455);
}

TEST_CASE("what may be announced", "[rtsp]") {
    struct Case {
        std::string sdp;
        int status;
        std::string_view why = "";
    };
    const auto media = [](std::string_view line, std::string_view more = "") {
        return kHead + std::string(line) + "\r\n" + std::string(more);
    };
    const std::string h264 = "a=rtpmap:96 H264/90000\r\n";
    const Case table[] = {
        {kHead + kVideo, 200},
        {media("m=video 0 RTP/AVPF 96", h264), 200},
        {media("m=video 0 RTP/AVP 96 97", h264), 200},  // the first one counts
        {media("m=audio 5004 RTP/AVP 0"), 200},         // a static payload type needs no rtpmap
        {media("m=application 0 RTP/AVP 107", "a=rtpmap:107 vnd.onvif.metadata/90000\r\n"), 200},
        {media("m=video 0 RTP/SAVP 96", h264), 461, "SDP: m= is RTP/AVP"},
        {media("m=video 0 UDP 96", h264), 461},
        {media("m=text 0 RTP/AVP 96", h264), 400, "video, audio or application"},
        {media("m=video 0 RTP/AVP"), 400, "payload type"},
        {media("m=video 0 RTP/AVP 128"), 400, "payload type"},
        {media("m=video 0 RTP/AVP 72", "a=rtpmap:72 H264/90000\r\n"), 400, "payload type"},
        {media("m=video 0 RTP/AVP H264"), 400, "payload type"},
        {media("m=video 0 RTP/AVP 96"), 400, "a=rtpmap:96 NAME/CLOCK"},
        {media("m=video 0 RTP/AVP 96", "a=rtpmap:96 H264\r\n"), 400, "a=rtpmap:96 NAME/CLOCK"},
        {media("m=video 0 RTP/AVP 96", h264 + "a=fmtp:96 " + std::string(4097, 'x') + "\r\n"), 400, "a=fmtp"},
        {media("m=video 0 RTP/AVP 96", h264 + "a=fmtp:96 a=\x01\r\n"), 400, "a=fmtp"},
        {kHead, 400, "1 to 8 media"},
        {"", 400, "it is empty"},
        {"nonsense", 400, "SDP: line 1"},
        {kHead + "m=video x RTP/AVP 96\r\n", 400, "the port is no number"},
    };
    for (const Case& c : table) {
        INFO(c.sdp);
        RtspStage stage(open_to_publishers());
        stage.connect(1);
        CHECK(stage.ask(1, announce(c.sdp)) == c.status);
        CHECK(stage.said.find(c.why) != std::string::npos);
    }
    RtspStage stage(open_to_publishers());
    stage.connect(1);
    std::string many = kHead;
    for (int i = 0; i < 8; i++) many += "m=audio 0 RTP/AVP 0\r\n";
    CHECK(stage.ask(1, announce(many)) == 200);
    CHECK(stage.ask(1, announce(many + "m=audio 0 RTP/AVP 0\r\n")) == 400);
    for (const auto* url : {"rtsp://10.0.1.1/", "rtsp://10.0.1.1/a/b", "rtsp://10.0.1.1/a%20b", "*"})
        CHECK(stage.ask(1, announce(kHead + kVideo, url)) == 400);
    CHECK(stage.ask(1, announce(kHead + kVideo, "rtsp://10.0.1.1/" + std::string(65, 'x'))) == 400);
    CHECK(stage.ask(1, announce(kHead + kVideo, "rtsp://10.0.1.1/live", "text/plain")) == 415);
    CHECK(stage.ask(1, request("ANNOUNCE", "rtsp://10.0.1.1/live")) == 415);
    CHECK(stage.ask(1, announce(kHead + kVideo, "/live?key=5", "Application/SDP; charset=utf-8")) == 200);
}

TEST_CASE("a copy that is announced is a second path of its original", "[rtsp]") {
    const std::string video = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n";
    const auto all =
        rtsp::announced(kHead + "a=group:DUP a b\r\n" + video + "a=mid:a\r\n" + video + "a=mid:b\r\n" + video);
    REQUIRE(all);
    REQUIRE(all->size() == 3);
    CHECK_FALSE((*all)[0].copy_of);
    CHECK((*all)[1].copy_of == 0u);
    CHECK_FALSE((*all)[2].copy_of);
    CHECK((*all)[0].name == "video");
    CHECK((*all)[1].name == "video-copy");
    CHECK((*all)[2].name == "video-2");
}

TEST_CASE("which track a publisher means", "[rtsp]") {
    const auto tracks = [](std::initializer_list<std::string_view> controls) {
        std::string sdp = kHead;
        for (const std::string_view control : controls)
            sdp += fmt::format("m=audio 0 RTP/AVP 0\r\n{}",
                               control.empty() ? "" : fmt::format("a=control:{}\r\n", control));
        return rtsp::announced(sdp).value();
    };
    const auto meant = [](const std::vector<rtsp::AnnouncedTrack>& all, std::string_view url) {
        const rtsp::AnnouncedTrack* track = rtsp::track_of(all, url);
        return track ? track->name : "";
    };
    const auto two = tracks({"streamid=0", "streamid=1"});
    CHECK(meant(two, "rtsp://h/live/streamid=1") == "audio-2");
    CHECK(meant(two, "rtsp://h/live/streamid=1/") == "audio-2");
    CHECK(meant(two, "rtsp://h/live/streamid=1?key=5") == "audio-2");
    CHECK(meant(two, "rtsp://h/live?key=5/streamid=1") == "audio-2");  // FFmpeg
    CHECK(meant(two, "rtsp://h/live/xstreamid=1") == "");
    CHECK(meant(two, "rtsp://h/live") == "");
    const auto absolute = tracks({"rtsp://h/live/a", "rtsp://h:554/live/b"});
    CHECK(meant(absolute, "rtsp://h:554/live/b") == "audio-2");
    const auto nested = tracks({"1", "media/1"});
    CHECK(meant(nested, "rtsp://h/live/media/1") == "audio-2");
    CHECK(meant(nested, "rtsp://h/live/1") == "audio");
    const auto none = tracks({"", "*"});  // no a=control: counted as FFmpeg counts
    CHECK(meant(none, "rtsp://h/live/streamid=0") == "audio");
    CHECK(meant(none, "rtsp://h/live/streamid=1") == "audio-2");
    CHECK(meant(tracks({""}), "rtsp://h/live") == "audio");  // the only one
    CHECK(meant(tracks({""}), "rtsp://h/live/?key=5") == "audio");
}

TEST_CASE("a publisher's frames", "[rtsp]") {
    RtspStage stage(open_to_publishers());
    stage.connect(1);
    stage.ask(1, announce(kHead + kVideo + kAudio));
    CHECK(stage.ask(1, setup("streamid=0", kTcp)) == 200);
    CHECK(stage.said.find("Transport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=\"RECORD\"") != std::string::npos);
    CHECK(stage.ask(1, setup("streamid=1", kTcp, kSession)) == 200);  // its channels are taken
    CHECK(stage.said.find("interleaved=2-3") != std::string::npos);
    CHECK(stage.ask(1, setup("streamid=1", "RTP/AVP/TCP;unicast;mode=record", kSession)) == 200);
    CHECK(stage.said.find("interleaved=4-5") == std::string::npos);  // its own again
    CHECK(stage.ask(1, setup("streamid=1", "RTP/AVP/TCP;unicast;interleaved=7-9;mode=record", kSession)) == 200);
    stage.say(1, frame(0, "early"));
    CHECK(stage.server.counters().stray_frames == 1);
    CHECK(stage.ask(1, kRecord) == 200);
    stage.done.clear();
    stage.say(1, frame(0, "v") + frame(1, "vr") + frame(7, "a") + frame(9, "ar") + frame(8, "none") + frame(0, ""));
    CHECK(stage.done == Done{"media 1 video rtp v", "media 1 video rtcp vr", "media 1 audio rtp a",
                             "media 1 audio rtcp ar", "media 1 video rtp "});
    CHECK(stage.server.counters().stray_frames == 2);
    stage.pass(59s);
    stage.say(1, frame(9, "alive"));
    stage.pass(59s);
    CHECK(stage.server.sessions().size() == 1);
    stage.connect(2);  // the frames of another connection are not its own
    stage.say(2, frame(0, "x"));
    CHECK(stage.server.counters().stray_frames == 3);
    CHECK(stage.ask(1, kTeardown) == 200);
    stage.ask(1, announce(kHead + kVideo));
    CHECK(stage.ask(1, setup("streamid=0", kTcp)) == 200);  // of a session that is gone they are free again
    CHECK(stage.said.substr(stage.said.rfind("Transport: "))
              .starts_with("Transport: RTP/AVP/TCP;unicast;interleaved=0-1;"));
    stage.server.disconnected(1);
    stage.drain();
    CHECK(stage.done.back() == "end 2 connection_lost");
    CHECK(stage.server.sessions().empty());
}

TEST_CASE("how publishers end", "[rtsp]") {
    RtspStage stage(open_to_publishers());
    const auto publish = [&](rtsp::ConnectionId id, std::string_view transport) {
        stage.connect(id);
        stage.ask(id, announce(kHead + kVideo));
        REQUIRE(stage.ask(id, setup("streamid=0", transport)) == 200);
        REQUIRE(stage.ask(id, kRecord) == 200);
    };
    publish(1, kUdp);
    stage.server.disconnected(1);  // over UDP it goes on
    stage.drain();
    stage.pass(59s);
    stage.server.heard(stage.now, 1);
    stage.pass(59s);
    CHECK(stage.server.sessions().size() == 1);
    stage.pass(1s);
    CHECK(stage.done.back() == "end 1 timeout");
    publish(2, kTcp);
    stage.pass(60s);
    CHECK(stage.done.back() == "end 2 timeout");
    CHECK(stage.closed == std::vector<rtsp::ConnectionId>{2});  // what it sends would be nobody's
    publish(3, kTcp);
    stage.server.end(3, rtsp::EndReason::taken_over);
    stage.drain();
    CHECK(stage.done.back() == "end 3 taken_over");
    CHECK(stage.closed.back() == 3);
}

TEST_CASE("how much one address may publish", "[rtsp]") {
    RtspStage stage(open_to_publishers({.connections = 9, .sessions = 9, .requests = 100, .streams = 2}));
    for (rtsp::ConnectionId id = 1; id <= 4; id++) stage.connect(id, id == 4 ? "10.0.1.21" : "10.0.1.20");
    for (rtsp::ConnectionId id = 1; id <= 3; id++) CHECK(stage.ask(id, announce(kHead + kVideo)) == 200);
    CHECK(stage.ask(1, setup("streamid=0", kTcp)) == 200);
    CHECK(stage.ask(2, setup("streamid=0", kTcp)) == 200);
    CHECK(stage.ask(3, setup("streamid=0", kTcp)) == 453);
    CHECK(stage.ask(3, announce(kHead + kVideo)) == 453);
    CHECK(stage.ask(4, announce(kHead + kVideo)) == 200);  // another one
    stage.server.disconnected(1);
    stage.drain();
    CHECK(stage.ask(3, announce(kHead + kVideo)) == 200);
    CHECK(stage.ask(3, setup("streamid=0", kTcp)) == 200);
}
