#pragma once
// What a repair packet that is proper RTP carries: without CSRC list, extension and padding.
#include <expected>
#include <span>

#include "rtp/fec/repair.hpp"
#include "rtp/header.hpp"

namespace penstock::rtp::fec {

inline std::expected<std::span<const std::byte>, BadRepair> rtp_body(std::span<const std::byte> packet,
                                                                     uint8_t payload_type) noexcept {
    const auto rtp = Header::parse(packet);
    if (!rtp) return std::unexpected(rtp.error() == Invalid::runt ? BadRepair::runt : BadRepair::version);
    if (rtp->payload_type() != payload_type) return std::unexpected(BadRepair::payload_type);
    const bool padded = (wire::load8(packet.data()) & 0x20) != 0;
    return packet.first(packet.size() - (padded ? wire::load8(&packet.back()) : 0)).subspan(rtp->size());
}

}  // namespace penstock::rtp::fec
