#pragma once
// What a packet of media carries behind its RTP header, so that whoever receives it, by whatever address, knows which
// it is and when it was to be sent; and everything of a packet that follows from its stream and number alone, so that
// neither end has to remember it.
#include <optional>
#include <span>

#include "base/wire.hpp"
#include "plan.hpp"

namespace penstock::gen {

inline constexpr size_t kRtpSize = 12;

// splitmix64: the randomness of the plan, the same in every run and at both ends.
constexpr uint64_t mix(uint64_t x) noexcept {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

//  0                   1                   2                   3
// |            magic              |            stream             |
// |                          number, 64 bits                      |
// |            due: TSC at which it was to be sent, 64 bits       |
// |            check, 32 bits     | filling ...
struct Mark {
    static constexpr uint32_t kMagic = 0x70656e73;
    static constexpr size_t kSize = 28;

    uint32_t stream = 0;  // of the whole plan
    uint64_t number = 0;  // of the packet in its stream, from 0
    uint64_t due = 0;
    bool operator==(const Mark&) const = default;

    // Tells a mark from what only looks like one: a FEC repair packet is the sum of marks.
    uint32_t check() const noexcept { return static_cast<uint32_t>(mix(mix(mix(stream) ^ number) ^ due)); }

    void write(std::byte* to) const noexcept {
        wire::store32(to, kMagic);
        wire::store32(to + 4, stream);
        wire::store32(to + 8, static_cast<uint32_t>(number >> 32));
        wire::store32(to + 12, static_cast<uint32_t>(number));
        wire::store32(to + 16, static_cast<uint32_t>(due >> 32));
        wire::store32(to + 20, static_cast<uint32_t>(due));
        wire::store32(to + 24, check());
    }
    // Of the payload of an RTP packet; nothing where it is none of ours.
    static std::optional<Mark> read(std::span<const std::byte> payload) noexcept {
        if (payload.size() < kSize || wire::load32(payload.data()) != kMagic) return std::nullopt;
        const auto load64 = [&](size_t at) {
            return uint64_t{wire::load32(&payload[at])} << 32 | wire::load32(&payload[at + 4]);
        };
        const Mark mark{wire::load32(&payload[4]), load64(8), load64(16)};
        if (wire::load32(&payload[24]) != mark.check()) return std::nullopt;
        return mark;
    }
};
static_assert(kMinSize >= kRtpSize + Mark::kSize);

// Which share of numbers is chosen by `share`: loss and garbage.
inline bool chosen(uint64_t what, uint32_t stream, uint64_t number, double share) noexcept {
    return share > 0 && static_cast<double>(mix(mix(what << 32 | stream) ^ number) >> 11) * 0x1p-53 < share;
}

// UDP payload of a packet in bytes.
uint16_t size_of(const Group& group, uint32_t stream, uint64_t number) noexcept;

// The RTP packet of `size_of` bytes, written or compared: header, mark and a filling that its number implies.
void write_rtp(std::span<std::byte> rtp, const Group& group, const Mark& mark) noexcept;
bool is_intact(std::span<const std::byte> rtp, const Group& group, const Mark& mark) noexcept;

}  // namespace penstock::gen
