// The configuration: streams, tracks, sources and outputs, each by itself and against each other.
#include "config_cases.hpp"

using namespace penstock;
using namespace penstock::config;

namespace {

// One track in a file with the ports lan and wan; what is given begins in line 4, column 2.
std::string with_track(const std::string& rest) {
    return "ports: [{ name: lan, driver: ring }, { name: wan, driver: ring }]\n"
           "streams: [{ name: s, tracks: [{ media: video,\n"
           " encoding: H264/90000,\n " +
           rest + " }] }]\n";
}
std::string with_output(const std::string& output) {  // begins in line 5, column 2
    return with_track("sources: [{ rtp: 10.0.0.1:20000 }], outputs: [\n " + output + "]");
}
std::string with_sources(const std::string& sources) {  // begin in line 5, column 2
    return with_track("sources: [\n " + sources + "]");
}

}  // namespace

TEST_CASE("streams are read; anchors and aliases work") {
    const Config c = right(R"(streams:
  - name: camera-1
    tracks:
      - &video
        media: video
        payload_type: 96
        encoding: H264/90000
        sources:
          - { rtp: 10.0.0.1:20000, from: 10.0.0.9, vlan: 4094 }
          - { rtp: 232.1.1.1:5004, source: 10.0.0.8, port: lan }
        outputs: &receivers
          - { rtp: 10.0.1.20:65535, rtcp_mux: yes }
          - { rtp: 239.2.2.2:5004, ttl: 16, dscp: AF41, port: wan, vlan: 7 }
      - { media: audio, payload_type: 10, sources: [{ rtp: "[fd00::1]:20004" }], outputs: *receivers }
ports: [{ name: lan, driver: ring }, { name: wan, driver: ring }]
)");
    REQUIRE(c.streams.size() == 1);
    CHECK(c.streams[0].name == "camera-1");
    REQUIRE(c.streams[0].tracks.size() == 2);
    const Track& video = c.streams[0].tracks[0];
    CHECK(video.media == "video");
    CHECK(video.payload_type == 96);
    CHECK(video.encoding == "H264/90000");
    CHECK(video.clock_rate == 90000);
    REQUIRE(video.sources.size() == 2);
    CHECK(video.sources[0].rtp == Endpoint::parse("10.0.0.1:20000"));
    CHECK(video.sources[0].from == Ip::parse("10.0.0.9"));
    CHECK_FALSE(video.sources[0].ssm);
    CHECK(video.sources[0].vlan == 4094);
    CHECK(video.sources[0].at.line == 9);
    CHECK(video.sources[1].from == Ip::parse("10.0.0.8"));
    CHECK(video.sources[1].ssm);
    CHECK(video.sources[1].port == "lan");
    REQUIRE(video.outputs.size() == 2);
    CHECK(video.outputs[0].rtp == Endpoint::parse("10.0.1.20:65535"));
    CHECK(video.outputs[0].rtcp_mux);
    CHECK_FALSE(video.outputs[0].ttl.has_value());
    CHECK_FALSE(video.outputs[0].dscp.has_value());
    CHECK(video.outputs[1].ttl == 16);
    CHECK(video.outputs[1].dscp == 34);
    CHECK(video.outputs[1].port == "wan");
    CHECK(video.outputs[1].vlan == 7);
    CHECK_FALSE(video.outputs[1].rtcp_mux);
    const Track& audio = c.streams[0].tracks[1];
    CHECK(audio.encoding == "L16/44100/2");
    CHECK(audio.clock_rate == 44100);
    CHECK(audio.outputs.size() == 2);
}

TEST_CASE("DSCP names and clock rates") {
    const std::map<std::string, int> kNames = {{"EF", 46},   {"CS0", 0},   {"CS3", 24}, {"CS7", 56}, {"AF11", 10},
                                               {"AF43", 38}, {"AF23", 22}, {"0", 0},    {"63", 63}};
    for (const auto& [name, value] : kNames)
        CHECK(right(with_output("{ rtp: 10.0.1.1:6000, dscp: " + name + " }")).streams[0].tracks[0].outputs[0].dscp ==
              value);
    const std::map<int, uint32_t> kStatic = {{0, 8000},   {4, 8000},   {6, 16000}, {9, 8000},
                                             {17, 22050}, {26, 90000}, {34, 90000}};
    for (const auto& [type, rate] : kStatic)
        CHECK(right("ports: [{ name: p, driver: ring }]\nstreams: [{ name: s, tracks: [{ media: audio, payload_type: " +
                    std::to_string(type) + ", sources: [{ rtp: 10.0.0.1:20000 }] }] }]")
                  .streams[0]
                  .tracks[0]
                  .clock_rate == rate);
}

TEST_CASE("streams and tracks") {
    const std::string port = "ports: [{ name: p, driver: ring }]\n";
    const std::string sources = "sources: [{ rtp: 10.0.0.1:20000 }]";
    const auto track = [&](const std::string& rest) {
        return port + "streams: [{ name: s, tracks: [{ " + rest + " }] }]\n";
    };
    expect({{port + "streams: [{}]\n", {{2, 11, "streams[0]: 'name' is missing"}, {2, 11, "'tracks' is missing"}}},
            {port + "streams: [{ name: s, tracks: [] }]\n", {{2, 30, "one track at least"}}},
            {port + "streams: [{ name: a/b, tracks: [{ media: audio, payload_type: 0, " + sources + " }] }]\n",
             {{2, 19, "streams[0].name: 'a/b' is not allowed"}}},
            {track("encoding: H264/90000, " + sources), {{2, 31, "streams[0].tracks[0]: 'media' is missing"}}},
            {track("media: text, encoding: t140/1000, " + sources), {{2, 40, "one of video, audio, application"}}},
            {track("media: video, encoding: H264/90000"), {{2, 31, "'sources' is missing"}}},
            {track("media: video, encoding: H264/90000, sources: []"), {{2, 78, "one, or two for live-live"}}},
            {track("media: video, " + sources), {{2, 31, "'encoding' is missing"}}},
            {track("media: video, payload_type: 96, " + sources), {{2, 31, "'encoding' is missing"}}},
            {track("media: video, payload_type: 2, " + sources), {{2, 31, "'encoding' is missing"}}},
            {track("media: video, payload_type: 128, " + sources), {{2, 61, "a number from 0 to 127"}}},
            {track("media: video, encoding: H264/90000, payload_type: 72, " + sources),
             {{2, 83, "cannot be told from RTCP"}}},
            {track("media: video, encoding: H264, " + sources), {{2, 57, "'H264' is not allowed: NAME/CLOCK"}}},
            {track("media: video, encoding: H264/0, " + sources), {{2, 57, "is not allowed"}}},
            {track("media: video, encoding: a/1/2/3, " + sources), {{2, 57, "is not allowed"}}},
            {track("media: video, encoding: H264/4294967296, " + sources), {{2, 57, "is not allowed"}}},
            {with_sources("{ rtp: 10.0.0.1:2 }, { rtp: 10.0.0.1:4 }, { rtp: 10.0.0.1:6 }"),
             {{4, 11, "3 entries: one, or two"}}},
            {"streams: [{ name: s, tracks: [{ media: audio, payload_type: 0, " + sources + " }] }]\n",
             {{1, 19, "streams need a port"}}},
            {port + "streams:\n - &a { name: x, tracks: [{ media: audio, payload_type: 0, " + sources +
                 " }] }\n - { name: x, tracks: [{ media: audio, payload_type: 0, sources: [{ rtp: 10.0.0.2:2 }] }] }\n",
             {{4, 12, "the name 'x' is taken by the stream in line 3"}}}});
}

TEST_CASE("sources") {
    const std::string two = "{ rtp: 10.0.0.1:20000, from: 10.0.0.8 }, { rtp: 10.0.0.1:20000, ";
    expect({{with_track("sources: 10.0.0.1:20000"), {{4, 11, "streams[0].tracks[0].sources: must be a list"}}},
            {with_sources("10.0.0.1:20000"), {{5, 2, "streams[0].tracks[0].sources[0]: must be a map"}}},
            {with_sources("{ rtp: camera:20000 }"),
             {{5, 9, "sources[0].rtp: 'camera:20000' is not allowed: ADDRESS:PORT"}}},
            {with_sources("{ rtp: 10.0.0.1 }"), {{5, 9, "ADDRESS:PORT"}}},
            {with_sources("{ from: 10.0.0.1 }"), {{5, 2, "'rtp' is missing"}}},
            {with_sources("{ rtp: 10.0.0.1:65535 }"), {{5, 9, "no room for RTCP"}}},
            {with_sources("{ rtp: 0.0.0.0:20000 }"), {{5, 9, "0.0.0.0 is no destination"}}},
            {with_sources("{ rtp: 10.0.0.1:20000, port: can }"),
             {{5, 31, "port: 'can' is not allowed: one of the ports lan, wan"}}},
            {with_sources("{ rtp: 10.0.0.1:20000, vlan: 4095 }"), {{5, 31, "a number from 1 to 4094"}}},
            {with_sources("{ rtp: 10.0.0.1:20000, vlan: 0 }"), {{5, 31, "a number from 1 to 4094"}}},
            {with_sources("{ rtp: 239.1.1.1:5004 }"),
             {{5, 9, "a multicast group needs `port`: one of the ports lan, wan"}}},
            {with_sources("{ rtp: 10.0.0.1:20000, source: 10.0.0.8 }"), {{5, 25, "goes with a multicast group only"}}},
            {with_sources("{ rtp: 232.1.1.1:5004, port: lan, source: fd00::8 }"),
             {{5, 44, "both must be IPv4, or both IPv6"}}},
            {with_sources("{ rtp: 232.1.1.1:5004, port: lan, source: 232.1.1.1 }"),
             {{5, 44, "the unicast address of a sender"}}},
            {with_sources("{ rtp: 232.1.1.1:5004, port: lan, source: 10.0.0.8, from: 10.0.0.8 }"),
             {{5, 54, "does not go with `source`"}}},
            {with_sources(two + "from: 10.0.0.8 }"),
             {{5, 50, "10.0.0.1:20000 is a source of stream 's' (line 5) already"}}},
            {with_sources("{ rtp: 10.0.0.1:20001 }, { rtp: 10.0.0.1:20000 }"),
             {{5, 9, "10.0.0.1:20001 is the RTCP port of stream 's' (line 5): use pairs"}}}});
    for (const char* other : {"from: 10.0.0.9 }", "from: 10.0.0.8, port: lan }", "from: 10.0.0.8, vlan: 9 }"})
        CHECK(right(with_sources(two + other)).streams[0].tracks[0].sources.size() == 2);
    CHECK(right(with_sources("{ rtp: 10.0.0.1:20001, vlan: 5 }, { rtp: 10.0.0.1:20000 }")).streams.size() == 1);
    // A lone port needs no name.
    CHECK(right("ports: [{ name: p, driver: ring }]\nstreams: [{ name: s, tracks: [{ media: audio, payload_type: 0, "
                "sources: [{ rtp: 239.1.1.1:5004 }], outputs: [{ rtp: 239.1.1.2:5004 }] }] }]")
              .streams.size() == 1);
}

TEST_CASE("two sources of a track at one address are told by their SSRCs") {
    const auto sources = [](const std::string& first, const std::string& second) {
        return with_sources("{ rtp: 10.0.0.1:20000" + first + " }, { rtp: 10.0.0.1:20000" + second + " }");
    };
    const auto read = [&](const std::string& first, const std::string& second) {
        const auto config = right(sources(first, second));
        const auto& of = config.streams[0].tracks[0].sources;
        return std::pair(of[0].ssrc, of[1].ssrc);
    };
    using Ssrcs = std::pair<std::optional<uint32_t>, std::optional<uint32_t>>;
    CHECK(read("", ", ssrc: other") == Ssrcs{std::nullopt, kOtherSsrc});
    CHECK(read("", ", ssrc: 4294967295") == Ssrcs{std::nullopt, 0xffffffff});
    CHECK(read(", ssrc: 0x12345678", ", ssrc: 1010") == Ssrcs{0x12345678, 1010});
    CHECK(read(", ssrc: 1000", ", ssrc: other") == Ssrcs{1000, kOtherSsrc});
    CHECK(read(", from: 10.0.0.9, ssrc: 7", ", from: 10.0.0.9, ssrc: 8") == Ssrcs{7, 8});
    CHECK(read(", fec: { scheme: st2022-1 }", ", ssrc: other") == Ssrcs{std::nullopt, kOtherSsrc});
    expect({{sources("", ""),
             {{5, 34, "10.0.0.1:20000 is a source of stream 's' (line 5) already: two sources differ by"}}},
            {sources("", ", ssrc: 0"), {{5, 56, "sources[1].ssrc: '0' is not allowed: `other`, or a number from 1"}}},
            {sources("", ", ssrc: 4294967296"), {{5, 56, "a number from 1 to 4294967295"}}},
            {sources("", ", ssrc: 0x"), {{5, 56, "'0x' is not allowed"}}},
            {sources("", ", ssrc: another"), {{5, 56, "'another' is not allowed"}}},
            {sources(", ssrc: 5", ", ssrc: 5"), {{5, 43, "SSRC 5 is that of the other source, too"}}},
            {sources(", ssrc: other", ", ssrc: other"), {{5, 47, "each of the two sources is the `other`"}}},
            {with_sources("{ rtp: 10.0.0.1:20000, ssrc: 5 }"), {{5, 9, "there is no other one at this one"}}},
            {with_sources("{ rtp: 10.0.0.1:20000 }, { rtp: 10.0.0.1:20002, ssrc: other }"),
             {{5, 34, "there is no other one at this one"}}},
            {sources(", from: 10.0.0.8", ", from: 10.0.0.9, ssrc: other"), {{5, 50, "there is no other one"}}},
            {sources(", fec: { scheme: st2022-1 }", ", ssrc: other, fec: { scheme: st2022-1 }"),
             {{5, 61, "repair of both sources would come to the same ports"}}}});
}

TEST_CASE("outputs") {
    expect({{with_output("{ rtp: 10.0.1.1:6000, rtp_mux: on }"), {{5, 24, "did you mean 'rtcp_mux'"}}},
            {with_output("{ rpt: 10.0.1.1:6000 }"), {{5, 2, "'rtp' is missing"}, {5, 4, "did you mean 'rtp'"}}},
            {with_output("{ ttl: 4 }"), {{5, 2, "'rtp' is missing"}}},
            {with_output("{ rtp: \"[::]:6000\" }"), {{5, 9, ":: is no destination"}}},
            {with_output("{ rtp: 10.0.1.1:65535 }"), {{5, 9, "no room for RTCP"}}},
            {with_output("{ rtp: 10.0.1.1:6000, ttl: 0 }"),
             {{5, 29, "outputs[0].ttl: '0' is not allowed: a number from 1 to 255"}}},
            {with_output("{ rtp: 10.0.1.1:6000, ttl: 256 }"), {{5, 29, "'256'"}}},
            {with_output("{ rtp: 10.0.1.1:6000, dscp: 64 }"), {{5, 30, "0 to 63, or EF, AF11-AF43 or CS0-CS7"}}},
            {with_output("{ rtp: 10.0.1.1:6000, dscp: AF44 }"), {{5, 30, "'AF44'"}}},
            {with_output("{ rtp: 10.0.1.1:6000, dscp: CS8 }"), {{5, 30, "'CS8'"}}},
            {with_output("{ rtp: 10.0.1.1:6000, rtcp_mux: 1 }"), {{5, 34, "one of true, on, yes, false, off, no"}}},
            {with_output("{ rtp: 10.0.1.1:6000, port: x }"), {{5, 30, "one of the ports lan, wan"}}},
            {with_output("{ rtp: 10.0.1.1:6000, from: 10.0.0.1 }"), {{5, 24, "unknown key 'from'"}}},
            {with_output("{ rtp: \"[ff05::2]:6000\" }"), {{5, 9, "a multicast group needs `port`"}}},
            {with_output("{ rtp: 10.0.0.1:20000 }"), {{5, 9, "10.0.0.1:20000 is a source of stream 's' (line 4)"}}},
            {with_output("{ rtp: 10.0.1.1:6000 }, { rtp: 10.0.1.1:6000, ttl: 3 }"),
             {{5, 33, "10.0.1.1:6000 is an output"}}}});
    CHECK(right(with_output("{ rtp: 10.0.1.1:6000 }, { rtp: 10.0.1.1:6000, vlan: 3 }")).streams.size() == 1);
}

TEST_CASE("a group may pass from one port to another, but not back") {
    const auto group = [](const std::string& out) {
        return with_track(
            "sources: [{ rtp: 239.1.1.1:5004, port: lan }], outputs: [\n { rtp: 239.1.1.1:5004, port: " + out + " }]");
    };
    CHECK(right(group("wan")).streams.size() == 1);
    CHECK(right(group("lan, vlan: 7")).streams.size() == 1);
    expect(group("lan"), {{5, 9, "a loop"}});
    expect(
        "ports: [{ name: lan, driver: ring }]\nstreams: [{ name: s, tracks: [{ media: audio, payload_type: 0,\n"
        " sources: [{ rtp: 239.1.1.1:5004 }], outputs: [{ rtp: 239.1.1.1:5004, port: lan }] }] }]\n",
        {{3, 55, "a loop"}});
}

TEST_CASE("forward error correction is read") {
    const Config c =
        right(with_track("sources: [{ rtp: 10.0.0.1:20000, fec: { scheme: st2022-1 } }], outputs: [\n"
                         " { rtp: 10.0.1.20:6000, fec: { scheme: st2022-1 } },\n"
                         " { rtp: 10.0.1.20:6010, fec: { scheme: st2022-1, columns: 20, rows: 5,\n"
                         "   mode: column, align: staggered } }, { rtp: 10.0.1.20:6020 }]"));
    const Track& track = c.streams[0].tracks[0];
    CHECK(track.sources[0].fec == SourceFec{});
    CHECK(further_ports(track.sources[0]) == std::vector<uint16_t>{1, 2, 4});
    CHECK(track.outputs[0].fec == OutputFec{});
    CHECK(track.outputs[1].fec ==
          OutputFec{.code = {{}, {.columns = 20, .rows = 5, .row_repair = false, .staggered = true}}});
    CHECK_FALSE(track.outputs[2].fec);
    CHECK(further_ports(track.outputs[0]) == std::vector<uint16_t>{1, 2, 4});
    CHECK(further_ports(track.outputs[1]) == std::vector<uint16_t>{1, 2});
    CHECK(further_ports(track.outputs[2]) == std::vector<uint16_t>{1});
}

TEST_CASE("FlexFEC and ULPFEC are read: repair on the port of the media, or on another") {
    using rtp::fec::Scheme;
    const Config c =
        right(with_track("payload_type: 96, sources: [{ rtp: 10.0.0.1:20000, fec: { scheme: ulpfec } },\n"
                         " { rtp: 10.0.0.2:20000, fec: { scheme: flexfec, payload_type: 99, port: +2 } }], outputs: [\n"
                         " { rtp: 10.0.1.20:6000, fec: { scheme: flexfec, columns: 5, mode: row, header: mask } },\n"
                         " { rtp: 10.0.1.20:6010, fec: { scheme: ulpfec, port: 6013, mode: column } },\n"
                         " { rtp: 10.0.1.20:6020, fec: { scheme: ulpfec } }]"));
    const Track& track = c.streams[0].tracks[0];
    CHECK(track.sources[0].fec == SourceFec{{Scheme::ulpfec, 122, true}, 0});
    CHECK(track.sources[1].fec == SourceFec{{Scheme::flexfec, 99}, 2});
    CHECK(further_ports(track.sources[0]) == std::vector<uint16_t>{1});
    CHECK(further_ports(track.sources[1]) == std::vector<uint16_t>{1, 2});
    CHECK(track.outputs[0].fec == OutputFec{{{Scheme::flexfec, 110}, {.columns = 5, .column_repair = false}, true}, 0});
    CHECK(track.outputs[1].fec ==
          OutputFec{{{Scheme::ulpfec, 122}, {.columns = 6, .rows = 6, .row_repair = false}, false}, 3});
    CHECK(track.outputs[2].fec == OutputFec{{{Scheme::ulpfec, 122, true}, {.column_repair = false}, false}, 0});
}

TEST_CASE("forward error correction that no standard knows is refused") {
    const auto with_fec = [](const std::string& fec) {
        return with_output("{ rtp: 10.0.1.20:6000, fec: " + fec + " }");
    };
    expect(std::vector<Case>{
        {with_fec("{ columns: 5 }"), {{5, 30, "'scheme' is missing"}}},
        {with_fec("st2022-1"), {{5, 30, "must be a map"}}},
        {with_fec("{ scheme: raptor }"), {{5, 40, "one of st2022-1"}}},
        {with_fec("{ scheme: st2022-1, columns: 3 }"), {{5, 59, "from 4 to 20"}}},
        {with_fec("{ scheme: st2022-1, columns: 21, mode: column }"), {{5, 59, "from 1 to 20"}}},
        {with_fec("{ scheme: st2022-1, rows: 3 }"), {{5, 56, "from 4 to 20"}}},
        {with_fec("{ scheme: st2022-1, columns: 11 }"),
         {{5, 30, "11 columns of 10 rows are 110 packets: at most 100"}}},
        {with_fec("{ scheme: st2022-1, mode: rows }"), {{5, 56, "row+column"}}},
        {with_fec("{ scheme: st2022-1, align: none }"), {{5, 57, "block, staggered"}}},
        {with_fec("{ scheme: st2022-1, depth: 5 }"), {{5, 50, "depth"}}},
        {with_fec("{ scheme: st2022-1, port: same }"), {{5, 50, "ports of its own"}}},
        {with_fec("{ scheme: st2022-1, mode: row }"), {{5, 56, "row+column, column"}}},
        {with_fec("{ scheme: st2022-1, header: mask }"), {{5, 50, "flexfec only"}}},
        {with_fec("{ scheme: flexfec, mode: row, rows: 5 }"), {{5, 60, "rows only"}}},
        {with_fec("{ scheme: flexfec, port: +1 }"), {{5, 55, "not that of the RTCP"}}},
        {with_fec("{ scheme: flexfec, payload_type: 95 }"), {{5, 63, "from 96 to 127"}}},
        {with_fec("{ scheme: ulpfec, mode: row+column }"), {{5, 54, "column, row"}}},
        {with_fec("{ scheme: ulpfec, mode: column, columns: 9 }"), {{5, 30, "54 packets: at most 40"}}},
        {with_sources("{ rtp: 10.0.0.1:20000, fec: { scheme: flexfec } }"), {{5, 9, "say the `payload_type`"}}},
        {with_track("payload_type: 110, sources: [{ rtp: 10.0.0.1:20000, fec: { scheme: flexfec } }]"),
         {{4, 38, "is that of the media"}}},
        {with_output("{ rtp: 10.0.1.20:65533, fec: { scheme: st2022-1 } }"),
         {{5, 9, "no room for repair on port + 2 and + 4"}}},
        {with_output("{ rtp: 10.0.1.20:65534, fec: { scheme: st2022-1, mode: column } }"), {{5, 9, "at most 65533"}}},
        {with_sources("{ rtp: 10.0.0.1:65533, fec: { scheme: st2022-1 } }"), {{5, 9, "at most 65531"}}},
        {with_sources("{ rtp: 10.0.0.1:20000, fec: { scheme: st2022-1, columns: 5 } }"), {{5, 50, "columns"}}},
    });
}

TEST_CASE("repair ports collide as RTP and RTCP ports do") {
    const std::string fec = ", fec: { scheme: st2022-1 } }";
    const auto two = [](const std::string& a, const std::string& b) {
        return with_track("sources: [ " + a + ",\n " + b + "]");
    };
    const std::string first = "{ rtp: 10.0.0.1:20000";
    right(two(first + fec, "{ rtp: 10.0.0.1:20006" + fec));
    right(two(first + " }", "{ rtp: 10.0.0.1:20002 }"));
    right(with_output("{ rtp: 10.0.1.20:6000" + fec + ", { rtp: 10.0.1.20:6006" + fec));
    expect(std::vector<Case>{
        {two(first + fec, "{ rtp: 10.0.0.1:20002 }"),
         {{5, 9, "on the repair ports of stream 's' (line 4): port 20002"}}},
        {two(first + fec, "{ rtp: 10.0.0.1:20003 }"), {{5, 9, "repair ports"}}},
        {two("{ rtp: 10.0.0.1:20004 }", first + fec), {{4, 20, "repair ports"}}},
        {with_output("{ rtp: 10.0.1.20:6000" + fec + ", { rtp: 10.0.1.20:6004 }"),
         {{5, 61, "the repair of another output goes to"}}},
        // What is sent as repair would be taken as media, and the other way round.
        {with_output("{ rtp: 10.0.0.1:19998" + fec), {{5, 9, "10.0.0.1:20000, where its repair goes, is a source"}}},
        {with_track("sources: [" + first + fec + "], outputs: [\n { rtp: 10.0.0.1:20004, rtcp_mux: on }]"),
         {{5, 9, "10.0.0.1:20004 is the repair port of a source"}}},
    });
    std::string many;
    for (int rows = 4; rows <= 12; rows++)
        many += "{ rtp: 10.0.1.20:" + std::to_string(6000 + 6 * rows) +
                ", fec: { scheme: st2022-1, columns: 5, rows: " + std::to_string(rows) + " } },\n ";
    expect(with_output(many), {{13, 9, "more than 8 different settings of `fec`"}});
}

TEST_CASE("the skew of two paths: a class of ST 2022-7, or a time") {
    const auto skew = [](const std::string& said) {
        return right(with_track("sources: [{ rtp: 10.0.0.1:20000 }, { rtp: 10.0.0.1:20100 }]" + said))
            .streams[0]
            .tracks[0]
            .skew.count();
    };
    CHECK(skew("") == 450'000);
    CHECK(skew(", skew: A") == 10'000);
    CHECK(skew(", skew: B") == 50'000);
    CHECK(skew(", skew: C") == 450'000);
    CHECK(skew(", skew: D") == 150);
    CHECK(skew(", skew: 500ms") == 500'000);
    CHECK(skew(", skew: 150us") == 150);
    for (const char* wrong : {"E", "a", "0ms", "501ms", "149us", "500001us", "1s", "10", "ms"})
        expect(with_track(std::string("sources: [{ rtp: 10.0.0.1:20000 }, { rtp: 10.0.0.1:20100 }],\n skew: ") + wrong),
               {{5, 8, "a class of ST 2022-7"}});
    expect(with_track("sources: [{ rtp: 10.0.0.1:20000 }],\n skew: A"), {{5, 2, "where there is one source"}});
}

TEST_CASE("how long a packet waits for those before it") {
    const auto track = [](const std::string& said) { return with_track("sources: [{ rtp: 10.0.0.1:20000 }]" + said); };
    CHECK(right(track("")).streams[0].tracks[0].delay.count() == 0);
    CHECK(right(track(", delay: 50ms")).streams[0].tracks[0].delay.count() == 50);
    CHECK(right(track(", delay: 1000ms")).streams[0].tracks[0].delay.count() == 1000);
    for (const char* wrong : {"0ms", "1001ms", "50", "1s", "50us", "ms", "[50ms]"})
        expect(track(std::string(",\n delay: ") + wrong), {{5, 9, wrong[0] == '[' ? "" : "a time from 1ms to 1000ms"}});
}

TEST_CASE("an output with two legs, and copies that follow later") {
    const auto legs = [](const std::string& all) { return with_output("{ live_live: [" + all + "] }"); };
    const Config c = right(legs("{ rtp: 10.0.1.20:6000, port: lan }, { rtp: 10.0.2.20:6000, port: wan, ttl: 3 }"));
    const auto& outputs = c.streams[0].tracks[0].outputs;
    REQUIRE(outputs.size() == 2);
    CHECK(outputs[0].live_live == 1);
    CHECK(outputs[1].live_live == 1);
    CHECK(outputs[1].ttl == 3);
    expect({
        {legs("{ rtp: 10.0.1.20:6000 }"), {{5, 15, "a live-live output has two legs, and not 1"}}},
        {with_output("{ live_live: { rtp: 10.0.1.20:6000 } }"), {{5, 15, "must be a list"}}},
        {with_output("{ live_lvie: [] }"), {{5, 2, "'rtp' is missing"}, {5, 4, "did you mean 'live_live'"}}},
        {legs("{ rtp: 10.0.1.20:6000 }, { live_live: [], rtp: 10.0.1.21:6000 }"), {{5, 43, "stands instead of `rtp`"}}},
        {legs("{ rtp: 10.0.1.20:6000 }, { rtp: 10.0.1.20:6000 }"), {{5, 48, "is an output of this track already"}}},
        {legs("{ rtp: 10.0.1.20:6000, fec: { scheme: flexfec } }, { rtp: 10.0.1.21:6000 }"),
         {{5, 15, "both legs carry the same packets"}}},
        {with_output("{ live_live: [{ rtp: 10.0.1.20:6000 }, { rtp: 10.0.1.21:6000 }], ttl: 3 }"),
         {{5, 67, "unknown key 'ttl'"}}},
    });
    CHECK(right(with_output("{ rtp: 10.0.1.20:6000, duplicate_after: 50ms }"))
              .streams[0]
              .tracks[0]
              .outputs[0]
              .duplicate_after.count() == 50);
    expect({
        {with_output("{ rtp: 10.0.1.20:6000, duplicate_after: 501ms }"), {{5, 42, "a time from 1ms to 500ms"}}},
        {with_output("{ rtp: 10.0.1.20:6000, duplicate_after: 50ms }, { rtp: 10.0.1.21:6000, duplicate_after: 60ms }"),
         {{5, 57, "duplicate_after is 50 ms elsewhere"}}},
        {with_track("payload_type: 96, sources: [{ rtp: 10.0.0.1:20000 }], outputs: [\n { rtp: 10.0.1.20:6000, fec: { "
                    "scheme: ulpfec }, "
                    "duplicate_after: 50ms }]"),
         {{5, 50, "does not go with ulpfec"}}},
    });
}
