#include "control/rtsp/offer.hpp"

#include <fmt/format.h>

#include <functional>

#include "control/config/standards.hpp"
#include "control/rtsp/message.hpp"
#include "control/sdp/description.hpp"

namespace penstock::rtsp {

std::optional<uint8_t> payload_type_of(const config::Track& track) {
    if (track.payload_type) return track.payload_type;
    for (uint8_t type = 0; type < 35; type++)
        if (const auto encoding = config::static_encoding(type); encoding && same_name(*encoding, track.encoding))
            return type;
    return std::nullopt;
}

Result<std::string> offer(const std::string& stream, std::span<const OfferedTrack> tracks, const Ip& local) {
    const std::string address_type = local.is_v4() ? "IP4" : "IP6";
    const std::string anywhere = local.is_v4() ? "0.0.0.0" : "::";  // the ports are agreed by SETUP
    sdp::Description d;
    d.name = stream;
    d.connection = sdp::Connection{"IN", address_type, anywhere, std::nullopt, std::nullopt};
    d.times = {{0, 0, {}}};
    d.attributes = {{"tool", "penstock"}, {"control", "*"}, {"range", "npt=now-"}};
    size_t digest = 0;  // two descriptions that differ have different versions
    for (const OfferedTrack& track : tracks) {
        const auto type = payload_type_of(track.config);
        if (!type) continue;
        sdp::Media m;
        m.type = track.config.media;
        m.formats = {std::to_string(*type)};
        m.attributes.push_back({"rtpmap", fmt::format("{} {}", *type, track.config.encoding)});
        if (!track.config.fmtp.empty())
            m.attributes.push_back({"fmtp", fmt::format("{} {}", *type, track.config.fmtp)});
        m.attributes.push_back({"control", track.name});
        for (const sdp::Attribute& a : m.attributes) digest = digest * 31 + std::hash<std::string>{}(*a.value);
        d.media.push_back(std::move(m));
    }
    if (d.media.empty()) return fail("no track has a payload_type, and players must be told one");
    d.origin = {"-",
                std::to_string(std::hash<std::string>{}(stream) >> 1),
                std::to_string(digest >> 1),
                "IN",
                address_type,
                local.text()};
    return sdp::write(d);
}

}  // namespace penstock::rtsp
