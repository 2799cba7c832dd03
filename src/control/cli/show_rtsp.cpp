#include "control/cli/show_rtsp.hpp"

namespace penstock::cli {

namespace {

Cell text(const std::string& words) { return words.empty() ? Cell{} : Cell{words}; }

}  // namespace

Report show_rtsp_sessions(const std::vector<RtspSession>& all) {
    using Row = std::vector<Cell>;
    Section sessions{"sessions",
                     "sessions",
                     {{"session", "session"},
                      {"viewer", "viewer"},
                      {"user", "user"},
                      {"stream", "stream"},
                      {"state", "state"},
                      {"transport", "by"},
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
        sessions.rows.push_back(Row{s.session, s.viewer, text(s.user), s.stream, s.state, s.transport, s.seconds,
                                    s.silent_seconds, s.agent});
        for (const RtspSession::Track& t : s.tracks)
            tracks.rows.push_back(Row{s.session, t.track, t.to,
                                      t.server_port != 0 ? Cell{uint64_t{t.server_port}} : Cell{}, t.packets, t.bytes,
                                      t.feedback_packets, t.reported_lost});
    }
    return {{std::move(sessions), std::move(tracks)}};
}

Report show_rtsp_sources(const std::vector<RtspSource>& all) {
    using Row = std::vector<Cell>;
    Section sources{"sources",
                    "",
                    {{"stream", "stream"},
                     {"state", "state"},
                     {"seconds", "seconds"},
                     {"transport", "by"},
                     {"start", "start"},
                     {"connects", "connects"},
                     {"tries", "failed"},
                     {"next_seconds", "next in"},
                     {"url", "url"},
                     {"failure", "last failure"},
                     {"why", "why"},
                     {"unmet", "tracks unmet"}},
                    {}};
    for (const RtspSource& s : all)
        sources.rows.push_back(Row{s.stream, s.state, s.seconds, s.transport, s.start, s.connects, s.tries,
                                   s.next_seconds ? Cell{*s.next_seconds} : Cell{}, s.url, text(s.failure), text(s.why),
                                   text(s.unmet)});
    return {{std::move(sources)}};
}

}  // namespace penstock::cli
