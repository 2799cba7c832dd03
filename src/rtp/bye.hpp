#pragma once
// Whether somebody says in a compound RTCP packet that it leaves (RFC 3550 section 6.6).
#include <cstddef>
#include <span>

#include "base/wire.hpp"
#include "rtp/rtcp/packet.hpp"

namespace penstock::rtp {

// Of a packet that valid_rtcp() found valid.
inline bool says_bye(std::span<const std::byte> datagram) noexcept {
    while (datagram.size() >= 4) {
        if (wire::load8(&datagram[1]) == static_cast<unsigned>(RtcpType::bye)) return true;
        const size_t size = 4 * (size_t{wire::load16(&datagram[2])} + 1);
        if (size > datagram.size()) return false;
        datagram = datagram.subspan(size);
    }
    return false;
}

}  // namespace penstock::rtp
