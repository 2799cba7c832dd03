// What cameras and servers do otherwise, each by its name.
#include "rtsp_talk.hpp"

using namespace penstock;
using namespace penstock::test;

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
        t.answer(200,
                 "Session: 1;timeout=2\r\nTransport: RTP/AVP/UDP;unicast;client_port=5000;server_port=8052;"
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
        t.answer(200,
                 "Date: Mon, Nov 30 2026 20:44:03 GMT\r\n"
                 "Public: OPTIONS, DESCRIBE, SETUP, TEARDOWN, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER\r\n");
        t.answer(200, "Content-Base: rtsp://10.0.0.7/film.mkv/\r\nContent-Type: application/sdp\r\n", kSdp);
        t.choose(2);
        t.answer(200,
                 "Transport: RTP/AVP/TCP;unicast;destination=10.1.0.1;source=10.0.0.7;interleaved=0-1\r\n"
                 "Session: C40AF86F;timeout=65\r\n");
        CHECK(t.asked() == "SETUP rtsp://10.0.0.7/film.mkv/track2");
        SECTION("granted") {
            t.answer(200,
                     "Transport: RTP/AVP/TCP;unicast;destination=10.1.0.1;source=10.0.0.7;interleaved=2-3\r\n"
                     "Session: C40AF86F;timeout=65\r\n");
            t.play();
            t.hear(std::string_view("$\1\0\2sr$\3\0\2sr", 12));
            t.answer(200,
                     "Range: npt=0.000-\r\nSession: C40AF86F\r\nRTP-Info: url=rtsp://10.0.0.7/film.mkv/track1;"
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
            "v=0\r\no=- 17201603604647347640 17201603604647347640 IN IP4 vm\r\ns=Unnamed\r\ni=N/A\r\nc=IN IP4 "
            "0.0.0.0\r\n"
            "t=0 0\r\na=tool:vlc 3.0.24\r\na=recvonly\r\na=type:broadcast\r\na=charset:UTF-8\r\n"
            "a=control:rtsp://10.0.0.7:8554/x\r\nm=video 0 RTP/AVP 96\r\nb=AS:718\r\nb=RR:0\r\na=rtpmap:96 "
            "H264/90000\r\n"
            "a=control:rtsp://10.0.0.7:8554/x/trackID=0\r\nm=audio 0 RTP/AVP 96\r\nb=RR:0\r\n"
            "a=rtpmap:96 mpeg4-generic/48000\r\na=control:rtsp://10.0.0.7:8554/x/trackID=1\r\n";
        Talk t("rtsp://10.0.0.7:8554/x", Way::tcp);
        t.hear(
            "RTSP/1.0 200 OK\r\nServer: VLC/3.0.24\r\nContent-Length: 0\r\nCseq: 1\r\n"
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
