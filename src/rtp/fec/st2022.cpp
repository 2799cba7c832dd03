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
constexpr uint8_t kPayloadType = 96;       // dynamic; receivers go by the port
constexpr uint16_t kVersion = 0x8000;      // of RTP, in the first two bytes
constexpr uint16_t kSummedFlags = 0x3fff;  // all but the version
constexpr uint16_t kPayloadTypeBits = 0x7f;
constexpr uint8_t kExtended = 0x80;  // E, with the PT recovery
constexpr uint8_t kRow = 0x40;       // D

}  // namespace

FieldSum FieldSum::of(std::span<const std::byte> packet) noexcept {
    return {static_cast<uint16_t>(wire::load16(packet.data()) & kSummedFlags),
            static_cast<uint16_t>(packet.size() - kMediaHeader), wire::load32(&packet[4])};
}

void write_media_header(std::byte* to, const FieldSum& fields, uint16_t sequence, uint32_t ssrc) noexcept {
    wire::store16(to, static_cast<uint16_t>(kVersion | fields.flags));
    wire::store16(to + 2, sequence);
    wire::store32(to + 4, fields.timestamp);
    wire::store32(to + 8, ssrc);
}

std::expected<RepairHeader, BadRepair> parse_repair(std::span<const std::byte> packet) noexcept {
    if (packet.size() < kRepairHeader) return std::unexpected(BadRepair::runt);
    const std::byte* const p = packet.data();
    const uint16_t first = wire::load16(p);
    if (first >> 14 != 2) return std::unexpected(BadRepair::version);
    const unsigned type = wire::load8(p + 24);
    const uint32_t recovery = wire::load32(p + 16);
    if (recovery >> 24 < kExtended || (recovery & 0xffffff) != 0 || (type & ~unsigned{kRow}) != 0)
        return std::unexpected(BadRepair::scheme);
    RepairHeader header{.line = (type & kRow) != 0 ? Line::row : Line::column,
                        .base = wire::load16(p + 12),
                        .offset = wire::load8(p + 25),
                        .count = wire::load8(p + 26),
                        .fields = {static_cast<uint16_t>((first & kSummedFlags & ~kPayloadTypeBits) |
                                                         (recovery >> 24 & kPayloadTypeBits)),
                                   wire::load16(p + 14), wire::load32(p + 20)}};
    if (header.offset == 0 || header.count == 0) return std::unexpected(BadRepair::empty);
    return header;
}

void write_repair(std::span<std::byte, kRepairHeader> to, const RepairHeader& header, uint16_t sequence,
                  uint32_t timestamp) noexcept {
    std::byte* const p = to.data();
    const FieldSum& fields = header.fields;
    wire::store16(p, static_cast<uint16_t>(kVersion | (fields.flags & ~kPayloadTypeBits) | kPayloadType));
    wire::store16(p + 2, sequence);
    wire::store32(p + 4, timestamp);
    wire::store32(p + 8, 0);
    wire::store16(p + 12, header.base);
    wire::store16(p + 14, fields.length);
    wire::store32(p + 16, (uint32_t{kExtended} | (fields.flags & kPayloadTypeBits)) << 24);
    wire::store32(p + 20, fields.timestamp);
    p[24] = static_cast<std::byte>(header.line == Line::row ? kRow : 0);
    p[25] = static_cast<std::byte>(header.offset);
    p[26] = static_cast<std::byte>(header.count);
    p[27] = std::byte{0};
}

}  // namespace penstock::rtp::fec
