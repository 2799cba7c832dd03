#pragma once
// What DESCRIBE tells of a stream, made from its configuration.
#include <optional>
#include <span>
#include <string>

#include "base/address.hpp"
#include "base/result.hpp"
#include "control/config/config.hpp"

namespace penstock::rtsp {

struct OfferedTrack {
    std::string name;  // what its URL ends with
    const config::Track& config;
};

// The payload type that a player is told: as configured, or the static one of the encoding (RFC 3551 section 6).
// Nothing: a player cannot be told what the packets are.
std::optional<uint8_t> payload_type_of(const config::Track& track);

// The SDP of the tracks that have a payload type; an error when none has. `local`: where the viewer reached us.
Result<std::string> offer(const std::string& stream, std::span<const OfferedTrack> tracks, const Ip& local);

}  // namespace penstock::rtsp
