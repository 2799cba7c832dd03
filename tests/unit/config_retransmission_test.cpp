// nack of a source, rtx of an output, feedback of a track: what they mean, and what is said about what is wrong.
#include "config_cases.hpp"

using namespace penstock::config;
using namespace std::chrono_literals;

namespace {

// The track's lines begin at line 6; `source`, `output` and `more` are the rest of a map, and of the track.
std::string stream(const std::string& source, const std::string& output = "", const std::string& more = "",
                   const std::string& rtp = "10.0.0.1:20000", const std::string& type = "payload_type: 96") {
    return "memory: { mbufs: 2048 }\n"
           "ports: [{ name: lan, driver: \"null\" }]\n"
           "streams:\n"
           "  - name: camera\n"
           "    tracks:\n"
           "      - media: video\n"
           "        encoding: H264/90000\n"
           "        " +
           type +
           "\n"
           "        sources: [{ rtp: \"" +
           rtp + "\"" + source +
           " }]\n"
           "        outputs: [{ rtp: \"10.0.1.20:6000\"" +
           output + " }]\n" + more;
}
const std::string kFeedback = "        feedback: { retransmit: 64 }\n";

}  // namespace

TEST_CASE("what is sent again and asked for again", "[config]") {
    const Track t =
        right(stream(", nack: { wait: 5ms, deadline: 80ms, budget: 7, rtx: 97 }",
                     ", rtx: { payload_type: 98, ssrc: 9 }", "        feedback: { retransmit: 100, budget: 50 }\n"))
            .streams[0]
            .tracks[0];
    CHECK(t.sources[0].nack == Nack{5ms, 80ms, 7, 97});
    CHECK(t.outputs[0].rtx == penstock::rtp::RtxStream{98, 9});
    CHECK(t.feedback == Feedback{100, 50});
    const Track usual = right(stream(", nack: {}", "", "        feedback: {}\n")).streams[0].tracks[0];
    CHECK(usual.sources[0].nack == Nack{10ms, 200ms, 500, std::nullopt});
    CHECK(usual.feedback == Feedback{512, 500});
    CHECK(right(stream("", "", "        feedback: { retransmit: off }\n")).streams[0].tracks[0].feedback->retransmit ==
          0);
    CHECK_FALSE(right(stream("")).streams[0].tracks[0].feedback);
}

TEST_CASE("packet buffers are so many as are asked for, or the usual number and those that streams keep", "[config]") {
    std::string yaml = stream("", "", "        feedback: { retransmit: 100 }\n");
    CHECK(packet_buffers(right(yaml)) == 2048);
    yaml = yaml.substr(yaml.find('\n') + 1);
    CHECK(packet_buffers(right(yaml)) == 32'768 + 128);
    yaml.replace(yaml.find("100"), 3, "off");
    CHECK(packet_buffers(right(yaml)) == 32'768);
}

TEST_CASE("what is wrong with them", "[config]") {
    expect({
        {stream(", nack: { wait: 5 }"), {{9, 58, "a time from 0ms to 1000ms"}}},
        {stream(", nack: { deadline: 9ms }"),
         {
             {9, 62, "a time from 10ms to 5000ms"},
         }},
        {stream(", nack: { wait: 90ms, deadline: 80ms }"), {{9, 50, "not before the `deadline`"}}},
        {stream(", nack: { rtx: 95 }"), {{9, 57, "96"}}},
        {stream(", nack: { rtx: 96 }"), {{9, 26, "is that of the media"}}},
        {stream(", nack: { rtx: 97 }", "", "", "10.0.0.1:20000", "fmtp: a=b"), {{9, 26, "say the `payload_type`"}}},
        {stream(", nack: {}", "", "", "239.1.1.1:5004"), {{9, 44, "goes with a unicast source"}}},
        {stream("", ", rtx: { payload_type: 97 }"), {{10, 26, "say in `feedback`"}}},
        {stream("", ", rtx: { payload_type: 98 }, fec: { scheme: flexfec, payload_type: 98 }", kFeedback),
         {{10, 26, "is that of the repair"}}},
        {stream("", ", rtx: { payload_type: 98 }, fec: { scheme: ulpfec }", kFeedback),
         {{10, 26, "does not go with ulpfec on the port of the media"}}},
        {stream("", ", fec: { scheme: flexfec, retransmission: yes }"), {{10, 26, "say in `feedback`"}}},
        {stream("", ", fec: { scheme: flexfec, retransmission: yes }, rtx: { payload_type: 97 }", kFeedback),
         {{10, 26, "leave one out"}}},
        {stream("", ", fec: { scheme: ulpfec, retransmission: yes }", kFeedback), {{10, 67, "is of flexfec only"}}},
        {stream("", ", rtx: { ssrc: 7 }", kFeedback), {{10, 49, "'payload_type' is missing"}}},
        {stream("", "", "        feedback: { retransmit: 15 }\n"), {{11, 33, "16-16384 packets"}}},
        {stream("", "", "        feedback: { budget: 0 }\n"), {{11, 29, "1"}}},
        {stream("", "", "        feedback: { retransmit: 1025 }\n"),
         {{6, 9, "at most half of memory.mbufs is allowed, 1024"}}},
    });
}
