#pragma once
// RFC 3550 section 6.4: sender and receiver reports.
#include <cstdint>
#include <optional>

#include "rtp/rtcp/packet.hpp"

namespace penstock::rtp {

// What a sender says of itself.
struct SenderInfo {
    uint32_t ssrc = 0;
    uint64_t ntp = 0;        // seconds since 1900, 32.32 fixed point
    uint32_t timestamp = 0;  // of RTP, for the same moment
    uint32_t packets = 0;    // sent since it began, modulo 2^32
    uint32_t octets = 0;     // of payload, likewise
    bool operator==(const SenderInfo&) const = default;
};

// What a receiver says of one source.
struct ReportBlock {
    uint32_t ssrc = 0;
    uint8_t fraction_lost = 0;  // of 256, since the last report
    int32_t lost = 0;           // in all, 24 bits; negative when packets came twice
    uint32_t highest = 0;       // extended sequence number
    uint32_t jitter = 0;        // in timestamp units
    uint32_t last_report = 0;   // middle of the NTP time of the last SR; 0: there was none
    uint32_t since_report = 0;  // from its arrival to this report, in 1/65536 s
    bool operator==(const ReportBlock&) const = default;
};

// The middle 32 bits of a time, 16.16 seconds: what reports refer to each other by.
constexpr uint32_t middle_of(uint64_t ntp) noexcept { return static_cast<uint32_t>(ntp >> 16); }

std::optional<SenderInfo> sender_info(const RtcpPacket& packet) noexcept;  // none: it is no whole SR

// Each whole report block of an SR or RR.
template <class F>
void each_report(const RtcpPacket& packet, F f) noexcept {
    constexpr size_t kBlock = 24;
    size_t at = packet.type == RtcpType::sr ? 24 : packet.type == RtcpType::rr ? 4 : packet.body.size();
    for (unsigned i = 0; i < packet.count && at + kBlock <= packet.body.size(); i++, at += kBlock) {
        const std::byte* block = &packet.body[at];
        const uint32_t lost = wire::load32(block + 4);
        f(ReportBlock{wire::load32(block), static_cast<uint8_t>(lost >> 24),
                      static_cast<int32_t>(lost << 8) >> 8,  // 24 bits with a sign
                      wire::load32(block + 8), wire::load32(block + 12), wire::load32(block + 16),
                      wire::load32(block + 20)});
    }
}
// Of a datagram that valid_rtcp() found valid: what is said of this SSRC; if nothing, of whichever comes first. Who
// gets packets once more reports on both (RFC 7198 section 3.1).
std::optional<ReportBlock> report_on(uint32_t ssrc, std::span<const std::byte> datagram) noexcept;

}  // namespace penstock::rtp
