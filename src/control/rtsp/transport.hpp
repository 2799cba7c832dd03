#pragma once
// The Transport header (RFC 2326 section 12.39): the ways that a client offers, in the order of its liking.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "base/text.hpp"

namespace penstock::rtsp {

struct Pair {  // "5000-5001": RTP and RTCP; channels or ports
    uint16_t rtp = 0;
    uint16_t rtcp = 0;
    bool operator==(const Pair&) const = default;
};

enum class Lower : uint8_t { udp, tcp, other };

struct Transport {
    std::string profile = "RTP/AVP";  // RTP/AVPF, RTP/SAVP ...; all of it when lower is other
    Lower lower = Lower::udp;
    bool multicast = false;
    std::optional<Pair> client_port, server_port, port, interleaved;
    std::optional<uint32_t> ssrc;
    std::optional<std::string> destination, source;
    std::optional<uint8_t> ttl;
    std::string mode = "PLAY";
    std::vector<std::pair<std::string, std::string>> others;  // not understood: name, and value or nothing
    bool operator==(const Transport&) const = default;
};

// Whether it is a publisher's. Old FFmpeg (before 0.11) writes mode=receive.
inline bool records(const Transport& t) { return t.mode == "RECORD" || t.mode == "RECEIVE"; }
// With the profile of RFC 4585.
inline bool sets_up_feedback(const Transport& t) { return same_name(t.profile, "RTP/AVPF"); }
// At least one; an alternative that makes no sense is left out, all of them are an error.
Result<std::vector<Transport>> parse_transport(std::string_view header);
std::string write(const Transport& transport);

}  // namespace penstock::rtsp
