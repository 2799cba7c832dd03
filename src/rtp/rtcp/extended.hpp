#pragma once
// RFC 3611 sections 4.4 and 4.5: how one who only receives learns how far away it is. It tells a time of its own;
// whoever hears that says later how long ago it was.
#include <cstdint>
#include <optional>
#include <span>

#include "rtp/rtcp/packet.hpp"

namespace penstock::rtp {

inline constexpr uint8_t kReferenceTime = 4, kSinceReference = 5;  // types of an XR block

struct SinceReference {
    uint32_t ssrc = 0;   // whose time it was
    uint32_t last = 0;   // the middle of it: middle_of()
    uint32_t since = 0;  // from its arrival to this report, in 1/65536 s
    bool operator==(const SinceReference&) const = default;
};

// Each whole block of an XR packet: f(type, what follows the block's first word).
//
// |V=2|P|reserved |    type=207   |             length            |
// |                     SSRC of who reports                       |
// |     type      | type-specific |  words of the block after this |
template <class F>
void each_block(const RtcpPacket& packet, F f) noexcept {
    if (packet.type != RtcpType::xr) return;
    for (size_t at = 4; at + 4 <= packet.body.size();) {
        const size_t size = 4 * size_t{wire::load16(&packet.body[at + 2])};
        if (at + 4 + size > packet.body.size()) return;
        f(wire::load8(&packet.body[at]), packet.body.subspan(at + 4, size));
        at += 4 + size;
    }
}

// The time that an XR packet tells, as NTP has it.
inline std::optional<uint64_t> reference_time(const RtcpPacket& packet) noexcept {
    std::optional<uint64_t> time;
    each_block(packet, [&](uint8_t type, std::span<const std::byte> block) {
        if (type == kReferenceTime && block.size() == 8)
            time = uint64_t{wire::load32(block.data())} << 32 | wire::load32(&block[4]);
    });
    return time;
}

template <class F>
void each_since_reference(const RtcpPacket& packet, F f) noexcept {
    each_block(packet, [&](uint8_t type, std::span<const std::byte> block) {
        for (size_t at = 0; type == kSinceReference && at + 12 <= block.size(); at += 12)
            f(SinceReference{wire::load32(&block[at]), wire::load32(&block[at + 4]), wire::load32(&block[at + 8])});
    });
}

}  // namespace penstock::rtp
