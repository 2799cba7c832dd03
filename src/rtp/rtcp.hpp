#pragma once
// RFC 3550 section 6: is this a compound RTCP packet? The checks of appendix A.2, with RFC 5506's reduced-size packets.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

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

// RFC 3550 section 6.4.1: what a receiver says of one source.
struct ReportBlock {
    uint32_t ssrc = 0;
    uint8_t fraction_lost = 0;  // of 256, since the last report
    int32_t lost = 0;           // in all; negative when packets came twice
    uint32_t highest = 0;       // extended sequence number
    uint32_t jitter = 0;        // in timestamp units
    bool operator==(const ReportBlock&) const = default;
};
// The first report block of a compound packet that valid_rtcp() found valid.
std::optional<ReportBlock> first_report(std::span<const std::byte> datagram) noexcept;

}  // namespace penstock::rtp
