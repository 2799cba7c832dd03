#include "rtp/fec/flexfec.hpp"

#include <cstring>

#include "base/wire.hpp"
#include "rtp/fec/rtp_body.hpp"

namespace penstock::rtp::fec {
namespace {

//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// |R|F|P|X|  CC   |M| PT recovery |        length recovery        |
// |                          TS recovery                          |
// F=0, a mask of 15, 46 or 110 bits:
// |           SN base_i           |k|          Mask [0-14]        |
// |k|                   Mask [15-45] (when the k before is 1)     |
// |                     Mask [46-109] (when both are 1)           |
// F=1:
// |           SN base_i           |  L (columns)  |    D (rows)   |
// R=1: an RTP packet as it was, the version taken for R=1 F=0.
constexpr uint16_t kFixed = 0x4000;
constexpr uint32_t kMore = 0x80000000;
constexpr size_t kCommon = 8, kBlock = 4;
constexpr unsigned kShort = 15, kMiddle = 46;  // bits of mask

std::expected<Members, BadRepair> parse_mask(std::span<const std::byte>& rest) noexcept {
    Mask mask;
    const auto take = [&](unsigned from, unsigned bits, uint64_t word) {
        for (unsigned i = 0; i < bits; i++)
            if ((word >> (bits - 1 - i) & 1) != 0) mask.set(from + i);
    };
    const uint16_t base = wire::load16(rest.data()), first = wire::load16(&rest[2]);
    take(0, kShort, first & 0x7fff);
    rest = rest.subspan(kBlock);
    if ((first & 0x8000) != 0) {
        if (rest.size() < 4) return std::unexpected(BadRepair::runt);
        const uint32_t second = wire::load32(rest.data());
        take(kShort, kMiddle - kShort, second & ~kMore);
        rest = rest.subspan(4);
        if ((second & kMore) != 0) {
            if (rest.size() < 8) return std::unexpected(BadRepair::runt);
            take(kMiddle, Mask::kMost - kMiddle,
                 uint64_t{wire::load32(rest.data())} << 32 | wire::load32(rest.data() + 4));
            rest = rest.subspan(8);
        }
    }
    const auto members = Members::of(base, mask);
    if (!members) return std::unexpected(BadRepair::empty);
    return *members;
}

size_t write_mask(std::byte* p, const Mask& mask) noexcept {
    const auto bits = [&](unsigned from, unsigned count) {
        uint64_t word = 0;
        for (unsigned i = from; i < from + count; i++) word = word << 1 | (mask.has(i) ? 1 : 0);
        return word;
    };
    const unsigned last = mask.last();
    wire::store16(p, static_cast<uint16_t>(bits(0, kShort) | (last >= kShort ? 0x8000 : 0)));
    if (last < kShort) return 2;
    wire::store32(p + 2, static_cast<uint32_t>(bits(kShort, kMiddle - kShort)) | (last >= kMiddle ? kMore : 0));
    if (last < kMiddle) return 2 + 4;
    const uint64_t rest = bits(kMiddle, Mask::kMost - kMiddle);
    wire::store32(p + 6, static_cast<uint32_t>(rest >> 32));
    wire::store32(p + 10, static_cast<uint32_t>(rest));
    return 2 + 4 + 8;
}

// The copy of one packet, whole: section 4.2.2.3.
std::expected<RepairPacket, BadRepair> parse_retransmission(std::span<const std::byte> packet) noexcept {
    if (packet.size() < kMediaHeader) return std::unexpected(BadRepair::runt);
    return RepairPacket{
        {.line = Line::retransmission, .members = {.base = wire::load16(&packet[2])}, .fields = FieldSum::of(packet)},
        packet.subspan(kMediaHeader),
        wire::load32(&packet[8])};
}

}  // namespace

std::expected<RepairPacket, BadRepair> parse_flexfec(std::span<const std::byte> packet, uint8_t payload_type) noexcept {
    const auto body = rtp_body(packet, payload_type);
    if (!body) return std::unexpected(body.error());
    std::span<const std::byte> rest = *body;
    if (rest.size() < kCommon) return std::unexpected(BadRepair::runt);
    const uint16_t first = wire::load16(rest.data());
    if (first >> 14 == 3) return std::unexpected(BadRepair::scheme);
    if (first >> 14 == 2) return parse_retransmission(rest);
    const unsigned sources = wire::load8(packet.data()) & 0x0f;
    if (sources != 1) return std::unexpected(sources == 0 ? BadRepair::empty : BadRepair::several);
    RepairPacket out{
        {.fields = {static_cast<uint16_t>(first & kSummedFlags), wire::load16(&rest[2]), wire::load32(&rest[4])}},
        {},
        wire::load32(&packet[kMediaHeader])};
    rest = rest.subspan(kCommon);
    if (rest.size() < kBlock) return std::unexpected(BadRepair::runt);
    if ((first & kFixed) == 0) {
        const auto members = parse_mask(rest);
        if (!members) return std::unexpected(members.error());
        out.header.line = Line::mask;
        out.header.members = *members;
        out.body = rest;
        return out;
    }
    const uint16_t base = wire::load16(rest.data());
    const uint8_t columns = wire::load8(&rest[2]), rows = wire::load8(&rest[3]);
    if (columns == 0) return std::unexpected(BadRepair::empty);  // L=0 D=0 is reserved, L=0 D>0 is not defined
    out.header.line = rows > 1 ? Line::column : Line::row;
    out.header.columns_follow = rows == 1;
    out.header.members =
        rows > 1 ? Members{.base = base, .offset = columns, .count = rows} : Members{.base = base, .count = columns};
    out.body = rest.subspan(kBlock);
    return out;
}

bool write_flexfec(const Code& code, const RepairHeader& header, const Own& own, Head& to) noexcept {
    std::byte* p = to.bytes.data();
    wire::store16(p, static_cast<uint16_t>(kVersion | 0x0100 | code.carriage.payload_type));  // one CSRC
    wire::store16(p + 2, own.sequence);
    wire::store32(p + 4, own.timestamp);
    wire::store32(p + 8, repair_ssrc(own.media_ssrc));
    wire::store32(p + 12, own.media_ssrc);
    p += 16;
    wire::store16(p, static_cast<uint16_t>(header.fields.flags | (code.mask ? 0 : kFixed)));
    wire::store16(p + 2, header.fields.length);
    wire::store32(p + 4, header.fields.timestamp);
    wire::store16(p + 8, header.members.base);
    p += 10;
    if (code.mask) {
        const auto mask = header.members.as_mask(Mask::kMost);
        if (!mask) return false;
        p += write_mask(p, *mask);
    } else {
        const bool row = header.line == Line::row;
        *p++ = static_cast<std::byte>(row ? header.members.count : header.members.offset);
        *p++ = static_cast<std::byte>(row ? (header.columns_follow ? 1 : 0) : header.members.count);
    }
    to.size = static_cast<uint8_t>(p - to.bytes.data());
    return true;
}

void write_retransmission(std::byte* to, std::span<const std::byte> media, uint8_t payload_type,
                          uint16_t sequence) noexcept {
    const uint32_t ssrc = wire::load32(&media[8]);
    wire::store16(to, static_cast<uint16_t>(kVersion | 0x0100 | payload_type));  // one CSRC
    wire::store16(to + 2, sequence);
    std::memcpy(to + 4, &media[4], 4);
    wire::store32(to + 8, retransmission_ssrc(ssrc));
    wire::store32(to + 12, ssrc);
    std::memcpy(to + kRetransmissionMore, media.data(), media.size());
}

}  // namespace penstock::rtp::fec
