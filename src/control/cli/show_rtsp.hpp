#pragma once
// The answer of `show rtsp sessions`. Pure. docs/cli.md lists the JSON keys.
#include <cstdint>
#include <string>
#include <vector>

#include "control/cli/report.hpp"

namespace penstock::cli {

struct RtspSession {
    std::string session;  // the beginning of its id: the whole is a secret
    std::string viewer, stream, state, agent;
    double seconds = 0, silent_seconds = 0;
    struct Track {
        std::string track, to;
        uint16_t server_port = 0;
        uint64_t packets = 0, bytes = 0, feedback_packets = 0, reported_lost = 0;
    };
    std::vector<Track> tracks;
};

Report show_rtsp_sessions(const std::vector<RtspSession>& sessions);

}  // namespace penstock::cli
