#pragma once
// Packets that nobody may get: for the port of a stream, or near it, and each wrong in its own way.
#include <array>
#include <cstdint>
#include <string_view>

#include "plan.hpp"

namespace penstock::gen {

// Named as the counters of penstock that they end in.
inline constexpr std::array<std::string_view, 6> kGarbageNames{"not_rtp",      "rtp_runt", "rtp_payload_type",
                                                               "rtcp_invalid", "no_flow",  "stun"};

struct Garbage {
    Endpoint to;
    std::array<std::byte, 64> payload{};
    uint16_t size = 0;
};

// The garbage after packet `number` of a stream; the kinds come in turn.
Garbage garbage_for(const Group& group, uint32_t stream, const Endpoint& to, uint64_t number) noexcept;
inline size_t garbage_kind(uint32_t stream, uint64_t number) noexcept {
    return (stream + number) % kGarbageNames.size();
}

}  // namespace penstock::gen
