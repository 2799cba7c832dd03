#include "rtp/fec/ulpfec.hpp"

#include "base/wire.hpp"
#include "rtp/fec/rtp_body.hpp"

namespace penstock::rtp::fec {
namespace {

//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// |E|L|P|X|  CC   |M| PT recovery |            SN base            |
// |                          TS recovery                          |
// |        length recovery        |       protection length       |
// |             mask              | mask continued (when L is 1)  |
// |              ...              |
constexpr uint16_t kLong = 0x4000;  // L
constexpr unsigned kShortMask = 16;
constexpr size_t kShort = 10 + 4, kWithLong = 10 + 8;

}  // namespace

// The E bit is for extensions, and to be ignored. Levels beyond 0 are not looked at: what level 0 alone does not
// restore to its full length is not restored.
std::expected<RepairPacket, BadRepair> parse_ulpfec(std::span<const std::byte> packet, uint8_t payload_type) noexcept {
    const auto body = rtp_body(packet, payload_type);
    if (!body) return std::unexpected(body.error());
    if (body->size() < kShort) return std::unexpected(BadRepair::runt);
    const std::byte* const p = body->data();
    const uint16_t first = wire::load16(p);
    const bool with_long = (first & kLong) != 0;
    if (with_long && body->size() < kWithLong) return std::unexpected(BadRepair::runt);
    uint64_t bits = uint64_t{wire::load16(p + 12)} << 48;
    if (with_long) bits |= uint64_t{wire::load32(p + 14)} << 16;
    Mask mask;
    for (unsigned i = 0; i < kUlpfecMost; i++)
        if ((bits >> (63 - i) & 1) != 0) mask.set(i);
    const auto members = Members::of(wire::load16(p + 2), mask);
    if (!members) return std::unexpected(BadRepair::empty);
    const auto rest = body->subspan(with_long ? kWithLong : kShort);
    const size_t protection = wire::load16(p + 10);
    if (rest.size() < protection) return std::unexpected(BadRepair::runt);
    return RepairPacket{
        {.line = Line::mask,
         .members = *members,
         .fields = {static_cast<uint16_t>(first & kSummedFlags), wire::load16(p + 8), wire::load32(p + 4)}},
        rest.first(protection),
        wire::load32(&packet[8])};
}

bool write_ulpfec(const Code& code, const RepairHeader& header, const Own& own, Head& to) noexcept {
    const auto mask = header.members.as_mask(kUlpfecMost);
    if (!mask) return false;
    const bool with_long = mask->last() >= kShortMask;
    to.size = static_cast<uint8_t>(kMediaHeader + (with_long ? kWithLong : kShort));
    std::byte* p = to.bytes.data();
    wire::store16(p, static_cast<uint16_t>(kVersion | code.carriage.payload_type));
    wire::store16(p + 2, own.sequence);
    wire::store32(p + 4, own.timestamp);
    wire::store32(p + 8, own.media_ssrc);
    p += kMediaHeader;
    wire::store16(p, static_cast<uint16_t>(header.fields.flags | (with_long ? kLong : 0)));
    wire::store16(p + 2, header.members.base);
    wire::store32(p + 4, header.fields.timestamp);
    wire::store16(p + 8, header.fields.length);
    wire::store16(p + 10, own.body_size);
    uint64_t bits = 0;
    for (unsigned i = 0; i < kUlpfecMost; i++)
        if (mask->has(i)) bits |= uint64_t{1} << (63 - i);
    wire::store16(p + 12, static_cast<uint16_t>(bits >> 48));
    if (with_long) wire::store32(p + 14, static_cast<uint32_t>(bits >> 16));
    return true;
}

}  // namespace penstock::rtp::fec
