#pragma once
// SMPTE ST 2022-1: media go to port P, the sums of columns to P + 2, the sums of rows to P + 4.
#include "rtp/fec/repair.hpp"

namespace penstock::rtp::fec {

inline constexpr uint16_t kColumnPort = 2, kRowPort = 4;  // beyond the port of the media

// The body is what follows the headers: P, X and CC are the media's sums, and say nothing about this packet.
std::expected<RepairPacket, BadRepair> parse_st2022(std::span<const std::byte> packet) noexcept;

// SSRC 0: repair packets are told by their port.
void write_st2022(const Code& code, const RepairHeader& header, const Own& own, Head& to) noexcept;

}  // namespace penstock::rtp::fec
