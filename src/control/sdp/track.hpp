#pragma once
// A track as a medium of a description: what a receiver is told of its packets, and of what it may ask for. Pure.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.hpp"
#include "control/config/config.hpp"
#include "control/sdp/description.hpp"

namespace penstock::sdp {

// The payload type that a receiver is told: as configured, or the static one of the encoding (RFC 3551 section 6).
// Nothing: it cannot be told what the packets are.
std::optional<uint8_t> payload_type_of(const config::Track& track);

// m= with the one payload type; without port and addresses.
Media medium_of(const config::Track& track, uint8_t payload_type);
// One more payload type, or the first: a=rtpmap and, where there are any, its parameters.
void add_format(Media& media, uint8_t payload_type, std::string_view encoding, std::string_view parameters);
// Lost packets may be asked for (RFC 4585), and come again in a stream with that payload type (RFC 4588), or as they
// were; pictures may be asked for, too.
void offer_retransmission(Media& media, const config::Track& track, uint8_t payload_type, std::optional<uint8_t> rtx);

// Whether the sender takes a full intra request (RFC 5104) for a key frame, and no picture loss indication (RFC 4585).
bool takes_fir(const Media& media);

// Of repair that a payload type of the media carries, in a scheme that is decoded.
std::optional<rtp::fec::Carriage> repair_in(const Media& media, std::string_view format);

Connection connection_to(const Ip& ip, std::optional<uint8_t> ttl = std::nullopt);
// The description with an o= that tells it from others of the same stream: of what stands in it.
Result<std::string> written(Description description, const std::string& stream, const Ip& from);

}  // namespace penstock::sdp
