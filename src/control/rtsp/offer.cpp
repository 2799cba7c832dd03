#include "control/rtsp/offer.hpp"

#include <fmt/format.h>

#include "control/sdp/track.hpp"

namespace penstock::rtsp {

bool reads_feedback_profile(std::string_view agent) { return agent.find("LIVE555") == std::string_view::npos; }

std::optional<uint8_t> rtx_type_of(const config::Track& track) {
    const auto type = sdp::payload_type_of(track);
    if (!type || !track.feedback || track.feedback->retransmit == 0) return std::nullopt;
    return *type >= 96 && *type < 127 ? static_cast<uint8_t>(*type + 1) : uint8_t{96};
}

Result<std::string> offer(const std::string& stream, std::span<const OfferedTrack> tracks, const Ip& local,
                          std::string_view agent) {
    sdp::Description d;
    // Of anywhere: SETUP agrees on addresses and ports.
    d.connection = sdp::Connection{"IN", local.is_v4() ? "IP4" : "IP6", local.is_v4() ? "0.0.0.0" : "::", {}, {}};
    d.attributes = {{"tool", "penstock"}, {"control", "*"}, {"range", "npt=now-"}};
    for (const OfferedTrack& track : tracks) {
        const auto type = sdp::payload_type_of(track.config);
        if (!type) continue;
        sdp::Media m = sdp::medium_of(track.config, *type);
        if (const auto rtx = rtx_type_of(track.config); rtx && reads_feedback_profile(agent))
            sdp::offer_retransmission(m, track.config, *type, rtx);
        m.attributes.push_back({"control", track.name});
        d.media.push_back(std::move(m));
    }
    if (d.media.empty()) return fail("no track has a payload_type, and players must be told one");
    return sdp::written(std::move(d), stream, local);
}

}  // namespace penstock::rtsp
