// The configuration: streams that are fetched from cameras, and what is wanted of their tracks.
#include "config_cases.hpp"

using namespace penstock;
using namespace penstock::config;

TEST_CASE("what is wanted of a camera's tracks stands beside rtsp") {
    const auto with = [](const std::string& tracks) {
        return "ports: [{ name: lan, driver: \"null\" }]\nstreams:\n  - name: gate\n    rtsp: { url: rtsp://h/ }\n"
               "    tracks: [\n " +
               tracks + "]\n";
    };
    CHECK(right(with("")).streams[0].tracks.empty());
    const auto stream =
        right(with("{ media: video, encoding: H264/90000, delay: 50ms, feedback: {}, outputs: ["
                   "{ rtp: 10.0.1.20:6000, rtx: { payload_type: 97 } },"
                   "{ live_live: [{ rtp: 10.0.1.20:7000 }, { rtp: 10.0.2.20:7000, port: lan }] }] },\n "
                   "{ media: audio, payload_type: 8, skew: B, outputs: [{ rtp: 239.1.1.1:5004, port: lan }] }"))
            .streams[0];
    REQUIRE(stream.tracks.size() == 2);
    const Track &video = stream.tracks[0], &audio = stream.tracks[1];
    CHECK((video.encoding == "H264/90000" && !video.payload_type && video.sources.empty()));
    CHECK((video.delay.count() == 50 && video.feedback && video.outputs.size() == 3));
    CHECK((audio.payload_type == 8 && audio.encoding.empty() && audio.skew == kClassB));
    expect(std::vector<Case>{
        {with("{ media: video, sources: [] }"), {{6, 18, "does not go beside `rtsp`, where the camera says it"}}},
        {with("{ media: video, fmtp: a=b }"), {{6, 18, "Allowed: media, payload_type, encoding"}}},
        {with("{ media: video, source: [] }"),
         {{6, 18, "unknown key 'source'. Allowed: media, payload_type, encoding, skew, delay, outputs, feedback"}}},
        {with("{ outputs: [{ rtp: 10.0.1.20:6000 }] }"), {{6, 2, "'media' is missing"}}},
        {with("{ media: video, encoding: H264 }"), {{6, 28, "NAME/CLOCK"}}},
        {with("{ media: smell }"), {{6, 11, "one of video, audio, application"}}},
        {with("{ media: video, outputs: [\n { rtp: 10.0.1.20:6000 }, { rtp: 10.0.1.20:6000 }] }"),
         {{7, 34, "is an output of this track already"}}},
        {with("{ media: video, outputs: [\n { rtp: 10.0.1.20:6000, rtx: { payload_type: 97 } }] }"),
         {{7, 9, "say in `feedback`"}}},
        {with("{ media: video, outputs: [\n { rtp: 10.0.0.1:5000 }] }") +
             "  - { name: b, tracks: [{ media: video, encoding: a/1, sources: [{ rtp: 10.0.0.1:5000 }] }] }\n",
         {{7, 9, "a loop"}}},
    });
}

TEST_CASE("a stream is a camera's, or has tracks") {
    const auto with = [](const std::string& settings) {
        return "ports: [{ name: lan, driver: \"null\" }]\nstreams:\n  - name: gate\n    rtsp: { " + settings + " }\n";
    };
    const auto pull = right(with("url: \"rtsp://u:p%40ss@cam:8554/a\", transport: tcp, start: on_demand, linger: 60s, "
                                 "wait: 9s, from: any"))
                          .streams[0]
                          .rtsp;
    REQUIRE(pull);
    CHECK(*pull == Pull{{"cam", 8554, "rtsp://cam:8554/a", "u", "p@ss"},
                        Reach::tcp,
                        true,
                        std::chrono::seconds(60),
                        std::chrono::seconds(9),
                        From::any});
    CHECK(right(with("url: rtsp://h/, from: first")).streams[0].rtsp->from == From::first);
    CHECK(right(with("url: \"rtsp://cam/\"")).streams[0].rtsp == Pull{{"cam", 554, "rtsp://cam/", "", ""}});
    const auto by_tls = right(with("url: \"RTSPS://cam/a\", tls_ca: /ca.pem")).streams[0].rtsp;
    CHECK(by_tls->location == Location{"cam", 322, "rtsps://cam/a", "", "", true});
    CHECK((by_tls->tls_ca == "/ca.pem" && by_tls->tls_verify));
    CHECK_FALSE(right(with("url: \"rtsps://cam:1/\", tls_verify: false")).streams[0].rtsp->tls_verify);
    expect(std::vector<Case>{
        {with("url: rtsp://h/, tls_verify: false"), {{4, 29, "goes with an rtsps:// URL only"}}},
        {with("url: rtsp://h/, tls_ca: /x"), {{4, 29, "goes with an rtsps:// URL only"}}},
        {with("url: rtsps://h/, tls_ca: /x, tls_verify: false"), {{4, 30, "goes with verification only"}}},
        {with("url: https://h/"), {{4, 18, "does not begin with rtsp:// or rtsps://"}}},
        {with("transport: udp"), {{4, 11, "streams[0].rtsp: 'url' is missing"}}},
        {with("url: \"rtsp://u:secret%@h/\""), {{4, 18, "two hexadecimal digits"}}},
        {with("url: rtsp://h/, transport: quic"), {{4, 40, "one of auto, udp, tcp, multicast"}}},
        {with("url: rtsp://h/, start: later"), {{4, 36, "one of always, on_demand"}}},
        {with("url: rtsp://h/, wait: 61s"), {{4, 35, "a time from 1s to 60s"}}},
        {with("url: rtsp://h/, from: me"), {{4, 35, "one of announced, first, any"}}},
        {with("url: rtsp://h/, linger: 5s"), {{4, 29, "goes with `start: on_demand` only"}}},
    });
    const auto wrong = load(with("url: \"rtsp://u:secret%@h/\""), environment, "host");
    CHECK(wrong.error()[0].text.find("secret") == std::string::npos);
    // XM: the password stands in the path.
    for (const auto& [url, seen] : {std::pair{"rtsp://u:p@h/live?password=x", "rtsp://h/live..."},
                                    {"rtsp://h/user=admin_password=x_channel=1", "rtsp://h/..."},
                                    {"rtsp://h/live", "rtsp://h/live"}})
        CHECK(shown(*location_of(url)) == seen);
}
