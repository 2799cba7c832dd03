#include "mark.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace penstock::gen {
namespace {

constexpr uint32_t kFirstSsrc = 0x9e000000;

void write_header(std::byte* to, const Group& group, const Mark& mark) noexcept {
    to[0] = std::byte{0x80};
    to[1] = std::byte{group.payload_type};
    // Sequence and timestamp begin somewhere else in each stream (RFC 3550 section 5.1), so that wraps are met with.
    const auto start = mix(mark.stream);
    wire::store16(to + 2, static_cast<uint16_t>(start + mark.number));
    const auto ticks = static_cast<uint64_t>(static_cast<double>(mark.number) * group.clock_rate / group.pps);
    wire::store32(to + 4, static_cast<uint32_t>((start >> 32) + ticks));
    wire::store32(to + 8, kFirstSsrc + mark.stream);
}

uint64_t filling_of(const Mark& mark) noexcept { return mix(mark.number ^ uint64_t{mark.stream} << 40); }

}  // namespace

uint16_t size_of(const Group& group, uint32_t stream, uint64_t number) noexcept {
    const uint64_t random = mix(mix(stream) + number);
    uint32_t all = 0;
    for (const Size& size : group.sizes) all += size.weight;
    uint32_t left = static_cast<uint32_t>(random % all);
    auto size = group.sizes.begin();
    for (; left >= size->weight; ++size) left -= size->weight;
    return static_cast<uint16_t>(size->from + (random >> 32) % (size->to - size->from + 1u));
}

void write_rtp(std::span<std::byte> rtp, const Group& group, const Mark& mark) noexcept {
    write_header(rtp.data(), group, mark);
    mark.write(rtp.data() + kRtpSize);
    const uint64_t filling = filling_of(mark);
    for (size_t at = kRtpSize + Mark::kSize; at < rtp.size(); at += sizeof filling)
        std::memcpy(&rtp[at], &filling, std::min(sizeof filling, rtp.size() - at));
}

bool is_intact(std::span<const std::byte> rtp, const Group& group, const Mark& mark) noexcept {
    if (rtp.size() != size_of(group, mark.stream, mark.number)) return false;
    std::array<std::byte, kMaxSize> expected;
    write_rtp(std::span(expected).first(rtp.size()), group, mark);
    return std::memcmp(rtp.data(), expected.data(), rtp.size()) == 0;
}

}  // namespace penstock::gen
