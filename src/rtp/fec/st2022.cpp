#include "rtp/fec/st2022.hpp"

#include "base/wire.hpp"

namespace penstock::rtp::fec {
namespace {

//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// |V=2|P|X|  CC   |M|     PT      |       sequence number         |
// |                           timestamp                           |
// |                            SSRC = 0                           |
// |       SNBase low bits         |        length recovery        |
// |1| PT recovery |                   mask = 0                    |
// |                          TS recovery                          |
// |0|D|type |index|    offset     |      NA       | SNBase ext = 0 |
constexpr size_t kSize = 12 + 16;
constexpr uint8_t kExtended = 0x80;  // E, with the PT recovery
constexpr uint8_t kRow = 0x40;       // D

}  // namespace

std::expected<RepairPacket, BadRepair> parse_st2022(std::span<const std::byte> packet) noexcept {
    if (packet.size() < kSize) return std::unexpected(BadRepair::runt);
    const std::byte* const p = packet.data();
    const uint16_t first = wire::load16(p);
    if (first >> 14 != 2) return std::unexpected(BadRepair::version);
    const unsigned type = wire::load8(p + 24);
    const uint32_t recovery = wire::load32(p + 16);
    if (recovery >> 24 < kExtended || (recovery & 0xffffff) != 0 || (type & ~unsigned{kRow}) != 0)
        return std::unexpected(BadRepair::scheme);
    const RepairHeader header{
        .line = (type & kRow) != 0 ? Line::row : Line::column,
        .members = {.base = wire::load16(p + 12), .offset = wire::load8(p + 25), .count = wire::load8(p + 26)},
        .fields = {
            static_cast<uint16_t>((first & kSummedFlags & ~kPayloadTypeBits) | (recovery >> 24 & kPayloadTypeBits)),
            wire::load16(p + 14), wire::load32(p + 20)}};
    if (header.members.offset == 0 || header.members.count == 0) return std::unexpected(BadRepair::empty);
    return RepairPacket{header, packet.subspan(kSize), {}};
}

void write_st2022(const Code& code, const RepairHeader& header, const Own& own, Head& to) noexcept {
    to.size = kSize;
    std::byte* const p = to.bytes.data();
    const FieldSum& fields = header.fields;
    wire::store16(p, static_cast<uint16_t>(kVersion | (fields.flags & ~kPayloadTypeBits) | code.carriage.payload_type));
    wire::store16(p + 2, own.sequence);
    wire::store32(p + 4, own.timestamp);
    wire::store32(p + 8, 0);
    wire::store16(p + 12, header.members.base);
    wire::store16(p + 14, fields.length);
    wire::store32(p + 16, (uint32_t{kExtended} | (fields.flags & kPayloadTypeBits)) << 24);
    wire::store32(p + 20, fields.timestamp);
    p[24] = static_cast<std::byte>(header.line == Line::row ? kRow : 0);
    p[25] = static_cast<std::byte>(header.members.offset);
    p[26] = static_cast<std::byte>(header.members.count);
    p[27] = {};
}

}  // namespace penstock::rtp::fec
