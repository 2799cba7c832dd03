#pragma once
// RFC 3550 sections 6.5 and 6.6: SDES, who a source is, and BYE, that it goes.
#include <cstdint>
#include <optional>
#include <string_view>

#include "rtp/rtcp/packet.hpp"

namespace penstock::rtp {

inline constexpr uint8_t kCname = 1;  // type of an SDES item

// Each item of each chunk of an SDES packet, up to the first that does not fit: f(ssrc, type, text).
template <class F>
void each_item(const RtcpPacket& packet, F f) noexcept {
    if (packet.type != RtcpType::sdes) return;
    size_t at = 0;
    for (unsigned chunk = 0; chunk < packet.count && at + 4 <= packet.body.size(); chunk++) {
        const uint32_t ssrc = wire::load32(&packet.body[at]);
        at += 4;
        for (;;) {
            if (at >= packet.body.size()) return;
            const uint8_t type = wire::load8(&packet.body[at]);
            if (type == 0) break;
            if (at + 2 > packet.body.size()) return;
            const size_t size = wire::load8(&packet.body[at + 1]);
            if (at + 2 + size > packet.body.size()) return;
            f(ssrc, type, std::string_view{reinterpret_cast<const char*>(packet.body.data()) + at + 2, size});
            at += 2 + size;
        }
        at = at / 4 * 4 + 4;  // the zeros that end the list fill up its last word
    }
}

// Each source that a BYE names.
template <class F>
void each_leaving(const RtcpPacket& packet, F f) noexcept {
    if (packet.type != RtcpType::bye) return;
    for (size_t i = 0; i < packet.count && 4 * i + 4 <= packet.body.size(); i++) f(wire::load32(&packet.body[4 * i]));
}
// Why they leave; empty: it does not say.
inline std::string_view reason_of(const RtcpPacket& bye) noexcept {
    const size_t at = size_t{4} * bye.count;
    if (bye.type != RtcpType::bye || at >= bye.body.size()) return {};
    const size_t size = wire::load8(&bye.body[at]);
    if (at + 1 + size > bye.body.size()) return {};
    return {reinterpret_cast<const char*>(bye.body.data()) + at + 1, size};
}

}  // namespace penstock::rtp
