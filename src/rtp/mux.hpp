#pragma once
// What one UDP payload is, told by its first two bytes: RFC 7983 section 7 and, for RTCP, RFC 5761 section 4.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/wire.hpp"

namespace penstock::rtp {

enum class Protocol : uint8_t { rtp, rtcp, stun, zrtp, dtls, turn_channel, unknown };

inline Protocol protocol_of(std::span<const std::byte> payload) noexcept {
    if (payload.empty()) return Protocol::unknown;
    const unsigned first = wire::load8(payload.data());
    if (first >= 128 && first <= 191) [[likely]] {
        // RTCP packet types 192-223 are what RTP payload types 64-95 with the marker bit would look like.
        const unsigned second = payload.size() > 1 ? wire::load8(&payload[1]) : 0;
        return second >= 192 && second <= 223 ? Protocol::rtcp : Protocol::rtp;
    }
    if (first <= 3) return Protocol::stun;
    if (first >= 16 && first <= 19) return Protocol::zrtp;
    if (first >= 20 && first <= 63) return Protocol::dtls;
    if (first >= 64 && first <= 79) return Protocol::turn_channel;
    return Protocol::unknown;
}

}  // namespace penstock::rtp
