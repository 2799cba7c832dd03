// The SDP that receivers of outputs play them by: every address, group and parameter of it.
#include "control/cli/show.hpp"
#include "control/rtsp/announce.hpp"
#include "control/rtsp/offer.hpp"
#include "control/sdp/groups.hpp"
#include "control/sdp/receivers.hpp"

#include "mesh_cases.hpp"

using namespace penstock;
using namespace penstock::test;
using rtp::fec::Scheme;

namespace {

constexpr uint32_t kSsrc = 1000;

config::Track video(std::vector<config::Output> outputs) {
    auto t = track({from("10.0.0.1:20000")}, std::move(outputs));
    t.payload_type = 96;
    t.encoding = "H264/90000";
    t.fmtp = "packetization-mode=1";
    return t;
}

config::Output with_fec(const char* rtp, rtp::fec::Carriage carriage, uint16_t port, rtp::fec::Matrix matrix = {}) {
    auto output = to(rtp);
    carriage.among_media = carriage.scheme == Scheme::ulpfec && port == 0;
    output.fec = config::OutputFec{{carriage, matrix}, port};
    return output;
}

// After o=, whose numbers tell descriptions apart; and it is what can be read.
std::string told(const config::Track& track, std::optional<uint32_t> ssrc = kSsrc) {
    const sdp::SentTrack sent{"video", track, track.outputs, ssrc};
    const auto text = sdp::receivers("camera", {&sent, 1}, ip("10.0.1.1"));
    REQUIRE(text);
    const auto read = sdp::parse(*text);
    REQUIRE(read);
    CHECK(read->origin.address == "10.0.1.1");
    std::string rest = text->substr(text->find("s=camera\r\nt=0 0\r\n"));
    return rest.substr(rest.find("t=0 0\r\n") + 7);
}

}  // namespace

TEST_CASE("a receiver is told where its medium comes and what it is", "[sdp]") {
    auto group = to("239.2.2.2:5004");
    group.ttl = 16;
    CHECK(
        told(video({to("10.0.1.20:6000")})) ==
        "m=video 6000 RTP/AVP 96\r\nc=IN IP4 10.0.1.20\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\n"
        "a=mid:video\r\n");
    CHECK_THAT(told(video({group})), Catch::Contains("c=IN IP4 239.2.2.2/16\r\n"));
    CHECK_THAT(told(video({to("239.2.2.2:5004")})), Catch::Contains("c=IN IP4 239.2.2.2/127\r\n"));
    CHECK_THAT(told(video({to("[ff05::7]:5004")})), Catch::Contains("c=IN IP6 ff05::7\r\n"));
    auto mux = to("[fd02::20]:6000");
    mux.rtcp_mux = true;
    CHECK_THAT(told(video({mux})), Catch::Contains("c=IN IP6 fd02::20\r\n") && Catch::Contains("a=rtcp-mux\r\n"));
}

TEST_CASE("repair on ports of its own is media of its own, in a group with what it repairs", "[sdp]") {
    const std::string st2022 = told(video({with_fec("10.0.1.20:6000", {}, 2, {.columns = 8, .rows = 5})}));
    CHECK_THAT(st2022, Catch::StartsWith("a=group:FEC-FR video video-columns video-rows\r\n"));
    CHECK_THAT(st2022, Catch::Contains("m=application 6002 RTP/AVP 96\r\nc=IN IP4 10.0.1.20\r\n"
                                       "a=rtpmap:96 1d-interleaved-parityfec/90000\r\n"
                                       "a=fmtp:96 L=8; D=5; repair-window=1000000\r\na=mid:video-columns\r\n"));
    CHECK_THAT(st2022, Catch::Contains("m=application 6004 RTP/AVP 96\r\nc=IN IP4 10.0.1.20\r\n"
                                       "a=rtpmap:96 1d-interleaved-parityfec/90000\r\n"
                                       "a=fmtp:96 L=1; D=8; repair-window=1000000\r\na=mid:video-rows\r\n"));
    const std::string ulpfec = told(video({with_fec("10.0.1.20:6000", {Scheme::ulpfec, 122}, 10)}));
    CHECK_THAT(ulpfec, Catch::StartsWith("a=group:FEC-FR video video-fec\r\nm=video 6000 RTP/AVP 96\r\n"));
    CHECK_THAT(ulpfec, Catch::Contains("m=application 6010 RTP/AVP 122\r\nc=IN IP4 10.0.1.20\r\n"
                                       "a=rtpmap:122 ulpfec/90000\r\na=mid:video-fec\r\n"));
}

TEST_CASE("repair on the port of the media is another payload type, told by its SSRC where that is known", "[sdp]") {
    const auto output = with_fec("10.0.1.20:6000", {Scheme::flexfec, 110}, 0);
    const std::string flexfec = told(video({output}));
    CHECK_THAT(flexfec, Catch::StartsWith("m=video 6000 RTP/AVP 96 110\r\n"));
    CHECK_THAT(flexfec, Catch::Contains("a=rtpmap:110 flexfec/90000\r\n"
                                        "a=fmtp:110 repair-window=1000000; L=10; D=10; ToP=2\r\n"));
    CHECK_THAT(flexfec, Catch::Contains(fmt::format("a=ssrc-group:FEC-FR 1000 {}\r\n", 1000 ^ 0x5a3c96e1)));
    CHECK_THAT(told(video({output}), std::nullopt), !Catch::Contains("ssrc-group"));
    CHECK_THAT(told(video({with_fec("10.0.1.20:6000", {Scheme::flexfec, 110}, 0, {.row_repair = false})})),
               Catch::Contains("L=10; D=10; ToP=0\r\n"));
    CHECK_THAT(told(video({with_fec("10.0.1.20:6000", {Scheme::flexfec, 110}, 0, {.column_repair = false})})),
               Catch::Contains("repair-window=1000000; L=10; ToP=1\r\n"));
    const std::string ulpfec = told(video({with_fec("10.0.1.20:6000", {Scheme::ulpfec, 122}, 0)}));
    CHECK_THAT(ulpfec, Catch::StartsWith("m=video 6000 RTP/AVP 96 122\r\n"));
    CHECK_THAT(ulpfec, Catch::Contains("a=rtpmap:122 ulpfec/90000\r\n") && !Catch::Contains("ssrc-group"));
}

TEST_CASE("what goes twice is a group of duplicates: of media, or of SSRCs with their delay", "[sdp]") {
    auto a = with_fec("10.0.3.20:6000", {}, 2), b = with_fec("10.0.4.20:6000", {}, 2);
    a.live_live = b.live_live = 1;
    const auto read = sdp::parse("v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n" + told(video({a, b})));
    REQUIRE(read);
    const auto groups = sdp::groups(*read);
    CHECK(groups == std::vector<sdp::Group>{{"FEC-FR", {"video", "video-columns", "video-rows"}},
                                            {"FEC-FR", {"video-copy", "video-copy-columns", "video-copy-rows"}},
                                            {"DUP", {"video", "video-copy"}}});
    CHECK(read->media.size() == 6);
    CHECK(sdp::originals(*read) ==
          std::vector<std::optional<size_t>>{std::nullopt, std::nullopt, std::nullopt, 0, std::nullopt, std::nullopt});
    auto later = to("10.0.1.20:6000");
    later.duplicate_after = std::chrono::milliseconds(50);
    CHECK_THAT(told(video({later})), Catch::Contains(fmt::format("a=ssrc-group:DUP 1000 {}\r\n", ~uint32_t{1000})) &&
                                         Catch::Contains("a=duplication-delay:50\r\n"));
}

TEST_CASE("what receivers are told is what is read of a source that says the same", "[sdp]") {
    const auto read = [](const config::Output& output) {
        const auto all = rtsp::announced("v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n" + told(video({output})));
        REQUIRE(all);
        return *all;
    };
    using rtp::fec::Carriage;
    const auto st2022 = read(with_fec("10.0.1.20:6000", {}, 2));
    REQUIRE(st2022.size() == 3);
    for (const size_t repair : {1u, 2u}) {
        CHECK(st2022[repair].repairs == 0u);
        CHECK(st2022[repair].repair == Carriage{Scheme::st2022_1, 96, false});
    }
    CHECK(read(with_fec("10.0.1.20:6000", {}, 2, {.row_repair = false})).size() == 2);
    CHECK(read(with_fec("10.0.1.20:6000", {Scheme::flexfec, 110}, 2))[1].repair ==
          Carriage{Scheme::flexfec, 110, false});
    CHECK(read(with_fec("10.0.1.20:6000", {Scheme::ulpfec, 122}, 0))[0].repair == Carriage{Scheme::ulpfec, 122, true});
    auto later = to("10.0.1.20:6000");
    later.duplicate_after = std::chrono::milliseconds(50);
    CHECK(read(later)[0].duplicated);
    CHECK_FALSE(read(to("10.0.1.20:6000"))[0].duplicated);
}

TEST_CASE("what may be asked for again is offered, where it is kept and asked for at us", "[sdp]") {
    auto plain = to("10.0.1.20:6000"), rtx = to("10.0.1.21:6000");
    rtx.rtx = rtp::RtxStream{97, 0};
    auto t = video({plain});
    t.feedback = config::Feedback{};
    CHECK_THAT(told(t), Catch::StartsWith("m=video 6000 RTP/AVPF 96\r\n") &&
                            Catch::Contains("a=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n"));
    t.outputs = {rtx};
    CHECK_THAT(told(t), Catch::StartsWith("m=video 6000 RTP/AVPF 96 97\r\n") &&
                            Catch::Contains("a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96;rtx-time=1000\r\n") &&
                            Catch::Contains(fmt::format("a=ssrc-group:FID 1000 {}\r\n", rtp::rtx_ssrc_for(1000))));
    t.outputs = {to("239.2.2.2:5004")};
    CHECK_THAT(told(t), Catch::StartsWith("m=video 5004 RTP/AVP 96\r\n"));
    t.outputs = {rtx};
    t.feedback->retransmit = 0;
    CHECK_THAT(told(t), Catch::StartsWith("m=video 6000 RTP/AVP 96\r\n"));
}

TEST_CASE("show stream sdp describes the one receiver that is meant", "[show]") {
    auto audio = track({from("10.0.0.1:20010")}, {to("10.0.1.20:6002"), to("10.0.1.21:6002")}, "audio");
    audio.payload_type = 0;
    audio.encoding = "PCMU/8000";
    auto legs = video({to("10.0.1.20:6000"), to("10.0.1.21:6000"), to("10.0.3.9:6000"), to("10.0.4.9:6000")});
    legs.outputs[2].live_live = legs.outputs[3].live_live = 1;
    mesh::Mesh mesh = model();
    put(mesh, stream({legs, audio}));
    const auto media = [&](std::string_view receivers) {
        std::vector<std::string> all;
        const auto text = cli::stream_sdp(mesh, "camera", receivers);
        if (!text) return std::vector{text.error().text};
        const auto read = sdp::parse(*text);
        for (const auto& m : read->media)
            all.push_back(fmt::format("{} {}:{}", m.type, m.connections[0].address, m.port));
        return all;
    };
    using All = std::vector<std::string>;
    CHECK(media("10.0.1.20") == All{"video 10.0.1.20:6000", "audio 10.0.1.20:6002"});
    CHECK(media("10.0.1.21:6000") == All{"video 10.0.1.21:6000"});
    CHECK(media("10.0.1.21:6000  10.0.1.20:6002") == All{"video 10.0.1.21:6000", "audio 10.0.1.20:6002"});
    CHECK(media("10.0.4.9") == All{"video 10.0.3.9:6000", "video 10.0.4.9:6000"});
    CHECK_THAT(media("")[0], Catch::StartsWith("track 'video' has several receivers: say which of 10.0.1.20:6000, "));
    CHECK_THAT(media("10.0.1.99")[0], Catch::StartsWith("no such receiver; there are 10.0.1.20:6000, "));
    CHECK_THAT(media("camera")[0], Catch::Contains("'camera' is no address"));
    put(mesh, stream({track({from("10.0.0.1:20000")}, {to("10.0.1.20:6000")})}));
    CHECK_THAT(media("")[0], Catch::Contains("track 'video' has no payload_type"));
    put(mesh, stream({track({from("10.0.0.1:20000")}, {})}));
    CHECK_THAT(media("")[0], Catch::Contains("has no outputs"));
    auto one = video({to("10.0.1.20:6000")});
    put(mesh, stream({one}));
    CHECK(media("") == All{"video 10.0.1.20:6000"});
}

TEST_CASE("viewers are offered retransmission where it is kept, and VLC is not", "[sdp]") {
    auto t = video({});
    const std::vector<rtsp::OfferedTrack> tracks{{"video", t}};
    const auto offered = [&](std::string_view agent) { return *rtsp::offer("camera", tracks, ip("10.0.1.1"), agent); };
    CHECK_THAT(offered("GStreamer/1.22"), Catch::Contains("m=video 0 RTP/AVP 96\r\n") && !Catch::Contains("rtcp-fb"));
    t.feedback = config::Feedback{};
    CHECK_THAT(offered("GStreamer/1.22"),
               Catch::Contains("m=video 0 RTP/AVPF 96 97\r\n") &&
                   Catch::Contains("a=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n") &&
                   Catch::Contains("a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96;rtx-time=1000\r\n"));
    CHECK_THAT(offered("LibVLC/3.0.18 (LIVE555 Streaming Media v2016.11.28)"),
               Catch::Contains("m=video 0 RTP/AVP 96\r\n") && !Catch::Contains("rtcp-fb"));
    CHECK(offered("a") == offered("b"));
    CHECK(offered("a") != offered("LIVE555"));
    t.payload_type = 127;
    CHECK(rtsp::rtx_type_of(t) == 96);
    t.feedback->retransmit = 0;
    CHECK(rtsp::rtx_type_of(t) == std::nullopt);
}
