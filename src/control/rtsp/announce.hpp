#pragma once
// What a publisher announces: the tracks of an SDP that a stream can have, and which of them a SETUP is about. Pure.
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "control/config/config.hpp"
#include "control/sdp/description.hpp"

namespace penstock::rtsp {

struct Refusal {
    int status = 500;
    std::string why{};  // in place of the usual words for the status
    bool operator==(const Refusal&) const = default;
};

struct AnnouncedTrack {
    std::string name;                            // as the stream will have it: "video", "audio-2"
    std::string control;                         // what its URL is, or ends with
    config::Track config;                        // without sources: SETUP tells where it comes from
    std::optional<size_t> copy_of{};             // which of the others it is a second path of: a=group:DUP (RFC 7104)
    std::optional<size_t> repairs{};             // whose repair it is, and no track: a=group:FEC-FR (RFC 5956)
    std::optional<rtp::fec::Carriage> repair{};  // what that is, or what comes among its own media
    bool duplicated = false;                     // each packet comes twice to its port: a=ssrc-group:DUP
    std::optional<Refusal> refused{};            // it cannot be set up, as media that are not RTP; then no more is said
    bool operator==(const AnnouncedTrack&) const = default;
};

// The repair that comes to the port of the media, by a payload type of its own.
std::optional<rtp::fec::Carriage> repair_among(const sdp::Media& media);
// As the configuration would admit it, without sources.
std::expected<config::Track, Refusal> track_in(const sdp::Media& media);
// At least one of them can be set up.
std::expected<std::vector<AnnouncedTrack>, Refusal> announced(std::string_view sdp);
// The track that the URL of a SETUP names; null: none.
const AnnouncedTrack* track_of(std::span<const AnnouncedTrack> tracks, std::string_view url);

}  // namespace penstock::rtsp
