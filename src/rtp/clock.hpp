#pragma once
// The workers' clock, seconds as 32.32 fixed point, in units of an RTP clock.
#include <cstdint>

namespace penstock::rtp {

// RFC 3550 section 6.4.1 wants the arrival in units of the RTP clock; only differences matter, so it may wrap.
inline uint32_t in_rtp_units(uint64_t time, uint32_t clock_rate) noexcept {
    return static_cast<uint32_t>((time >> 32) * clock_rate + ((time & 0xffffffff) * clock_rate >> 32));
}

}  // namespace penstock::rtp
