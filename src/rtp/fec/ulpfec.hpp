#pragma once
// ULPFEC, RFC 5109, level 0: rows, or columns that lie close enough for a mask of 48 packets. Never both: a packet may
// be protected twice only by repair of equal length. On a port of its own with the media's SSRC (section 14.1), or
// among the media (Carriage::among_media). Inside RED (section 14.2) it is neither sent nor received.
#include "rtp/fec/repair.hpp"

namespace penstock::rtp::fec {

inline constexpr unsigned kUlpfecMost = 48;  // packets from the first protected to the last

std::expected<RepairPacket, BadRepair> parse_ulpfec(std::span<const std::byte> packet, uint8_t payload_type) noexcept;
bool write_ulpfec(const Code& code, const RepairHeader& header, const Own& own, Head& to) noexcept;

}  // namespace penstock::rtp::fec
