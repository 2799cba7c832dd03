// What an operator gives for one stream, or one output, is a value or a list of problems.
#include <string_view>

#include "control/config/load.hpp"
#include "control/config/planned.hpp"
#include "expect.hpp"

using namespace penstock::config;

namespace {

void check(const std::vector<Problem>& problems) {
    EXPECT(!problems.empty());
    for (const Problem& problem : problems)
        EXPECT(problem.at.column >= 1 && !problem.text.empty() && problem.text.find('\n') == std::string::npos);
}

Track brought(const char* media, const char* encoding, uint8_t payload_type, uint16_t port) {
    Track track;
    track.media = media;
    track.encoding = encoding;
    track.payload_type = payload_type;
    track.sources.emplace_back().rtp = {*penstock::Ip::parse("10.0.0.1"), port};
    return track;
}

// What is wanted of a camera's tracks, and a camera: they stay what they are, and are right with what they are given.
void join(const Stream& stream) {
    static const std::vector<Track> camera{brought("video", "H264/90000", 96, 20000),
                                           brought("audio", "PCMA/8000", 8, 20002)};
    const Planned made = planned(stream, camera);
    EXPECT(made.tracks.size() == camera.size() && made.unmet.size() <= stream.tracks.size());
    for (size_t t = 0; t < camera.size(); t++) {
        const Track &is = made.tracks[t], &was = camera[t];
        EXPECT(is.media == was.media && is.encoding == was.encoding && is.payload_type == was.payload_type &&
               is.fmtp == was.fmtp && is.sources == was.sources);
    }
    Stream alone;
    alone.name = stream.name;
    alone.tracks = made.tracks;
    EXPECT(check_alone(alone, {Port{}}).empty());
    const Stream edited = trimmed(with_entries(stream, camera));
    const Planned again = planned(edited, camera);
    EXPECT(again.tracks == made.tracks && again.unmet == made.unmet);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const std::vector<Port> ports = [] {
        Port port;
        port.name = "wan";
        return std::vector{port};
    }();
    const std::string_view yaml{reinterpret_cast<const char*>(data), size};
    const auto stream = load_stream("camera-1", yaml, ports);
    if (stream) {
        EXPECT(stream->name == "camera-1" && (stream->rtsp || !stream->tracks.empty()));
        for (const Track& track : stream->tracks) {
            EXPECT(!track.media.empty() && track.clock_rate > 0);
            EXPECT(stream->rtsp ? track.sources.empty() : track.sources.size() == 1 || track.sources.size() == 2);
        }
        if (stream->rtsp) join(*stream);
    } else {
        check(stream.error());
    }
    const auto output = load_output(yaml, ports);
    if (output)
        EXPECT(output->rtp.port > 0 && output->vlan <= 4094);
    else
        check(output.error());
    return 0;
}
