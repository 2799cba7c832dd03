#include "rtp/fec/repair.hpp"

#include <bit>

#include "base/wire.hpp"
#include "rtp/fec/flexfec.hpp"
#include "rtp/fec/st2022.hpp"
#include "rtp/fec/ulpfec.hpp"

namespace penstock::rtp::fec {

void write_media_header(std::byte* to, const FieldSum& fields, uint16_t sequence, uint32_t ssrc) noexcept {
    wire::store16(to, static_cast<uint16_t>(kVersion | fields.flags));
    wire::store16(to + 2, sequence);
    wire::store32(to + 4, fields.timestamp);
    wire::store32(to + 8, ssrc);
}

unsigned Mask::first() const noexcept {
    return static_cast<unsigned>(words[0] != 0 ? std::countr_zero(words[0]) : 64 + std::countr_zero(words[1]));
}
unsigned Mask::last() const noexcept {
    return static_cast<unsigned>(words[1] != 0 ? 127 - std::countl_zero(words[1]) : 63 - std::countl_zero(words[0]));
}

std::optional<Members> Members::of(uint16_t base, const Mask& mask) noexcept {
    if (mask.empty()) return std::nullopt;
    const unsigned first = mask.first(), last = mask.last();
    Members members{.base = static_cast<uint16_t>(base + first), .count = static_cast<uint8_t>(last - first + 1)};
    Mask from_first;
    for (unsigned i = first; i <= last; i++)
        if (mask.has(i)) from_first.set(i - first);
    members.mask = from_first;
    return members;
}

std::optional<Mask> Members::as_mask(unsigned most) const noexcept {
    if (reach() >= most) return std::nullopt;
    if (mask) return mask;
    Mask all;
    for (unsigned i = 0; i < count; i++) all.set(i * offset);
    return all;
}

std::expected<RepairPacket, BadRepair> parse_repair(const Carriage& carriage,
                                                    std::span<const std::byte> packet) noexcept {
    switch (carriage.scheme) {
        case Scheme::flexfec: return parse_flexfec(packet, carriage.payload_type);
        case Scheme::ulpfec: return parse_ulpfec(packet, carriage.payload_type);
        case Scheme::st2022_1: break;
    }
    return parse_st2022(packet);
}

bool write_repair(const Code& code, const RepairHeader& header, const Own& own, Head& to) noexcept {
    switch (code.carriage.scheme) {
        case Scheme::flexfec: return write_flexfec(code, header, own, to);
        case Scheme::ulpfec: return write_ulpfec(code, header, own, to);
        case Scheme::st2022_1: break;
    }
    write_st2022(code, header, own, to);
    return true;
}

}  // namespace penstock::rtp::fec
