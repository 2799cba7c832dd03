// add and del of single tracks, sources and outputs: what the stream becomes, and what is refused with which words.
#include "control/cli/edit.hpp"

#include <catch2/catch.hpp>

#include "control/cli/reloaded.hpp"
#include "control/config/differences.hpp"
#include "control/config/planned.hpp"

using namespace penstock;
using namespace penstock::cli;
using Catch::Matchers::Contains;

namespace {

using Words = std::vector<std::string>;

std::vector<config::Port> ports() {
    std::vector<config::Port> all(2);
    all[0].name = "lan";
    all[1].name = "wan";
    return all;
}

config::Stream load(const char* tracks) {
    auto stream = config::load_stream("cam", tracks, ports());
    INFO((stream ? "" : stream.error().front().text));
    REQUIRE(stream);
    return *stream;
}

const char* const kOne =
    R"({tracks: [{media: video, payload_type: 96, encoding: H264/90000, sources: [{rtp: "10.0.0.1:5004"}],
        outputs: [{rtp: "10.0.1.20:6000"}, {rtp: "10.0.1.20:6000", vlan: 5}, {rtp: "10.0.1.20:6000", port: wan}]}]})";
const char* const kTwo =
    R"({tracks: [{media: video, payload_type: 96, encoding: H264/90000, sources: [{rtp: "10.0.0.1:5004"}],
                  outputs: [{rtp: "10.0.1.20:6000"}]},
                 {media: video, payload_type: 97, encoding: H264/90000,
                  sources: [{rtp: "10.0.0.1:5006"}, {rtp: "239.1.1.1:5004", source: 10.0.0.8, port: lan}],
                  outputs: [{rtp: "10.0.1.20:6000"}]}]})";

config::Stream done(const config::Stream& stream, Action action, const char* argument, const char* says) {
    INFO(argument);
    auto edited = edit(stream, {action, {"cam", argument}}, ports());
    INFO((edited ? "" : edited.error().text));
    REQUIRE(edited);
    CHECK(edited->what == says);
    return edited->stream;
}

void refused(const config::Stream& stream, Action action, const char* argument, std::vector<const char*> says) {
    INFO(argument);
    const auto edited = edit(stream, {action, {"cam", argument}}, ports());
    REQUIRE_FALSE(edited);
    for (const char* part : says) CHECK_THAT(edited.error().text, Contains(part));
}

}  // namespace

TEST_CASE("outputs of one address are told apart by port, VLAN and track", "[edit]") {
    const auto one = load(kOne);
    CHECK(done(one, Action::del_output, "rtp://10.0.1.20:6000?vlan=5", "output 10.0.1.20:6000?vlan=5 deleted")
              .tracks[0]
              .outputs[1]
              .port == "wan");
    CHECK(done(one, Action::del_output, "rtp://10.0.1.20:6000?port=wan", "output 10.0.1.20:6000?port=wan deleted")
              .tracks[0]
              .outputs[1]
              .vlan == 5);
    const auto tagged = done(one, Action::del_output, "rtp://10.0.1.20:6000", "output 10.0.1.20:6000 deleted");
    CHECK(tagged.tracks[0].outputs.size() == 2);
    refused(tagged, Action::del_output, "rtp://10.0.1.20:6000",
            {"several outputs", "rtp://10.0.1.20:6000?vlan=5, rtp://10.0.1.20:6000?port=wan"});
}

TEST_CASE("what del names must be one", "[edit]") {
    const auto one = load(kOne), two = load(kTwo);
    refused(one, Action::del_output, "rtp://10.0.1.20:6000?vlan=6", {"has no output", "rtp://10.0.1.20:6000?vlan=5"});
    refused(one, Action::del_output, "rtp://10.0.1.20:6000?ttl=6", {"'ttl' tells no outputs apart: track, port, vlan"});
    refused(one, Action::del_output, "rtp://10.0.1.20", {"not ADDRESS:PORT"});
    refused(two, Action::del_output, "rtp://10.0.1.20:6000", {"?track=video,", "?track=video-2"});
    refused(two, Action::del_output, "rtp://10.0.1.20:6000?track=audio", {"no track 'audio'", "video, video-2"});
    CHECK(done(two, Action::del_output, "rtp://10.0.1.20:6000?track=video-2", "output 10.0.1.20:6000 deleted")
              .tracks[1]
              .outputs.empty());
    CHECK(deletable(two, "OUTPUT") == Words{"rtp://10.0.1.20:6000?track=video", "rtp://10.0.1.20:6000?track=video-2"});
    CHECK(deletable(two, "SOURCE").back() == "rtp://239.1.1.1:5004?port=lan&source=10.0.0.8&track=video-2");
    CHECK(deletable(two, "TRACK") == Words{"video", "video-2"});
    for (const auto* placeholder : {"OUTPUT", "SOURCE"})  // each names one and only one
        for (const std::string& url : deletable(two, placeholder))
            if (*placeholder == 'O' || url.ends_with("video-2"))
                CHECK(
                    edit(two, {*placeholder == 'O' ? Action::del_output : Action::del_source, {"cam", url}}, ports()));
}

TEST_CASE("a source is added as a second path and deleted again", "[edit]") {
    const auto one = load(kOne), two = load(kTwo);
    const auto both = done(one, Action::add_source, "rtp://239.1.1.1:5004?port=lan&source=10.0.0.8&vlan=7",
                           "source 239.1.1.1:5004?port=lan&vlan=7&source=10.0.0.8 added");
    REQUIRE(both.tracks[0].sources.size() == 2);
    CHECK(both.tracks[0].sources[1].ssm);
    CHECK(both.tracks[0].sources[1].vlan == 7);
    refused(both, Action::add_source, "rtp://10.0.0.1:5010", {"two sources already"});
    refused(one, Action::add_source, "rtp://10.0.0.1:5005", {"RTCP port of stream 'cam'"});
    refused(one, Action::add_source, "rtp://10.0.0.1:5004", {"is a source of stream 'cam' already"});
    refused(one, Action::add_source, "rtp://239.1.1.1:5004", {"needs `port`"});
    refused(one, Action::add_source, "rtp://10.0.0.1:5010?ttl=4", {"unknown key 'ttl'", "from"});
    refused(one, Action::add_source, "rtp://10.0.1.20:6000", {"loop"});
    refused(one, Action::add_source, "10.0.0.1:5010", {"rtp://ADDRESS:PORT"});
    refused(two, Action::add_source, "rtp://10.0.0.1:5010", {"several tracks", "video, video-2"});
    CHECK(done(both, Action::del_source, "rtp://239.1.1.1:5004?source=10.0.0.8",
               "source 239.1.1.1:5004?port=lan&vlan=7&source=10.0.0.8 deleted") == one);
    refused(both, Action::del_source, "rtp://239.1.1.1:5004?from=10.0.0.8", {"has no source"});
    refused(one, Action::del_source, "rtp://10.0.0.1:5004", {"only source", "del stream"});
    refused(two, Action::del_source, "rtp://10.0.0.1:5004", {"only source of track 'video'", "del track"});
}

TEST_CASE("a track is added and deleted", "[edit]") {
    const auto one = load(kOne), two = load(kTwo);
    const auto more =
        done(one, Action::add_track, R"({media: audio, payload_type: 0, sources: [{rtp: "10.0.0.1:5010"}]})",
             "track audio added");
    REQUIRE(more.tracks.size() == 2);
    CHECK(done(more, Action::del_track, "audio", "track audio deleted") == one);
    CHECK(done(two, Action::del_track, "video", "track video deleted").tracks[0] == two.tracks[1]);
    refused(one, Action::del_track, "video", {"only track", "del stream cam"});
    refused(two, Action::del_track, "audio", {"no track 'audio'", "video, video-2"});
    refused(one, Action::add_track, "{media: smell}", {"column ", "smell", "video"});
    refused(one, Action::add_track, R"({media: audio, payload_type: 0, sources: [{rtp: "10.0.0.1:5004"}]})",
            {"already"});
    refused(one, Action::add_track,
            R"({media: audio, payload_type: 0, sources: [{rtp: "10.0.0.1:5010"}], outputs: [{rtp: "10.0.0.1:5011"}]})",
            {"10.0.0.1:5011 is the RTCP port of a source of stream 'cam': this output would feed it, a loop"});
}

TEST_CASE("an output may feed neither port of a source, by RTP or RTCP", "[edit]") {
    const auto one = load(kOne);
    for (const char* loop :
         {"rtp://10.0.0.1:5003", "rtp://10.0.0.1:5004", "rtp://10.0.0.1:5005", "rtp://10.0.0.1:5005?rtcp_mux=on"})
        refused(one, Action::add_output, loop, {"loop"});
    refused(one, Action::add_output, "rtp://10.0.0.1:5003", {"10.0.0.1:5004, where its RTCP goes, is a source"});
    done(one, Action::add_output, "rtp://10.0.0.1:5003?rtcp_mux=on", "output 10.0.0.1:5003 added");
    done(one, Action::add_output, "rtp://10.0.0.1:5006", "output 10.0.0.1:5006 added");
    done(one, Action::add_output, "rtp://10.0.0.1:5005?vlan=5", "output 10.0.0.1:5005?vlan=5 added");
}

TEST_CASE("what differs between two versions of a stream is told", "[edit]") {
    const auto one = load(kOne), two = load(kTwo);
    CHECK(config::differences(one, one).empty());
    auto other = one;
    other.tracks[0].payload_type = 97;
    other.tracks[0].outputs[0].ttl = 3;
    other.tracks[0].outputs.pop_back();
    other.tracks[0].outputs.emplace_back().rtp = {*Ip::parse("10.0.1.21"), 6000};
    CHECK(config::differences(one, other) == Words{"payload_type changed to 97", "output 10.0.1.20:6000 changed",
                                                   "output 10.0.1.21:6000 added",
                                                   "output 10.0.1.20:6000?port=wan removed"});
    auto less = two;
    less.tracks.erase(less.tracks.begin());
    CHECK(config::differences(two, less) == Words{"track video-2 is video now", "track video removed"});
    CHECK(config::differences(less, two) == Words{"track video added", "track video is video-2 now"});
    auto turned = two;
    std::swap(turned.tracks[1].sources[0], turned.tracks[1].sources[1]);
    turned.tracks[0].outputs[0].ttl = 3;
    CHECK(config::differences(two, turned) == Words{"video: output 10.0.1.20:6000 changed", "video-2: order changed"});
}

TEST_CASE("a reload is told in words and as an object", "[edit]") {
    Reloaded reloaded;
    CHECK(reloaded.text() == "nothing differs from the file\n");
    reloaded.at_next_start = {"ports"};
    reloaded.taken_over = {"rtsp"};
    reloaded.streams = {{"a", "b"}, {"c"}, {{"cam", {"output 10.0.1.21:6000 added", "source 10.0.0.1:5 removed"}}}};
    CHECK(reloaded.text() ==
          "ports: changed in the file, takes effect at the next start\nrtsp: changed\nadded: a, b\nremoved: c\n"
          "touched: cam: output 10.0.1.21:6000 added, source 10.0.0.1:5 removed\n");
    CHECK_THAT(reloaded.json(), Contains(R"("added":["a","b"],"removed":["c"],"touched":[{"stream":"cam","changes":)"
                                         R"(["output 10.0.1.21:6000 added","source 10.0.0.1:5 removed"]}],)"
                                         R"("at_next_start":["ports"],"taken_over":["rtsp"]})"));
}

TEST_CASE("outputs of a camera's tracks, before it brings them and while it does", "[edit]") {
    const auto idle = load(R"({rtsp: {url: "rtsp://10.0.0.7/live", start: on_demand}})");
    refused(idle, Action::add_output, "rtp://10.0.1.20:6000", {"has not said yet", "?track=video"});
    refused(idle, Action::add_output, "rtp://10.0.1.20:6000?track=smell", {"has not said yet", "?track=video"});
    refused(idle, Action::add_output, "rtp://10.0.1.20:6000?track=video-99", {"?track=video-2"});
    const auto second =
        done(idle, Action::add_output, "rtp://10.0.1.20:6000?track=video-2", "output 10.0.1.20:6000 added");
    REQUIRE(second.tracks.size() == 2);
    CHECK((second.tracks[0].outputs.empty() && second.tracks[1].outputs.size() == 1));
    CHECK(config::trimmed(second) == second);
    const auto none =
        done(second, Action::del_output, "rtp://10.0.1.20:6000?track=video-2", "output 10.0.1.20:6000 deleted");
    CHECK(config::trimmed(none) == idle);

    std::vector<config::Track> brought(2);
    brought[0].media = "video";
    brought[1].media = "audio";
    const auto known = config::with_entries(idle, brought);
    CHECK(deletable(known, "TRACK") == Words{"video", "audio"});
    refused(known, Action::add_output, "rtp://10.0.1.20:6000", {"several tracks", "video, audio"});
    CHECK(done(known, Action::add_output, "rtp://10.0.1.20:6000?track=audio", "output 10.0.1.20:6000 added")
              .tracks[1]
              .outputs.size() == 1);
    CHECK(config::trimmed(known) == idle);
}
