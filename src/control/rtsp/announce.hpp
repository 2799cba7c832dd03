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
};

struct AnnouncedTrack {
    std::string name;                 // as the stream will have it: "video", "audio-2"
    std::string control;              // what its URL is, or ends with
    config::Track config;             // without sources: SETUP tells where it comes from
    std::optional<size_t> copy_of{};  // which of the others it is a second path of: a=group:DUP (RFC 7104)
    bool operator==(const AnnouncedTrack&) const = default;
};

// As the configuration would admit it, without sources.
std::expected<config::Track, Refusal> track_in(const sdp::Media& media);
std::expected<std::vector<AnnouncedTrack>, Refusal> announced(std::string_view sdp);
// The track that the URL of a SETUP names; null: none.
const AnnouncedTrack* track_of(std::span<const AnnouncedTrack> tracks, std::string_view url);

}  // namespace penstock::rtsp
