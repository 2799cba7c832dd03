#pragma once
// What is measured of RTSP, in the Prometheus text format. Pure.
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/rtsp/interleaver.hpp"
#include "control/rtsp/server.hpp"
#include "control/rtsp/tunnel.hpp"

namespace penstock::metrics {

struct RtspFacts {
    const rtsp::ServerCounters& server;
    const rtsp::TunnelCounters& tunnel;
    size_t tunnels = 0;  // open
    size_t connections = 0;
    std::map<std::pair<std::string_view, std::string_view>, size_t> sessions;  // by state and transport
    size_t ports_taken = 0, ports = 0;                                         // pairs
    size_t groups_taken = 0, groups = 0;
    const rtsp::InterleaverCounters* over_tcp = nullptr;  // none: nobody has watched over TCP yet
};

std::string render(const RtspFacts& facts);

}  // namespace penstock::metrics
