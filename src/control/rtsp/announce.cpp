#include "control/rtsp/announce.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"
#include "control/config/differences.hpp"
#include "control/config/standards.hpp"
#include "control/rtsp/limits.hpp"
#include "control/rtsp/url.hpp"
#include "control/sdp/groups.hpp"
#include "control/sdp/track.hpp"

namespace penstock::rtsp {
namespace {

constexpr int kOtherTransport = 461;

std::unexpected<Refusal> refuse(int status, std::string why) {
    return std::unexpected(Refusal{status, std::move(why)});
}

// Encoders that write no a=control, or the aggregate one: they count as FFmpeg does in its own.
std::string control_of(const sdp::Media& media, size_t place) {
    const std::string_view control = find(media.attributes, "control").value_or("");
    return control.empty() || control == "*" ? fmt::format("streamid={}", place) : std::string(control);
}

}  // namespace

std::expected<config::Track, Refusal> track_in(const sdp::Media& media) {
    config::Track track;
    track.media = media.type;
    if (media.type != "video" && media.type != "audio" && media.type != "application")
        return refuse(400, "SDP: m= is video, audio or application");
    if (media.protocol != "RTP/AVP" && media.protocol != "RTP/AVPF")
        return refuse(kOtherTransport, "SDP: m= is RTP/AVP");
    const std::string_view format = media.formats.empty() ? "" : std::string_view(media.formats.front());
    const auto type = number<uint8_t>(format);
    // RFC 5761 section 4: 72 to 76 cannot be told from RTCP.
    if (!type || *type > 127 || (*type >= 72 && *type <= 76))
        return refuse(400, "SDP: m= names a payload type of 0-71 or 77-127");
    track.payload_type = *type;
    if (const auto map = media.rtpmap(format)) {
        track.encoding = *map;
    } else if (const auto known = config::static_encoding(*type)) {
        track.encoding = *known;
    }
    const auto rate = config::clock_rate(track.encoding);
    if (!rate) return refuse(400, fmt::format("SDP: a=rtpmap:{} NAME/CLOCK is wanted", *type));
    track.clock_rate = *rate;
    track.fmtp = media.fmtp(format).value_or("");
    if (track.fmtp.size() > kLongestFmtp ||
        !std::ranges::all_of(track.fmtp, [](char c) { return c >= ' ' && c <= '~'; }))
        return refuse(400, fmt::format("SDP: a=fmtp is at most {} printable characters", kLongestFmtp));
    track.takes_fir = sdp::takes_fir(media);
    return track;
}

std::optional<rtp::fec::Carriage> repair_among(const sdp::Media& media) {
    for (size_t f = 1; f < media.formats.size(); f++)
        if (auto repair = sdp::repair_in(media, media.formats[f])) {
            repair->among_media = repair->scheme == rtp::fec::Scheme::ulpfec;
            return repair;
        }
    return std::nullopt;
}

std::expected<std::vector<AnnouncedTrack>, Refusal> announced(std::string_view sdp) {
    const auto description = sdp::parse(sdp);
    if (!description) return refuse(400, "SDP: " + description.error().text);
    if (description->media.empty() || description->media.size() > kMostTracks)
        return refuse(400, fmt::format("SDP: 1 to {} media are taken", kMostTracks));
    std::vector<AnnouncedTrack> all;
    for (const sdp::Media& media : description->media) {
        auto track = track_in(media);
        // What goes otherwise, such as repair by UDP/FEC (RFC 6364), is no reason to do without the others.
        if (!track && track.error().status != kOtherTransport) return std::unexpected(std::move(track.error()));
        AnnouncedTrack& one = all.emplace_back();
        one.control = control_of(media, all.size() - 1);
        if (track)
            one.config = std::move(*track);
        else
            one.refused = std::move(track.error());
    }
    if (std::ranges::all_of(all, [](const AnnouncedTrack& t) { return t.refused.has_value(); }))
        return std::unexpected(*all.front().refused);
    const auto originals = sdp::originals(*description), repaired = sdp::repaired(*description);
    const auto taken = [&](std::optional<size_t> other) {
        return other && !all[*other].refused ? other : std::nullopt;
    };
    config::Stream stream;
    for (size_t place = 0; place < all.size(); place++) {
        AnnouncedTrack& one = all[place];
        const sdp::Media& media = description->media[place];
        if (one.refused) continue;
        one.copy_of = taken(originals[place]);
        one.repairs = taken(repaired[place]);
        one.repair = one.repairs ? sdp::repair_in(media, media.formats[0]) : repair_among(media);
        one.duplicated = sdp::duplicated(media);
        if (!one.copy_of && !one.repairs) stream.tracks.push_back(one.config);
    }
    const auto names = config::track_names(stream);
    auto next = names.begin();
    for (AnnouncedTrack& track : all)
        if (!track.refused && !track.copy_of && !track.repairs) track.name = *next++;
    for (AnnouncedTrack& track : all)
        if (track.copy_of) track.name = all[*track.copy_of].name + "-copy";
    for (AnnouncedTrack& track : all) {
        if (!track.repairs) continue;
        const std::string name = all[*track.repairs].name + "-fec";
        track.name = std::ranges::find(all, name, &AnnouncedTrack::name) == all.end() ? name : name + "-2";
    }
    return all;
}

const AnnouncedTrack* track_of(std::span<const AnnouncedTrack> tracks, std::string_view url) {
    const std::string_view whole = url.substr(0, url.find_last_not_of('/') + 1), bare = base_of(url);
    const AnnouncedTrack* best = nullptr;
    for (const AnnouncedTrack& track : tracks) {
        const auto names = [&](std::string_view text) {  // an absolute a=control, or a relative one
            return text == track.control || text.ends_with("/" + track.control);
        };
        // FFmpeg appends its control to all of the URL, behind a query too: rtsp://node/cam?key=5/streamid=0.
        if ((names(whole) || names(bare)) && (best == nullptr || track.control.size() > best->control.size()))
            best = &track;
    }
    // Encoders with one track that set up the stream itself.
    if (const auto target = target_of(url); best == nullptr && tracks.size() == 1 && target && target->track.empty())
        best = &tracks.front();
    return best;
}

}  // namespace penstock::rtsp
