// Any bytes are a configuration or a list of problems, each with a place inside the text. Nothing is thrown.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "control/config/load.hpp"

namespace {

using namespace penstock::config;

std::optional<std::string> environment(std::string_view name) {
    if (name == "A") return "10.0.0.1";
    return std::nullopt;
}

void require(bool holds) {
    if (!holds) std::abort();
}

bool in_order(const Mark& a, const Mark& b) { return a.line != b.line ? a.line < b.line : a.column <= b.column; }

void check_problems(const std::vector<Problem>& problems) {
    require(!problems.empty());
    Mark last;
    for (const Problem& problem : problems) {
        require(problem.at.line >= 1 && problem.at.column >= 1 && !problem.text.empty());
        require(problem.text.find('\n') == std::string::npos);
        require(in_order(last, problem.at));
        last = problem.at;
    }
}

// What the forwarder takes for granted of a configuration that was accepted.
void check_config(const Config& config) {
    require(config.streams.empty() || !config.ports.empty());
    require(config.media.first_port > 0 && config.media.first_port < config.media.last_port);
    for (const Port& port : config.ports) require(!port.name.empty() && port.queues >= 1 && port.queues <= 64);
    for (const Stream& stream : config.streams) {
        require(!stream.name.empty() && (stream.rtsp || !stream.tracks.empty()));
        for (const Track& track : stream.tracks) {
            require(!track.media.empty() && track.clock_rate > 0);
            require(stream.rtsp ? track.sources.empty() : track.sources.size() == 1 || track.sources.size() == 2);
            for (const Source& source : track.sources) require(source.rtp.port > 0 && source.rtp.port < 65535);
            for (const Output& output : track.outputs) require(output.rtp.port > 0 && output.vlan <= 4094);
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const auto config = load({reinterpret_cast<const char*>(data), size}, environment, "host");
    if (config)
        check_config(*config);
    else
        check_problems(config.error());
    return 0;
}
