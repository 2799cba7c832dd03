#pragma once
// RFC 4585 section 6 and RFC 5104 section 4.3.1: what receivers ask of a sender. Generic NACK: packets once more. PLI,
// FIR: a picture that can be decoded without others.
#include <cstdint>
#include <optional>

#include "rtp/rtcp/packet.hpp"

namespace penstock::rtp {

inline constexpr uint8_t kNack = 1;  // formats of RTPFB
inline constexpr uint8_t kPli = 1;   // of PSFB
inline constexpr uint8_t kFir = 4;

// |V=2|P|   FMT   |      type     |             length            |
// |                      SSRC of who asks                         |
// |                      SSRC of the media                        |
// |         entries: of NACK 4 bytes each, of FIR 8, of PLI none  |
struct Feedback {
    uint32_t from = 0;
    uint32_t media = 0;  // of FIR 0: the entries say it
    std::span<const std::byte> entries;
};

// None: the packet is of another type or format, or too short for its two SSRCs.
inline std::optional<Feedback> feedback(const RtcpPacket& packet, RtcpType type, uint8_t format) noexcept {
    if (packet.type != type || packet.count != format || packet.body.size() < 8) return std::nullopt;
    return Feedback{wire::load32(&packet.body[0]), wire::load32(&packet.body[4]), packet.body.subspan(8)};
}

// Each sequence number that a NACK's whole entries name, in their order: first one, then which of the 16 after it.
template <class F>
void each_number(const Feedback& nack, F f) noexcept {
    for (size_t at = 0; at + 4 <= nack.entries.size(); at += 4) {
        const uint16_t first = wire::load16(&nack.entries[at]);
        f(first);
        unsigned after = 1;
        for (unsigned more = wire::load16(&nack.entries[at + 2]); more != 0; more >>= 1, after++)
            if ((more & 1) != 0) f(static_cast<uint16_t>(first + after));
    }
}

// Whether a packet is PLI, or FIR, for the source.
inline bool asks_key_frame(const RtcpPacket& packet, uint32_t media) noexcept {
    if (const auto pli = feedback(packet, RtcpType::psfb, kPli)) return pli->media == media;
    const auto fir = feedback(packet, RtcpType::psfb, kFir);
    if (!fir) return false;
    for (size_t at = 0; at + 8 <= fir->entries.size(); at += 8)
        if (wire::load32(&fir->entries[at]) == media) return true;
    return false;
}

}  // namespace penstock::rtp
