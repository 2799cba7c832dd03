#include "garbage.hpp"

#include <cstring>

#include "base/wire.hpp"
#include "mark.hpp"

namespace penstock::gen {

Garbage garbage_for(const Group& group, uint32_t stream, const Endpoint& to, uint64_t number) noexcept {
    Garbage made{to, {}, 64};
    for (size_t at = 0; at < made.payload.size(); at += 8) {
        const uint64_t random = mix(number * 8 + at);
        std::memcpy(&made.payload[at], &random, 8);
    }
    std::byte& first = made.payload[0];
    std::byte& second = made.payload[1];
    first = std::byte{0x80};
    second = std::byte{group.payload_type};
    switch (garbage_kind(stream, number)) {
        case 0: first = std::byte{0xc0}; break;  // version 3
        case 1: made.size = 8; break;            // four bytes less than an RTP header
        case 2: second = std::byte{static_cast<uint8_t>((group.payload_type + 1) % 64)}; break;
        case 3:  // RTCP that announces more than there is
            made.to.port++;
            second = std::byte{200};
            wire::store16(&made.payload[2], 0xffff);
            break;
        case 4:  // RTP for a port that no stream has: the topmost of those that streams may have
            made.to.port = 29998;
            break;
        default: first = std::byte{0x01}; break;  // RFC 7983: 0-3
    }
    return made;
}

}  // namespace penstock::gen
