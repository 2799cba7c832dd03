#pragma once
// What a receiver of outputs is told: each medium with the address that it goes to, its repair, what is sent twice and
// what may be asked for again. Pure.
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "control/sdp/track.hpp"

namespace penstock::sdp {

// A track, and where it goes: one output, or the two legs of a live-live one.
struct SentTrack {
    std::string name;
    const config::Track& config;
    std::vector<config::Output> outputs;
    std::optional<uint32_t> ssrc{};  // of its packets; nothing: not known yet
};

// `from`: where the packets come from. Refused when a track has no payload type that could be told.
Result<std::string> receivers(const std::string& stream, std::span<const SentTrack> tracks, const Ip& from);

}  // namespace penstock::sdp
