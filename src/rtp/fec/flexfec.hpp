#pragma once
// FlexFEC, RFC 8627: repair is a stream with an SSRC and numbers of its own, on the port of the media or any other. Its
// CSRC list names what it protects. Sent: columns and rows as numbers, or a flexible mask. Received: these, and
// retransmissions. The draft that libwebrtc sends as "flexfec-03" is another format.
#include "rtp/fec/repair.hpp"

namespace penstock::rtp::fec {

std::expected<RepairPacket, BadRepair> parse_flexfec(std::span<const std::byte> packet, uint8_t payload_type) noexcept;
bool write_flexfec(const Code& code, const RepairHeader& header, const Own& own, Head& to) noexcept;

// The repair stream's SSRC. RFC 3550 wants it random: the media's is, and this is another for each, with no state that
// a restart could lose.
constexpr uint32_t repair_ssrc(uint32_t media_ssrc) noexcept { return media_ssrc ^ 0x5a3c96e1; }

}  // namespace penstock::rtp::fec
