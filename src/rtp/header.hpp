#pragma once
// RFC 3550 section 5.1: a read-only view of one RTP header. It exists only if it was valid, so accessors need no
// checks.
#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>

#include "base/wire.hpp"

namespace penstock::rtp {

enum class Invalid : uint8_t { version, runt, padding };

class Header {
public:
    static constexpr size_t kFixedSize = 12;

    //  0                   1                   2                   3
    //  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    // |V=2|P|X|  CC   |M|     PT      |       sequence number         |
    // |                           timestamp                           |
    // |                             SSRC                              |
    // |                     CSRC list (0 to 15)                       |
    // | extension: profile            | length in 32-bit words        | when X
    //
    // The checks of appendix A.1. The last byte of the packet is read only when the padding flag is set: a cold payload
    // costs more to touch than all the rest of a relay.
    static std::expected<Header, Invalid> parse(std::span<const std::byte> packet) noexcept {
        if (packet.size() < kFixedSize) return std::unexpected(Invalid::runt);
        const unsigned first = wire::load8(packet.data());
        if (first >> 6 != 2) return std::unexpected(Invalid::version);
        size_t end = kFixedSize + size_t{4} * (first & 0x0f);
        if (first & 0x10) {
            if (packet.size() < end + 4) return std::unexpected(Invalid::runt);
            end += 4 + size_t{4} * wire::load16(&packet[end + 2]);
        }
        if (packet.size() < end) return std::unexpected(Invalid::runt);
        if (first & 0x20) {
            const size_t padding = wire::load8(&packet.back());
            if (padding == 0 || padding > packet.size() - end) return std::unexpected(Invalid::padding);
        }
        return Header{packet.data(), static_cast<uint32_t>(end)};
    }

    bool marker() const noexcept { return (wire::load8(p_ + 1) & 0x80) != 0; }
    uint8_t payload_type() const noexcept { return wire::load8(p_ + 1) & 0x7f; }
    uint16_t sequence() const noexcept { return wire::load16(p_ + 2); }
    uint32_t timestamp() const noexcept { return wire::load32(p_ + 4); }
    uint32_t ssrc() const noexcept { return wire::load32(p_ + 8); }
    size_t size() const noexcept { return size_; }  // bytes, with CSRC list and extension

private:
    Header(const std::byte* p, uint32_t size) noexcept : p_(p), size_(size) {}
    const std::byte* p_;
    uint32_t size_;
};

}  // namespace penstock::rtp
