#pragma once
// One session, a viewer's or a publisher's (RFC 2326 appendix A.2), and what each method does to it: all of it in one
// table.
#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.hpp"
#include "base/time.hpp"
#include "control/rtsp/announce.hpp"
#include "control/rtsp/transport.hpp"

namespace penstock::rtsp {

enum class Method : uint8_t {
    options,
    describe,
    setup,
    play,
    pause,
    teardown,
    get_parameter,
    set_parameter,
    announce,
    record,
    redirect,
    other,
    count_
};
inline constexpr std::array<std::string_view, static_cast<size_t>(Method::count_)> kMethodNames{
    "OPTIONS",       "DESCRIBE",      "SETUP",    "PLAY",   "PAUSE",    "TEARDOWN",
    "GET_PARAMETER", "SET_PARAMETER", "ANNOUNCE", "RECORD", "REDIRECT", "other"};
constexpr std::string_view name(Method method) { return kMethodNames[static_cast<size_t>(method)]; }
constexpr Method method_of(std::string_view text) {  // methods are told apart by case (RFC 2326 section 6.1)
    for (size_t i = 0; i + 1 < kMethodNames.size(); i++)
        if (kMethodNames[i] == text) return static_cast<Method>(i);
    return Method::other;
}

enum class State : uint8_t { init, ready, playing, recording, count_ };
inline constexpr std::array<std::string_view, static_cast<size_t>(State::count_)> kStates{"init", "ready", "playing",
                                                                                          "recording"};
constexpr std::string_view name(State state) { return kStates[static_cast<size_t>(state)]; }

struct Transition {
    State from;
    Method method;
    State to;
};
inline constexpr Transition kTransitions[] = {
    {State::init, Method::setup, State::ready},
    {State::ready, Method::setup, State::ready},  // another track, or the same one anew
    {State::ready, Method::play, State::playing},
    {State::ready, Method::pause, State::ready},
    {State::ready, Method::teardown, State::init},
    {State::playing, Method::play, State::playing},  // of clients that keep a session alive by it
    {State::playing, Method::pause, State::ready},
    {State::playing, Method::teardown, State::init},
    // Publishers, who come to ready by ANNOUNCE and SETUP.
    {State::ready, Method::record, State::recording},
    {State::recording, Method::record, State::recording},
    {State::recording, Method::pause, State::ready},
    {State::recording, Method::teardown, State::init},
};
constexpr std::optional<State> after(State from, Method method) {
    for (const Transition& t : kTransitions)
        if (t.from == from && t.method == method) return t.to;
    return std::nullopt;
}

enum class EndReason : uint8_t {
    teardown,
    timeout,
    connection_lost,
    stream_gone,
    replaced,
    taken_over,
    forbidden,
    stopped,
    count_
};
inline constexpr std::array<std::string_view, static_cast<size_t>(EndReason::count_)> kEndReasons{
    "teardown", "timeout", "connection_lost", "stream_gone", "replaced", "taken_over", "forbidden", "stopped"};
constexpr std::string_view name(EndReason reason) { return kEndReasons[static_cast<size_t>(reason)]; }

using ConnectionId = uint64_t;
using SessionId = uint64_t;  // ours, for one run; what the client is told is Session::token

struct Session {
    SessionId id = 0;
    std::string token;  // a secret: who knows it can end the session
    std::string stream;
    std::string base;  // the URL that the client uses for the stream
    Ip viewer;
    std::string user;                         // whose it is; empty: of one who proved nothing
    Duration timeout{};                       // as the client was told
    ConnectionId connection = 0;              // which asked last
    std::map<std::string, Transport> tracks;  // as granted
    State state = State::init;
    std::string agent;
    Instant started{};
    Instant heard{};                        // the last sign of life: a request, RTCP, a publisher's media
    bool reports = false;                   // its RTCP reaches us
    std::vector<AnnouncedTrack> announced;  // a publisher's; empty: it is a viewer

    // For the log: "user 'eve'; ", or nothing.
    std::string named() const { return user.empty() ? "" : "user '" + user + "'; "; }
    bool publishes() const noexcept { return !announced.empty(); }
    // Its media goes with a connection, and it lives as long as that.
    bool interleaved() const {
        return std::ranges::any_of(tracks, [](const auto& t) { return t.second.interleaved.has_value(); });
    }
    bool multicast() const {
        return std::ranges::any_of(tracks, [](const auto& t) { return t.second.multicast; });
    }
    // The way of its media.
    std::string_view transport() const { return interleaved() ? "tcp" : multicast() ? "multicast" : "udp"; }
};
inline constexpr std::string_view kTransports[] = {"udp", "multicast", "tcp"};

}  // namespace penstock::rtsp
