#pragma once
// What DESCRIBE tells of a stream, made from its configuration.
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/address.hpp"
#include "base/result.hpp"
#include "control/config/config.hpp"

namespace penstock::rtsp {

struct OfferedTrack {
    std::string name;  // what its URL ends with
    const config::Track& config;
};

// Whether that player knows the profile of RFC 4585. LIVE555, which VLC has, leaves media out that are not RTP/AVP.
bool reads_feedback_profile(std::string_view agent);
// In which payload type viewers are sent packets again (RFC 4588), when they set up RTP/AVPF; nothing: the track keeps
// none. To those who ask although they set up RTP/AVP, as FFmpeg does, they go as they were.
std::optional<uint8_t> rtx_type_of(const config::Track& track);

// The SDP of the tracks that have a payload type; an error when none has. `local`: where the viewer reached us.
Result<std::string> offer(const std::string& stream, std::span<const OfferedTrack> tracks, const Ip& local,
                          std::string_view agent);

}  // namespace penstock::rtsp
