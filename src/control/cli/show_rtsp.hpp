#pragma once
// The answers of `show rtsp sessions` and `show rtsp sources`. Pure. docs/cli.md lists the JSON keys.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "control/cli/report.hpp"

namespace penstock::cli {

struct RtspSession {
    std::string session;                                        // the beginning of its id: the whole is a secret
    std::string viewer, user, stream, state, transport, agent;  // user empty: of one who proved nothing
    double seconds = 0, silent_seconds = 0;
    struct Track {
        std::string track, to;
        uint16_t server_port = 0;
        uint64_t packets = 0, bytes = 0, feedback_packets = 0, reported_lost = 0;
    };
    std::vector<Track> tracks;
};

struct RtspSource {
    std::string stream, url, state, transport, start;  // the URL without what might be a password
    double seconds = 0;                                // in this state
    uint64_t connects = 0, tries = 0;
    std::optional<double> next_seconds;
    std::string failure, why;
    std::string unmet;  // entries of its `tracks` that do nothing, and why; empty: none
};

Report show_rtsp_sources(const std::vector<RtspSource>& sources);
Report show_rtsp_sessions(const std::vector<RtspSession>& sessions);

}  // namespace penstock::cli
