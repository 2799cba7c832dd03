#pragma once
// RFC 4588: a packet that is sent once more in a stream of its own, with SSRC, payload type and numbers of that. What
// follows the header begins with the number that it had.
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "base/wire.hpp"
#include "rtp/header.hpp"

namespace penstock::rtp {

inline constexpr size_t kRtxMore = 2;  // bytes that it is longer

struct RtxStream {
    uint8_t payload_type = 0;
    uint32_t ssrc = 0;
    bool operator==(const RtxStream&) const = default;
};

// Of the stream where none is given: that of the media, told from that of copies that are sent later (RFC 7198), too.
constexpr uint32_t rtx_ssrc_for(uint32_t media) noexcept { return ~media ^ 1; }

// `packet` is valid RTP; `into` has room for kRtxMore bytes more. How long it is.
inline size_t write_rtx(std::byte* into, std::span<const std::byte> packet, const RtxStream& as,
                        uint16_t sequence) noexcept {
    const auto header = Header::parse(packet);
    if (!header) return 0;
    const size_t size = header->size();
    std::memcpy(into, packet.data(), size);
    into[1] = static_cast<std::byte>((wire::load8(&packet[1]) & 0x80) | as.payload_type);
    wire::store16(into + 2, sequence);
    wire::store32(into + 8, as.ssrc);
    wire::store16(into + size, header->sequence());
    std::memcpy(into + size + kRtxMore, packet.data() + size, packet.size() - size);
    return packet.size() + kRtxMore;
}

// What it was, of the stream that is given. None: `rtx` is no RTP, or has no such number: padding, as some send it to
// probe the way.
inline std::optional<std::span<const std::byte>> read_rtx(std::span<std::byte> into, std::span<const std::byte> rtx,
                                                          const RtxStream& of) noexcept {
    const auto header = Header::parse(rtx);
    if (!header) return std::nullopt;
    const size_t size = header->size();
    const size_t padding = (wire::load8(rtx.data()) & 0x20) != 0 ? wire::load8(&rtx.back()) : 0;
    if (rtx.size() - size < padding + kRtxMore || into.size() < rtx.size() - kRtxMore) return std::nullopt;
    std::memcpy(into.data(), rtx.data(), size);
    into[1] = static_cast<std::byte>((wire::load8(&rtx[1]) & 0x80) | of.payload_type);
    std::memcpy(&into[2], &rtx[size], kRtxMore);
    wire::store32(&into[8], of.ssrc);
    const size_t rest = rtx.size() - size - kRtxMore;
    if (rest != 0) std::memcpy(&into[size], &rtx[size + kRtxMore], rest);
    return into.first(size + rest);
}

}  // namespace penstock::rtp
