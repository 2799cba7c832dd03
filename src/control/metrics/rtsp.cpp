#include "control/metrics/rtsp.hpp"

#include <fmt/format.h>

#include <iterator>

namespace penstock::metrics {
namespace {

class Text {
public:
    void family(std::string_view name, std::string_view type, std::string_view help) {
        name_ = name;
        fmt::format_to(std::back_inserter(out_), "# HELP penstock_{0} {2}\n# TYPE penstock_{0} {1}\n", name, type,
                       help);
    }
    void sample(std::string_view labels, uint64_t value) {
        fmt::format_to(std::back_inserter(out_), "penstock_{}{{{}}} {}\n", name_, labels, value);
    }
    std::string take() { return std::move(out_); }

private:
    std::string out_, name_;
};

}  // namespace

// Label values are words of ours, names of streams (plain by configuration), or addresses: nothing to escape.
std::string render(const RtspFacts& facts) {
    Text text;
    const rtsp::ServerCounters& c = facts.server;
    text.family("rtsp_requests_total", "counter", "RTSP requests answered, by method and status.");
    for (const auto& [what, count] : c.requests)
        text.sample(fmt::format("method=\"{}\",status=\"{}\"", name(what.first), what.second), count);
    text.family("rtsp_malformed_total", "counter", "Connections closed because what came on them was no RTSP.");
    text.sample("", c.malformed);
    text.family("rtsp_connections", "gauge", "RTSP connections open.");
    text.sample("", facts.connections);
    text.family("rtsp_connections_total", "counter", "RTSP connections taken.");
    text.sample("", c.connections);
    text.family("rtsp_connections_refused_total", "counter", "RTSP connections closed at once, by the limit they met.");
    for (const auto& [reason, count] : c.refused) text.sample(fmt::format("reason=\"{}\"", reason), count);
    text.sample("reason=\"tls\"", facts.tunnel.tls);
    text.family("rtsp_tunnels", "gauge", "RTSP connections in HTTP that are open.");
    text.sample("", facts.tunnels);
    text.family("rtsp_tunnels_total", "counter", "RTSP connections in HTTP: a GET and a POST that found each other.");
    text.sample("", facts.tunnel.tunnels);
    text.family("rtsp_tunnels_refused_total", "counter", "HTTP connections that became no tunnel or ended one.");
    for (const auto& [reason, count] : facts.tunnel.refused) text.sample(fmt::format("reason=\"{}\"", reason), count);
    text.family("rtsp_sessions", "gauge", "RTSP sessions, by state and by the way of their media.");
    for (const rtsp::State state : {rtsp::State::ready, rtsp::State::playing, rtsp::State::recording})
        for (const std::string_view transport : rtsp::kTransports) {
            const auto found = facts.sessions.find({name(state), transport});
            text.sample(fmt::format("state=\"{}\",transport=\"{}\"", name(state), transport),
                        found == facts.sessions.end() ? 0 : found->second);
        }
    text.family("rtsp_sessions_total", "counter", "RTSP sessions set up.");
    text.sample("", c.sessions);
    text.family("rtsp_sessions_ended_total", "counter", "RTSP sessions that ended, by what ended them.");
    for (size_t r = 0; r < c.ended.size(); r++)
        text.sample(fmt::format("reason=\"{}\"", rtsp::kEndReasons[r]), c.ended[r]);
    text.family("rtsp_access_total", "counter", "RTSP requests but OPTIONS, by what was found of who asks.");
    for (size_t f = 0; f < c.found.size(); f++) text.sample(fmt::format("result=\"{}\"", rtsp::kFound[f]), c.found[f]);
    text.family("rtsp_stray_frames_total", "counter", "Interleaved frames of no track that is recorded.");
    text.sample("", c.stray_frames);
    text.family("rtsp_port_pairs", "gauge", "Pairs of UDP ports in media.ports that sessions can be given.");
    text.sample("", facts.ports);
    text.family("rtsp_port_pairs_taken", "gauge", "Pairs of UDP ports that sessions have.");
    text.sample("", facts.ports_taken);
    text.family("rtsp_multicast_groups", "gauge", "Groups of rtsp.multicast that tracks can be given.");
    text.sample("", facts.groups);
    text.family("rtsp_multicast_groups_taken", "gauge", "Groups that somebody watches by.");
    text.sample("", facts.groups_taken);
    const rtsp::InterleaverCounters none, &tcp = facts.over_tcp ? *facts.over_tcp : none;
    const auto single = [&](std::string_view name, std::string_view type, std::string_view help, const Counter& value) {
        text.family(name, type, help);
        text.sample("", value.read());
    };
    single("rtsp_tcp_packets_total", "counter", "RTP and RTCP that workers gave to the sender thread.", tcp.packets);
    single("rtsp_tcp_unwatched_packets_total", "counter", "Of them, those that nobody watched over TCP any more.",
           tcp.unwanted);
    single("rtsp_tcp_frames_total", "counter", "Interleaved frames sent to viewers.", tcp.frames);
    single("rtsp_tcp_writes_total", "counter", "System calls that sent them.", tcp.writes);
    single("rtsp_tcp_connections", "gauge", "RTSP connections that the sender thread writes to.", tcp.connections);
    single("rtsp_tcp_renditions", "gauge", "Different sets of tracks and channels that are watched.", tcp.renditions);
    single("rtsp_tcp_ring_bytes", "gauge", "Memory for the frames that viewers have not taken.", tcp.ring_bytes);
    return text.take();
}

}  // namespace penstock::metrics
