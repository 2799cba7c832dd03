#include "control/config/planned.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "control/config/differences.hpp"
#include "control/config/load.hpp"
#include "control/config/standards.hpp"
#include "control/config/words.hpp"

namespace penstock::config {
namespace {

constexpr size_t kMostOfAKind = 8;

bool says_nothing(const Track& entry) {
    Track plain;
    plain.media = entry.media;
    return entry == plain;
}

// Why the entry is not for this track; nothing when it is.
std::optional<std::string> mismatch(const Track& entry, const Track& track) {
    if (!entry.encoding.empty() && !same_encoding(entry.encoding, track.encoding))
        return fmt::format("the camera sends {}, and not {}", track.encoding, entry.encoding);
    if (entry.payload_type && entry.payload_type != track.payload_type)
        return fmt::format("the camera sends it with payload type {}, and not {}",
                           track.payload_type ? std::to_string(*track.payload_type) : "none", *entry.payload_type);
    return std::nullopt;
}

Track joined(const Track& entry, Track track) {
    track.outputs = entry.outputs;
    track.skew = entry.skew;
    track.delay = entry.delay;
    track.feedback = entry.feedback;
    return track;
}

}  // namespace

Planned planned(const Stream& stream, const std::vector<Track>& brought) {
    Planned out{brought, {}};
    Stream of_camera;
    of_camera.tracks = brought;
    const auto names = track_names(stream), there = track_names(of_camera);
    for (size_t e = 0; e < names.size(); e++) {
        const Track& entry = stream.tracks[e];
        if (says_nothing(entry)) continue;
        const auto found = std::ranges::find(there, names[e]);
        if (found == there.end()) {
            out.unmet.push_back(fmt::format("{}: the camera has no such track", names[e]));
            continue;
        }
        const auto t = static_cast<size_t>(found - there.begin());
        auto why = mismatch(entry, out.tracks[t]);
        if (!why) {
            Stream alone;
            alone.name = stream.name;
            alone.tracks = out.tracks;
            alone.tracks[t] = joined(entry, std::move(alone.tracks[t]));
            if (auto problems = check_alone(alone, {Port{}}); problems.empty()) {
                out.tracks = std::move(alone.tracks);
            } else {
                why = std::move(problems.front().text);
            }
        }
        if (why) out.unmet.push_back(fmt::format("{}: {}", names[e], *why));
    }
    return out;
}

Stream with_entry(Stream stream, std::string_view name) {
    static constexpr std::array<std::string_view, 3> kMedia = {"video", "audio", "application"};
    const std::string_view media = name.substr(0, name.find('-'));
    const auto number =
        media.size() == name.size() ? std::optional<uint64_t>(1) : decimal(name.substr(media.size() + 1));
    if (!number || *number < 1 || *number > kMostOfAKind || std::ranges::find(kMedia, media) == kMedia.end())
        return stream;
    const auto of_kind = [&] { return std::ranges::count(stream.tracks, media, &Track::media); };
    while (static_cast<uint64_t>(of_kind()) < *number) {
        stream.tracks.emplace_back();
        stream.tracks.back().media = media;
    }
    return stream;
}

Stream with_entries(Stream stream, const std::vector<Track>& brought) {
    Stream of_camera;
    of_camera.tracks = brought;
    for (const std::string& name : track_names(of_camera)) stream = with_entry(std::move(stream), name);
    return stream;
}

Stream trimmed(Stream stream) {
    for (size_t t = stream.tracks.size(); t-- > 0;) {
        const bool last_of_kind =
            std::none_of(stream.tracks.begin() + static_cast<std::ptrdiff_t>(t) + 1, stream.tracks.end(),
                         [&](const Track& later) { return later.media == stream.tracks[t].media; });
        if (last_of_kind && says_nothing(stream.tracks[t]))
            stream.tracks.erase(stream.tracks.begin() + static_cast<std::ptrdiff_t>(t));
    }
    return stream;
}

}  // namespace penstock::config
