#pragma once
// Whether somebody says in a compound RTCP packet that it leaves (RFC 3550 section 6.6).
#include <cstddef>
#include <span>

#include "rtp/rtcp/packet.hpp"

namespace penstock::rtp {

// Of a packet that valid_rtcp() found valid.
inline bool says_bye(std::span<const std::byte> datagram) noexcept {
    bool leaves = false;
    each_packet(datagram, [&](const RtcpPacket& packet) { leaves |= packet.type == RtcpType::bye; });
    return leaves;
}

}  // namespace penstock::rtp
