// What an operator types: parsed, completed, explained.
#include "control/cli/command.hpp"

#include <catch2/catch.hpp>

#include "control/cli/url.hpp"
#include "control/config/load.hpp"

using namespace penstock;
using namespace penstock::cli;

namespace {

using Words = std::vector<std::string>;

Words names(std::string_view word, std::span<const std::string> before) {
    if (word == "OUTPUT" && before[0] == "gate") return {"rtp://10.0.1.20:6000", "rtp://10.0.1.21:6000?vlan=5"};
    if (word == "STREAM") return {"cam-1", "cam-2", "gate"};
    if (word == "PORT") return {"all", "lan", "wan"};
    if (word == "OPTIONS") return {"count", "path"};
    return {};
}

}  // namespace

TEST_CASE("commands are understood", "[cli]") {
    struct Case {
        const char* line;
        Action action;
        Words arguments;
    };
    const Case cases[] = {
        {"help", Action::help, {}},
        {"help show port", Action::help, {"show port"}},
        {"show port info all", Action::show_port_info, {"all"}},
        {"  show \t port stats  lan ", Action::show_port_stats, {"lan"}},
        {"show port xstats wan", Action::show_port_xstats, {"wan"}},
        {"clear port stats all", Action::clear_port_stats, {}},
        {"show config", Action::show_config, {}},
        {"show worker all", Action::show_worker, {}},
        {"show stream all", Action::show_streams, {}},
        {"show stream cam-1", Action::show_stream, {"cam-1"}},
        {"show stream cam-1 path", Action::show_stream_path, {"cam-1"}},
        {"show stream cam-1 repair", Action::show_stream_repair, {"cam-1"}},
        {"show stream cam-1 sdp", Action::show_stream_sdp, {"cam-1"}},
        {"show stream cam-1 sdp 10.0.1.20 10.0.1.21:6000",
         Action::show_stream_sdp,
         {"cam-1", "10.0.1.20 10.0.1.21:6000"}},
        {"show drops", Action::show_drops, {}},
        {"add stream cam {tracks: [ {media:  audio} ]} ", Action::add_stream, {"cam", "{tracks: [ {media:  audio} ]}"}},
        {"add output cam rtp://10.0.1.20:6000?ttl=4", Action::add_output, {"cam", "rtp://10.0.1.20:6000?ttl=4"}},
        {"del output cam rtp://10.0.1.20:6000", Action::del_output, {"cam", "rtp://10.0.1.20:6000"}},
        {"add track cam {media: audio} ", Action::add_track, {"cam", "{media: audio}"}},
        {"add source cam rtp://10.0.0.1:5004", Action::add_source, {"cam", "rtp://10.0.0.1:5004"}},
        {"del source cam rtp://10.0.0.1:5004?vlan=5", Action::del_source, {"cam", "rtp://10.0.0.1:5004?vlan=5"}},
        {"del track cam video-2", Action::del_track, {"cam", "video-2"}},
        {"start", Action::start, {}},
        {"stop", Action::stop, {}},
        {"del stream cam", Action::del_stream, {"cam"}},
        {"show capture", Action::show_capture, {}},
        {"capture stop", Action::capture_stop, {}},
        {"capture stream cam", Action::capture_stream, {"cam"}},
        {"capture stream cam leg 1  file /x ", Action::capture_stream, {"cam", "leg 1  file /x"}},
        {"capture drops", Action::capture_drops, {}},
        {"capture drops count 5", Action::capture_drops, {"count 5"}},
        {"reload", Action::reload, {}},
        {"quit", Action::quit, {}},
    };
    for (const Case& c : cases) {
        INFO(c.line);
        const auto command = parse(c.line);
        REQUIRE(command);
        CHECK(command->action == c.action);
        CHECK(command->arguments == c.arguments);
    }
}

TEST_CASE("what is not understood says what was expected there", "[cli]") {
    const std::pair<const char*, std::vector<const char*>> cases[] = {
        {"", {"a command is missing", "help"}},
        {"   ", {"a command is missing"}},
        {"fly", {"'fly' is not understood", "show", "add", "del", "reload", "help"}},
        {"show", {"incomplete", "port", "stream", "worker", "drops", "config"}},
        {"show stream", {"incomplete", "all", "STREAM"}},
        {"show stream cam-1 paths", {"'paths' is not understood", "path", "end of line"}},
        {"show worker 0", {"'0' is not understood", "all"}},
        {"reload now", {"'now' is not understood", "end of line"}},
        {"add output cam", {"incomplete", "URL"}},
        {"del stream", {"incomplete", "STREAM"}},
        {"capture", {"incomplete", "stream", "drops", "stop"}},
        {"capture stop now", {"'now' is not understood", "end of line"}},
        {"Show stream all", {"'Show' is not understood"}},
    };
    for (const auto& [line, says] : cases) {
        INFO(line);
        const auto command = parse(line);
        REQUIRE_FALSE(command);
        for (const char* word : says) CHECK_THAT(command.error().text, Catch::Contains(word));
    }
}

TEST_CASE("only what could stand at that place is named", "[cli]") {
    CHECK(parse("show worker 0").error().text == "'0' is not understood: expected all; try help");
    CHECK(parse("del").error().text ==
          "the command is incomplete: expected output or source or track or stream; try help");
}

TEST_CASE("a line is completed by words and by what there is", "[cli]") {
    const std::pair<const char*, Words> cases[] = {
        {"", {"add", "capture", "clear", "del", "help", "quit", "reload", "show", "start", "stop"}},
        {"s", {"show", "start", "stop"}},
        {"show", {"show"}},
        {"show ", {"capture", "config", "drops", "port", "rtsp", "stream", "worker"}},
        {"show s", {"stream"}},
        {"show port i", {"info"}},
        {"show port info ", {"all", "lan", "wan"}},
        {"show stream ", {"all", "cam-1", "cam-2", "gate"}},
        {"show stream cam", {"cam-1", "cam-2"}},
        {"show  stream  g", {"gate"}},
        {"show stream gate ", {"path", "repair", "sdp"}},
        {"show stream all ", {"path", "repair", "sdp"}},  // a stream may have that name
        {"del ", {"output", "source", "stream", "track"}},
        {"capture ", {"drops", "stop", "stream"}},
        {"capture stream c", {"cam-1", "cam-2"}},
        {"capture stream gate p", {"path"}},
        {"capture drops ", {"count", "path"}},
        {"capture stream gate path ", {}},
        {"del output g", {"gate"}},
        {"del output gate ", {"rtp://10.0.1.20:6000", "rtp://10.0.1.21:6000?vlan=5"}},
        {"del output gate rtp://10.0.1.21", {"rtp://10.0.1.21:6000?vlan=5"}},
        {"del output gate rtp://10.0.1.20:6000 ", {}},
        {"del output cam-1 ", {}},
        {"add output gate ", {}},
        {"reload ", {}},
        {"fly ", {}},
        {"x", {}},
    };
    for (const auto& [line, expected] : cases) {
        INFO(line);
        CHECK(complete(line, names) == expected);
    }
}

TEST_CASE("help lists every command, or those that begin so", "[cli]") {
    const std::string all = help();
    for (const char* line :
         {"show port info PORT", "show stream STREAM path", "add stream STREAM", "add output STREAM URL",
          "del output STREAM OUTPUT", "del source STREAM SOURCE", "del track STREAM TRACK", "add track STREAM SETTINGS",
          "add source STREAM URL", "start", "stop", "del stream STREAM", "show drops", "reload", "quit", "help"})
        CHECK_THAT(all, Catch::Contains(line));
    for (size_t at = 0; at < all.size(); at = all.find('\n', at) + 1)
        if (const auto line = all.substr(at, all.find('\n', at) - at); line.find("rtp://") == line.npos)
            CHECK(line.size() <= 100);
    const std::string some = help("show port");
    CHECK(std::ranges::count(some, '\n') == 3);
    CHECK_THAT(some, Catch::Contains("show port xstats") && !Catch::Contains("reload"));
    CHECK_THAT(help("fly"), Catch::Contains("no command begins with 'fly'"));
}

TEST_CASE("an output on one line means what it means in the file", "[cli]") {
    const auto ports = [] {
        config::Port wan;
        wan.name = "wan";
        wan.driver = config::Driver::ring;
        return std::vector{wan};
    }();
    const auto full = parse_url("rtp://10.0.1.20:6000?track=video-2&ttl=16&dscp=EF&port=wan&vlan=5&rtcp_mux=on");
    REQUIRE(full);
    CHECK(full->track == "video-2");
    const auto output = config::load_output(full->yaml(), ports);
    REQUIRE(output);
    CHECK(output->rtp.text() == "10.0.1.20:6000");
    CHECK(output->ttl == 16);
    CHECK(output->dscp == 46);
    CHECK(output->port == "wan");
    CHECK(output->vlan == 5);
    CHECK(output->rtcp_mux);

    const auto plain = parse_url("rtp://[fd01::20]:6000");
    REQUIRE(plain);
    CHECK(plain->track.empty());
    const auto simple = config::load_output(plain->yaml(), ports);
    REQUIRE(simple);
    CHECK(simple->rtp.text() == "[fd01::20]:6000");
    CHECK_FALSE(simple->ttl);

    const auto repaired = parse_url("rtp://10.0.1.20:6000?fec=st2022-1&ttl=3&fec.rows=5&fec.mode=row+column");
    REQUIRE(repaired);
    const auto with_fec = config::load_output(repaired->yaml(), ports);
    REQUIRE(with_fec);
    CHECK(with_fec->ttl == 3);
    CHECK(with_fec->fec == config::OutputFec{.code = {{}, {.columns = 10, .rows = 5}}});

    for (const char* wrong : {"10.0.1.20:6000", "udp://10.0.1.20:6000", "", "rtp://10.0.1.20:6000?ttl",
                              "rtp://10.0.1.20:6000?=1", "rtp://10.0.1.20:6000\"}", "rtp://10.0.1.20:6000, ttl: 1",
                              "rtp://1.2.3.4:5 ?ttl=1", "rtp://1.2.3.4:5?fec.=1", "rtp://1.2.3.4:5?a.b=1"}) {
        INFO(wrong);
        CHECK_FALSE(parse_url(wrong));
    }
    // These have the form; the configuration judges them, as in the file.
    for (const char* wrong :
         {"rtp://10.0.1.20", "rtp://10.0.1.20:0", "rtp://10.0.1.20:6000?ttl=300", "rtp://10.0.1.20:6000?colour=red",
          "rtp://10.0.1.20:6000?port=moon", "rtp://10.0.1.20:6000?ttl=1&ttl=2", "rtp://10.0.1.20:6000?vlan=5000",
          "rtp://10.0.1.20:6000?fec=raptor", "rtp://10.0.1.20:6000?fec.rows=5"}) {
        INFO(wrong);
        const auto url = parse_url(wrong);
        REQUIRE(url);
        CHECK_FALSE(config::load_output(url->yaml(), ports));
    }
}

TEST_CASE("a stream on one line means what it means in the file", "[cli]") {
    config::Port lan;
    lan.name = "lan";
    lan.driver = config::Driver::ring;
    const std::vector ports{lan};
    const char* const tracks =
        R"({tracks: [{media: audio, payload_type: 0, encoding: PCMU/8000, sources: [{rtp: "10.0.0.1:5004", port: lan}]}]})";
    const auto stream = config::load_stream("cam", tracks, ports);
    REQUIRE(stream);
    CHECK(stream->name == "cam");
    REQUIRE(stream->tracks.size() == 1);
    CHECK(stream->tracks[0].sources[0].port == "lan");
    const auto file = config::load(
        "ports: [{name: lan, driver: ring}]\nstreams:\n  - name: cam\n    tracks: [{media: audio, payload_type: 0, "
        "encoding: PCMU/8000, sources: [{rtp: \"10.0.0.1:5004\", port: lan}]}]\n",
        [](std::string_view) { return std::nullopt; }, "host");
    REQUIRE(file);
    CHECK(*stream == file->streams[0]);  // wherever it stands

    const auto wrong = [&](const char* name, const std::string& yaml, const char* says) {
        INFO(name << ' ' << yaml);
        const auto loaded = config::load_stream(name, yaml, ports);
        REQUIRE_FALSE(loaded);
        CHECK_THAT(config::format("line", loaded.error()), Catch::Contains(says));
    };
    wrong("a\"b", tracks, "1-64 characters");
    wrong(std::string(65, 'x').c_str(), tracks, "1-64 characters");
    wrong("cam", "{", "1:");
    wrong("cam", "{}", "tracks");
    wrong("cam", "{name: other, tracks: []}", "unknown key 'name'");
    wrong("cam", "{tracks: []}", "one track at least");
    const std::string part = "media: audio, payload_type: 0, encoding: PCMU/8000, ";
    wrong("cam", "{tracks: [{" + part + "sources: [{rtp: \"10.0.0.1:5004\", port: moon}]}]}", "moon");
    wrong("cam", "{tracks: [{" + part + "sources: [{rtp: \"${HOME}\"}]}]}", "HOME");  // the environment stays out of it
    // What concerns this stream alone is checked, as in a file.
    wrong("cam", "{tracks: [{" + part + "sources: [{rtp: \"10.0.0.1:5004\"}], outputs: [{rtp: \"10.0.0.1:5004\"}]}]}",
          "loop");
    wrong("cam", "{tracks: [{" + part + "sources: [{rtp: \"10.0.0.1:5004\"}, {rtp: \"10.0.0.1:5005\"}]}]}",
          "RTCP port");
    wrong("cam",
          "{tracks: [{" + part +
              "sources: [{rtp: \"10.0.0.1:5004\"}], outputs: [{rtp: \"10.0.1.1:1\"}, {rtp: \"10.0.1.1:1\"}]}]}",
          "already");
}

TEST_CASE("add stream takes the URL of a camera") {
    using cli::stream_settings;
    CHECK(stream_settings("{tracks: []}") == "{tracks: []}");
    CHECK(stream_settings("rtsp://h/x") == "{rtsp: {url: \"rtsp://h/x\"}}");
    CHECK(stream_settings("rtsp://u:\"\\@h/x  transport=tcp start=on_demand") ==
          "{rtsp: {url: \"rtsp://u:\\\"\\\\@h/x\", \"transport\": \"tcp\", \"start\": \"on_demand\"}}");
    CHECK(stream_settings("rtsp://h/ a") == "{rtsp: {url: \"rtsp://h/\", \"a\": \"\"}}");
}
