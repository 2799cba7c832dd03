#pragma once
// FlexFEC, RFC 8627: repair is a stream with an SSRC and numbers of its own, on the port of the media or any other. Its
// CSRC list names what it protects: columns and rows as numbers, a flexible mask, or one packet that is sent again
// whole. The draft that libwebrtc sends as "flexfec-03" is another format.
#include "rtp/fec/repair.hpp"

namespace penstock::rtp::fec {

std::expected<RepairPacket, BadRepair> parse_flexfec(std::span<const std::byte> packet, uint8_t payload_type) noexcept;
bool write_flexfec(const Code& code, const RepairHeader& header, const Own& own, Head& to) noexcept;

// The repair stream's SSRC. RFC 3550 wants it random: the media's is, and this is another for each, with no state that
// a restart could lose.
constexpr uint32_t repair_ssrc(uint32_t media_ssrc) noexcept { return media_ssrc ^ 0x5a3c96e1; }

// A packet that is sent again (R = 1, section 4.2.2.3), for the one receiver that asked for it: in a repair stream of
// its own, since the numbers of the other one are the same for all receivers. `to` has room for so many bytes more than
// `media`, which is valid RTP.
inline constexpr size_t kRetransmissionMore = kMediaHeader + 4;
void write_retransmission(std::byte* to, std::span<const std::byte> media, uint8_t payload_type,
                          uint16_t sequence) noexcept;
constexpr uint32_t retransmission_ssrc(uint32_t media_ssrc) noexcept { return repair_ssrc(media_ssrc) ^ 1; }

}  // namespace penstock::rtp::fec
