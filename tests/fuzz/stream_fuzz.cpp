// What an operator gives for one stream, or one output, is a value or a list of problems.
#include <string_view>

#include "control/config/load.hpp"
#include "expect.hpp"

using namespace penstock::config;

namespace {

void check(const std::vector<Problem>& problems) {
    EXPECT(!problems.empty());
    for (const Problem& problem : problems)
        EXPECT(problem.at.column >= 1 && !problem.text.empty() && problem.text.find('\n') == std::string::npos);
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
        EXPECT(stream->name == "camera-1" && stream->tracks.empty() == stream->rtsp.has_value());
        for (const Track& track : stream->tracks) {
            EXPECT(!track.media.empty() && track.clock_rate > 0);
            EXPECT(track.sources.size() == 1 || track.sources.size() == 2);
        }
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
