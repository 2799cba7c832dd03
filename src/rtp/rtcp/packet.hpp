#pragma once
// RFC 3550 section 6.1: a datagram of RTCP is a compound of packets. Whether it is one (the checks of appendix A.2,
// with RFC 5506's reduced-size packets), and what it is made of.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/wire.hpp"

namespace penstock::rtp {

// RTCP packet types: RFC 3550 section 12.1, RFC 4585 section 6.1, RFC 3611 section 2.
enum class RtcpType : uint8_t {
    sr = 200,
    rr = 201,
    sdes = 202,
    bye = 203,
    app = 204,
    rtpfb = 205,
    psfb = 206,
    xr = 207
};

// Whether the lengths of the chained packets fill the datagram exactly, each is version 2, and only the last is padded.
// A compound packet begins with SR or RR; RFC 5506 also lets a lone feedback packet through.
bool valid_rtcp(std::span<const std::byte> datagram) noexcept;

struct RtcpPacket {
    RtcpType type;                    // or one that this enumeration does not have: to be ignored
    uint8_t count;                    // report blocks, chunks or sources; of feedback, its format
    std::span<const std::byte> body;  // after the common header, without padding
};

//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// |V=2|P|  count  |      type     |      length in words, less 1   |
//
// Each packet of a datagram that valid_rtcp() found valid; of any other, those before the first that does not fit.
template <class F>
void each_packet(std::span<const std::byte> datagram, F f) noexcept {
    while (datagram.size() >= 4) {
        const unsigned first = wire::load8(datagram.data());
        const size_t size = 4 * (size_t{wire::load16(&datagram[2])} + 1);
        if (size > datagram.size()) return;
        const size_t padding = (first & 0x20) != 0 ? wire::load8(&datagram[size - 1]) : 0;
        if (padding > size - 4) return;
        f(RtcpPacket{static_cast<RtcpType>(wire::load8(&datagram[1])), static_cast<uint8_t>(first & 0x1f),
                     datagram.subspan(4, size - 4 - padding)});
        datagram = datagram.subspan(size);
    }
}

}  // namespace penstock::rtp
