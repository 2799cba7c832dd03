#pragma once
// How a session at a camera goes on, step by step, and why it ends: all of it in tables.
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "control/rtsp/session.hpp"

namespace penstock::rtsp {

enum class Step : uint8_t {
    connecting,  // TCP
    options,     // what the server can do
    describe,    // what there is
    choosing,    // control looks for ports
    setup,       // track by track
    ready,       // control lets the packets in
    play,
    playing,
    teardown,
    over,
    count_
};
inline constexpr std::array<std::string_view, static_cast<size_t>(Step::count_)> kStepNames{
    "connecting", "options", "describe", "choosing", "setup", "ready", "play", "playing", "teardown", "over"};
constexpr std::string_view name(Step step) { return kStepNames[static_cast<size_t>(step)]; }

struct Advance {
    Step from;
    Method answered;  // with a 2xx
    Step to;
};
inline constexpr Advance kAdvances[] = {
    {Step::options, Method::options, Step::describe},
    {Step::describe, Method::describe, Step::choosing},
    {Step::setup, Method::setup, Step::setup},  // as long as there are tracks; then it is ready
    {Step::play, Method::play, Step::playing},
    {Step::playing, Method::get_parameter, Step::playing},
    {Step::playing, Method::set_parameter, Step::playing},
    {Step::playing, Method::options, Step::playing},
    {Step::teardown, Method::teardown, Step::over},
};
constexpr std::optional<Step> after(Step from, Method answered) {
    for (const Advance& a : kAdvances)
        if (a.from == from && a.answered == answered) return a.to;
    return std::nullopt;
}

enum class Failure : uint8_t {
    unreachable,   // no such host, no TCP connection
    tls,           // a TCP connection and no TLS: most often its certificate
    timeout,       // it did not answer in time
    unauthorized,  // 401 in spite of our password, or 403
    not_found,     // 404
    transport,     // it does not send that way: 461
    refused,       // any other status
    busy,          // 503
    redirects,     // to nowhere, or too many
    malformed,     // what it says is no RTSP, or makes no sense
    no_media,      // nothing in its description that can be forwarded
    session_lost,  // 454
    closed,        // the connection
    no_packets,    // it plays, and nothing arrives
    no_ports,      // ours are all taken
    count_
};
inline constexpr std::array<std::string_view, static_cast<size_t>(Failure::count_)> kFailureNames{
    "unreachable", "tls",       "timeout",  "unauthorized", "not_found", "transport",  "refused", "busy",
    "redirects",   "malformed", "no_media", "session_lost", "closed",    "no_packets", "no_ports"};
constexpr std::string_view name(Failure failure) { return kFailureNames[static_cast<size_t>(failure)]; }

// What a viewer that waits for the camera is told. Its own request was right, so a camera that takes our password for
// wrong is a bad gateway, which RTSP has not (RFC 7826 has 502): it gets 503, as one that cannot be reached.
constexpr int status_of(Failure failure) {
    switch (failure) {
        case Failure::not_found: return 404;
        case Failure::timeout:
        case Failure::no_packets: return 504;
        case Failure::no_ports: return 453;
        default: return 503;
    }
}

}  // namespace penstock::rtsp
