#include "rtp/picture.hpp"

#include <algorithm>

#include "base/wire.hpp"

namespace penstock::rtp {
namespace {

bool same_word(std::string_view a, std::string_view b) noexcept {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; };
    return std::ranges::equal(a, b, {}, lower, lower);
}

// RFC 6184 section 5.2 and H.264 table 7-1.
struct H264 {
    static constexpr size_t kHeader = 1;
    static constexpr unsigned kAggregate = 24, kFragment = 28;  // STAP-A, FU-A
    static unsigned type(const std::byte* nal) noexcept { return wire::load8(nal) & 0x1f; }
    static unsigned fragmented(uint8_t fu) noexcept { return fu & 0x1f; }
    static Part part(unsigned type) noexcept {
        if (type == 5) return Part::key;                              // slice of an IDR picture
        if (type == 7 || type == 8) return Part::parameters;          // SPS, PPS
        return type == 1 || type == 2 ? Part::picture : Part::other;  // slice, partition A
    }
};

// RFC 7798 section 4.4 and H.265 table 7-1.
struct H265 {
    static constexpr size_t kHeader = 2;
    static constexpr unsigned kAggregate = 48, kFragment = 49;  // AP, FU
    static unsigned type(const std::byte* nal) noexcept { return wire::load8(nal) >> 1 & 0x3f; }
    static unsigned fragmented(uint8_t fu) noexcept { return fu & 0x3f; }
    static Part part(unsigned type) noexcept {
        if (type >= 16 && type <= 21) return Part::key;         // BLA, IDR and CRA pictures
        if (type >= 32 && type <= 34) return Part::parameters;  // VPS, SPS, PPS
        return type < 16 ? Part::picture : Part::other;
    }
};

// Both have NAL units one by one, several behind sizes of 16 bits, and fragments with a byte that marks the first.
template <class Codec>
Part part_of_nal_units(std::span<const std::byte> payload) noexcept {
    if (payload.size() < Codec::kHeader) return Part::other;
    const unsigned type = Codec::type(payload.data());
    payload = payload.subspan(Codec::kHeader);
    if (type == Codec::kFragment) {
        const bool first = !payload.empty() && (wire::load8(payload.data()) & 0x80) != 0;
        return first ? Codec::part(Codec::fragmented(wire::load8(payload.data()))) : Part::other;
    }
    if (type != Codec::kAggregate) return Codec::part(type);
    Part part = Part::other;
    while (payload.size() > 2) {
        const size_t size = wire::load16(payload.data());
        payload = payload.subspan(2);
        if (size < Codec::kHeader || size > payload.size()) break;
        part = std::max(part, Codec::part(Codec::type(payload.data())));
        payload = payload.subspan(size);
    }
    return part;
}

// The aggregation header: |Z|Y| W |N|-|-|-|. N marks the first packet of a coded video sequence, which begins with a
// sequence header and a key frame.
Part part_of_av1(std::span<const std::byte> payload) noexcept {
    return !payload.empty() && (wire::load8(payload.data()) & 0x08) != 0 ? Part::key : Part::other;
}

}  // namespace

Codec codec_of(std::string_view encoding) noexcept {
    const std::string_view name = encoding.substr(0, encoding.find('/'));
    if (same_word(name, "H264")) return Codec::h264;
    if (same_word(name, "H265")) return Codec::h265;
    return same_word(name, "AV1") ? Codec::av1 : Codec::other;
}

Part part_of(Codec codec, std::span<const std::byte> payload) noexcept {
    switch (codec) {
        case Codec::h264: return part_of_nal_units<H264>(payload);
        case Codec::h265: return part_of_nal_units<H265>(payload);
        case Codec::av1: return part_of_av1(payload);
        case Codec::other: break;
    }
    return Part::other;
}

std::optional<uint64_t> KeyFrames::see(Part part, uint64_t number, uint32_t timestamp) noexcept {
    const bool of_newest = has_key_ && timestamp == timestamp_;
    switch (part) {
        case Part::other: return {};
        case Part::picture:
            if (number > parameters_) has_parameters_ = false;
            return {};
        case Part::parameters:
            if (!of_newest) {
                parameters_ = has_parameters_ ? std::min(parameters_, number) : number;
                has_parameters_ = true;
                return {};
            }
            break;
        case Part::key:
            if (!of_newest) {
                if (has_key_ && number < begin_) return {};  // late: of a key frame before the newest
                begin_ = has_parameters_ ? std::min(parameters_, number) : number;
                timestamp_ = timestamp;
                has_key_ = true;
                has_parameters_ = false;
                return begin_;
            }
            break;
    }
    if (number >= begin_) return {};
    return begin_ = number;
}

}  // namespace penstock::rtp
