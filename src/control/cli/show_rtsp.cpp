#include "control/cli/show_rtsp.hpp"

namespace penstock::cli {

Report show_rtsp_sessions(const std::vector<RtspSession>& all) {
    using Row = std::vector<Cell>;
    Section sessions{"sessions",
                     "sessions",
                     {{"session", "session"},
                      {"viewer", "viewer"},
                      {"stream", "stream"},
                      {"state", "state"},
                      {"seconds", "seconds"},
                      {"silent_seconds", "silent"},
                      {"agent", "agent"}},
                     {}};
    Section tracks{"tracks",
                   "tracks",
                   {{"session", "session"},
                    {"track", "track"},
                    {"to", "to"},
                    {"server_port", "from port"},
                    {"packets", "packets"},
                    {"bytes", "bytes"},
                    {"feedback_packets", "heard"},
                    {"reported_lost", "lost there"}},
                   {}};
    for (const RtspSession& s : all) {
        sessions.rows.push_back(Row{s.session, s.viewer, s.stream, s.state, s.seconds, s.silent_seconds, s.agent});
        for (const RtspSession::Track& t : s.tracks)
            tracks.rows.push_back(Row{s.session, t.track, t.to, uint64_t{t.server_port}, t.packets, t.bytes,
                                      t.feedback_packets, t.reported_lost});
    }
    return {{std::move(sessions), std::move(tracks)}};
}

}  // namespace penstock::cli
