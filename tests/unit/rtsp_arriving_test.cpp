// Which tracks the media of a publisher or a camera are.
#include "control/rtsp/announce.hpp"
#include "control/rtsp/arriving.hpp"

#include <fmt/format.h>

#include <tuple>

#include "mesh_cases.hpp"

using namespace penstock;
using namespace penstock::test;
using rtp::fec::Carriage;
using rtp::fec::Scheme;

namespace {

constexpr std::string_view kHead = "v=0\r\no=- 0 0 IN IP4 10.0.0.9\r\ns=-\r\nt=0 0\r\n";
constexpr std::string_view kVideo = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=mid:v\r\na=control:v\r\n";
constexpr std::string_view kRepair =
    "m=application 0 RTP/AVP 110\r\na=rtpmap:110 flexfec/90000\r\na=mid:r\r\na=control:r\r\n";

rtsp::ArrivingMedia media(const char* rtp) { return {.config = track({}, {}), .source = from(rtp)}; }

}  // namespace

TEST_CASE("repair that is announced has the name of what it repairs, and is no track", "[rtsp]") {
    const auto all = rtsp::announced(fmt::format("{}a=group:FEC-FR v r\r\n{}{}{}", kHead, kRepair, kVideo,
                                                 "m=application 0 RTP/AVP 97\r\na=rtpmap:97 x/1000\r\n"));
    REQUIRE(all);
    REQUIRE(all->size() == 3);
    const auto& [repair, video, other] = std::tie((*all)[0], (*all)[1], (*all)[2]);
    CHECK(repair.name == "video-fec");
    CHECK(repair.repairs == 1u);
    CHECK(repair.repair == Carriage{Scheme::flexfec, 110, false});
    CHECK(video.name == "video");
    CHECK_FALSE(video.repair);
    CHECK(other.name == "application");
    CHECK_FALSE(other.repairs);
    // Without a group it is what it was: a track that is forwarded as it is.
    const auto alone = rtsp::announced(fmt::format("{}{}{}", kHead, kVideo, kRepair));
    REQUIRE(alone);
    CHECK((*alone)[1].name == "application");
}

TEST_CASE("media that do not go by RTP cannot be set up, and are no reason to do without the others", "[rtsp]") {
    constexpr std::string_view kRaptor =  // RFC 6364 section 6
        "m=application 30000 UDP/FEC\r\na=fec-repair-flow: encoding-id=6; fssi=Kmax:8192,T:128,P:A\r\n"
        "a=repair-window:200ms\r\na=mid:r\r\na=control:r\r\n";
    const auto all = rtsp::announced(fmt::format("{}a=group:FEC-FR v r\r\n{}{}{}", kHead, kRaptor, kVideo,
                                                 "m=audio 0 RTP/AVP 0\r\na=fec-source-flow: id=0\r\n"));
    REQUIRE(all);
    REQUIRE(all->size() == 3);
    const auto& [raptor, video, audio] = std::tie((*all)[0], (*all)[1], (*all)[2]);
    CHECK(raptor.refused == rtsp::Refusal{461, "SDP: m= is RTP/AVP"});
    CHECK(raptor.control == "r");
    CHECK(video.name == "video");
    CHECK_FALSE(video.refused);
    CHECK(audio.name == "audio");
    CHECK(audio.control == "streamid=2");
    // What is a copy of it, or repairs it, stands alone.
    constexpr std::string_view kSrtp = "m=video 0 RTP/SAVP 96\r\na=rtpmap:96 H264/90000\r\na=mid:s\r\na=control:s\r\n";
    const auto copy = rtsp::announced(fmt::format("{}a=group:DUP s v\r\n{}{}", kHead, kSrtp, kVideo));
    REQUIRE(copy);
    CHECK((*copy)[0].refused);
    CHECK((*copy)[1].name == "video");
    CHECK_FALSE((*copy)[1].copy_of);
    const auto repair = rtsp::announced(fmt::format("{}a=group:FEC-FR s r\r\n{}{}", kHead, kSrtp, kRepair));
    REQUIRE(repair);
    CHECK((*repair)[1].name == "application");
    CHECK_FALSE((*repair)[1].repairs);
    // There is no stream without any.
    const auto none = rtsp::announced(fmt::format("{}{}{}", kHead, kRaptor, kSrtp));
    REQUIRE_FALSE(none);
    CHECK(none.error().status == 461);
}

TEST_CASE("repair among the media is a payload type that is not the first", "[rtsp]") {
    const auto among = [](std::string_view formats, std::string_view map) {
        const auto all = rtsp::announced(
            fmt::format("{}m=video 0 RTP/AVP {}\r\na=rtpmap:96 H264/90000\r\na=rtpmap:{}\r\n", kHead, formats, map));
        REQUIRE(all);
        return (*all)[0].repair;
    };
    CHECK(among("96 110", "110 flexfec/90000") == Carriage{Scheme::flexfec, 110, false});
    CHECK(among("96 97 122", "122 ulpfec/90000") == Carriage{Scheme::ulpfec, 122, true});
    // RFC 5956 section 4.3 has it so, with a=ssrc-group:FEC-FR.
    CHECK(among("96 101", "101 1d-interleaved-parityfec/90000") == Carriage{Scheme::st2022_1, 101, false});
    CHECK_FALSE(among("96 97", "97 rtx/90000"));
    CHECK_FALSE(among("96 x", "x flexfec/90000"));
}

TEST_CASE("a source takes FIR for a key frame where its SDP says that alone", "[rtsp]") {
    const auto takes = [](std::string_view attributes) {
        const auto all = rtsp::announced(fmt::format("{}{}{}", kHead, kVideo, attributes));
        REQUIRE(all);
        return (*all)[0].config.takes_fir;
    };
    CHECK(takes("a=rtcp-fb:96 ccm fir\r\n"));
    CHECK(takes("a=rtcp-fb:* nack\r\na=rtcp-fb:* ccm fir\r\n"));
    CHECK_FALSE(takes("a=rtcp-fb:96 ccm fir\r\na=rtcp-fb:96 nack pli\r\n"));
    CHECK_FALSE(takes("a=rtcp-fb:96 nack pli\r\n"));
    CHECK_FALSE(takes("a=rtcp-fb:96\r\na=rtcp-fb\r\na=rtcp-fb: \r\n"));
    CHECK_FALSE(takes(""));
}

TEST_CASE("media become tracks with paths, and paths with repair", "[rtsp]") {
    auto video = media("10.0.0.1:20000"), repair = media("10.0.0.1:20002"), copy = media("10.0.0.1:20004"),
         copy_repair = media("10.0.0.1:20000"), audio = media("10.0.0.1:20008");
    copy_repair.source.rtp.port = 20006;
    repair.repairs = 0;
    copy.copy_of = 0;
    copy_repair.repairs = 2;
    repair.repair = copy_repair.repair = Carriage{Scheme::flexfec, 110, false};
    audio.repair = Carriage{Scheme::ulpfec, 122, true};
    const rtsp::ArrivingMedia all[] = {video, repair, copy, copy_repair, audio};
    const auto made = rtsp::tracks_of(all);
    REQUIRE(made.tracks.size() == 2);
    REQUIRE(made.tracks[0].sources.size() == 2);
    for (const config::Source& source : made.tracks[0].sources) {
        REQUIRE(source.fec);
        CHECK(source.fec->port == 2);
        CHECK(source.fec->carriage == *repair.repair);
        CHECK(config::repair_ports(source) == std::vector<uint16_t>{2});
    }
    REQUIRE(made.tracks[1].sources[0].fec);
    CHECK(made.tracks[1].sources[0].fec->port == 0);
    REQUIRE(made.places.size() == 5);
    CHECK_FALSE(made.places[1]);
    CHECK(made.places[2]->path == 1);
    CHECK_FALSE(made.places[3]);
    CHECK(made.places[4]->track == 1);
}

TEST_CASE("repair without its media, or of another address, is of no use", "[rtsp]") {
    auto video = media("239.1.1.1:5004"), elsewhere = media("239.1.1.2:5006"), lower = media("239.1.1.1:5000");
    elsewhere.repairs = lower.repairs = 0;
    elsewhere.repair = lower.repair = Carriage{Scheme::flexfec, 110, false};
    const rtsp::ArrivingMedia both[] = {video, elsewhere};
    CHECK_FALSE(rtsp::tracks_of(both).tracks[0].sources[0].fec);
    const rtsp::ArrivingMedia below[] = {video, lower};
    CHECK(rtsp::tracks_of(below).tracks[0].sources[0].fec->port == static_cast<uint16_t>(-4));
    auto alone = lower;
    alone.repairs = 0;  // of itself: nothing that a description says
    CHECK(rtsp::tracks_of({&alone, 1}).tracks.empty());
    // A copy whose original stands behind it.
    auto first = video;
    first.copy_of = 1;
    const rtsp::ArrivingMedia turned[] = {first, lower};
    CHECK(rtsp::tracks_of(turned).tracks.size() == 1);
}

TEST_CASE("columns and rows of ST 2022-1 that are announced come to two ports of their source", "[rtsp]") {
    const auto all = rtsp::announced(
        fmt::format("{}a=group:FEC-FR v c r\r\n{}"
                    "m=video 30002 RTP/AVP 100\r\na=rtpmap:100 parityfec/90000\r\na=mid:c\r\na=control:c\r\n"
                    "m=video 30004 RTP/AVP 100\r\na=rtpmap:100 parityfec/90000\r\na=mid:r\r\na=control:r\r\n",
                    kHead, kVideo));
    REQUIRE(all);
    REQUIRE(all->size() == 3);
    CHECK((*all)[0].name == "video");
    CHECK((*all)[1].name == "video-fec");
    CHECK((*all)[2].name == "video-fec-2");
    std::vector<rtsp::ArrivingMedia> media;
    for (uint16_t n = 0; n < 3; n++) {
        const rtsp::AnnouncedTrack& track = (*all)[n];
        config::Source source;
        source.rtp = {ip("10.0.0.1"), static_cast<uint16_t>(20000 + 10 * n)};
        media.push_back({track.config, source, track.copy_of, track.repairs, track.repair, track.duplicated});
    }
    const auto made = rtsp::tracks_of(media);
    REQUIRE(made.tracks.size() == 1);
    REQUIRE(made.tracks[0].sources.size() == 1);
    const config::Source& source = made.tracks[0].sources[0];
    REQUIRE(source.fec);
    CHECK(source.fec->carriage.scheme == Scheme::st2022_1);
    CHECK(config::repair_ports(source) == std::vector<uint16_t>{10, 20});
    CHECK(made.places[0]);
    CHECK_FALSE(made.places[1]);
    CHECK_FALSE(made.places[2]);
    // Columns alone.
    media.pop_back();
    CHECK(config::repair_ports(rtsp::tracks_of(media).tracks[0].sources[0]) == std::vector<uint16_t>{10});
}

TEST_CASE("a medium that comes twice to its port is a track with two sources there", "[rtsp]") {
    const auto all =
        rtsp::announced(fmt::format("{}{}a=ssrc-group:DUP 1000 1010\r\na=duplication-delay:50\r\n", kHead, kVideo));
    REQUIRE(all);
    CHECK((*all)[0].duplicated);
    auto video = media("10.0.0.1:20000"), copy = media("10.0.0.1:20004");
    video.duplicated = true;
    video.repair = Carriage{Scheme::flexfec, 110, false};
    video.source.from = ip("10.0.0.9");
    const auto made = rtsp::tracks_of({&video, 1});
    REQUIRE(made.tracks.size() == 1);
    const auto& sources = made.tracks[0].sources;
    REQUIRE(sources.size() == 2);
    CHECK(config::share_address(sources[0], sources[1]));
    CHECK_FALSE(sources[0].ssrc);
    CHECK(sources[1].ssrc == config::kOtherSsrc);
    CHECK(sources[0].fec);
    CHECK_FALSE(sources[1].fec);
    CHECK(made.places[0]->path == 0);
    // Two paths are as many as there are.
    copy.copy_of = 0;
    const rtsp::ArrivingMedia both[] = {video, copy};
    CHECK(rtsp::tracks_of(both).tracks[0].sources.size() == 2);
    CHECK(rtsp::tracks_of(both).tracks[0].sources[1].rtp.port == 20004);
}
