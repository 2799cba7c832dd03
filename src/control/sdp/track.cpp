#include "control/sdp/track.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "base/text.hpp"
#include "control/config/standards.hpp"

namespace penstock::sdp {
namespace {

// How long the sender keeps packets, milliseconds: what is asked for later than that is of no use to a player anyway.
constexpr unsigned kRtxTime = 1000;

}  // namespace

std::optional<uint8_t> payload_type_of(const config::Track& track) {
    if (track.payload_type) return track.payload_type;
    for (uint8_t type = 0; type < 35; type++)
        if (const auto encoding = config::static_encoding(type); encoding && same_name(*encoding, track.encoding))
            return type;
    return std::nullopt;
}

void add_format(Media& media, uint8_t payload_type, std::string_view encoding, std::string_view parameters) {
    media.formats.push_back(std::to_string(payload_type));
    media.attributes.push_back({"rtpmap", fmt::format("{} {}", payload_type, encoding)});
    if (!parameters.empty()) media.attributes.push_back({"fmtp", fmt::format("{} {}", payload_type, parameters)});
}

Media medium_of(const config::Track& track, uint8_t payload_type) {
    Media m;
    m.type = track.media;
    add_format(m, payload_type, track.encoding, track.fmtp);
    return m;
}

void offer_retransmission(Media& media, const config::Track& track, uint8_t payload_type, std::optional<uint8_t> rtx) {
    media.protocol = "RTP/AVPF";
    media.attributes.push_back({"rtcp-fb", fmt::format("{} nack", payload_type)});
    if (track.media == "video") media.attributes.push_back({"rtcp-fb", fmt::format("{} nack pli", payload_type)});
    if (rtx)
        add_format(media, *rtx, fmt::format("rtx/{}", track.clock_rate),
                   fmt::format("apt={};rtx-time={}", payload_type, kRtxTime));
}

// a=rtcp-fb:96 nack pli; of all payload types: a=rtcp-fb:* ccm fir
bool takes_fir(const Media& media) {
    const auto takes = [&](std::string_view what) {
        return std::ranges::any_of(media.attributes, [&](const Attribute& a) {
            const std::string_view value = a.name == "rtcp-fb" && a.value ? trimmed(*a.value) : "";
            const size_t format = value.find(' ');
            return format != std::string_view::npos && same_name(trimmed(value.substr(format)), what);
        });
    };
    return takes("ccm fir") && !takes("nack pli");
}

std::optional<rtp::fec::Carriage> repair_in(const Media& media, std::string_view format) {
    using rtp::fec::Scheme;
    const auto type = number<uint8_t>(format);
    const std::string_view map = media.rtpmap(format).value_or(""), name = map.substr(0, map.find('/'));
    if (!type || *type > 127) return std::nullopt;
    if (same_name(name, "flexfec")) return rtp::fec::Carriage{Scheme::flexfec, *type, false};
    if (same_name(name, "ulpfec")) return rtp::fec::Carriage{Scheme::ulpfec, *type, false};
    // ST 2022-1 has no name of its own in SDP: that of RFC 2733, whose header it extended; of RFC 6015, which describes
    // the same packets, and as we write it; of DVB (ETSI TS 102 034 annex E), which took it over.
    for (const std::string_view known : {"parityfec", "1d-interleaved-parityfec", "vnd.dvb.iptv.alfec-base"})
        if (same_name(name, known)) return rtp::fec::Carriage{Scheme::st2022_1, *type, false};
    return std::nullopt;
}

Connection connection_to(const Ip& ip, std::optional<uint8_t> ttl) {
    return {"IN", ip.is_v4() ? "IP4" : "IP6", ip.text(), ttl, std::nullopt};
}

Result<std::string> written(Description description, const std::string& stream, const Ip& from) {
    const std::hash<std::string> hash;
    description.name = stream;
    description.origin = {"-", std::to_string(hash(stream) >> 1), "0", "IN", from.is_v4() ? "IP4" : "IP6", from.text()};
    const auto text = write(description);
    if (!text) return text;
    description.origin.version = std::to_string(hash(*text) >> 1);
    return write(description);
}

}  // namespace penstock::sdp
