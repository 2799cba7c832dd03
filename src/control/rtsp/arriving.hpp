#pragma once
// The media that a publisher or a camera sends become tracks: a copy of another is its second path, repair is its
// source's. Pure.
#include <optional>
#include <span>
#include <vector>

#include "control/config/config.hpp"

namespace penstock::rtsp {

struct ArrivingMedia {
    config::Track config{};
    config::Source source{};                     // where we receive it
    std::optional<size_t> copy_of{}, repairs{};  // of these media
    std::optional<rtp::fec::Carriage> repair{};  // of one that repairs another, or of what comes among its packets
    bool duplicated = false;                     // each packet comes there twice, under two SSRCs
};
struct Place {
    size_t track = 0, path = 0;
};
struct ArrivingTracks {
    std::vector<config::Track> tracks;
    std::vector<std::optional<Place>> places;  // of each medium; none: it is repair, or of no use
};

// A copy whose original is not there before it is a track of its own; repair whose source is not there is of no use.
ArrivingTracks tracks_of(std::span<const ArrivingMedia> media);

}  // namespace penstock::rtsp
