#include "rtp/rtcp.hpp"

#include "base/wire.hpp"

namespace penstock::rtp {

bool valid_rtcp(std::span<const std::byte> datagram) noexcept {
    if (datagram.size() < 4) return false;
    const unsigned type = wire::load8(&datagram[1]);
    if (type < static_cast<unsigned>(RtcpType::sr) || type > static_cast<unsigned>(RtcpType::xr)) return false;
    while (!datagram.empty()) {
        if (datagram.size() < 4) return false;
        const unsigned first = wire::load8(datagram.data());
        const size_t size = 4 * (size_t{wire::load16(&datagram[2])} + 1);
        if (first >> 6 != 2 || size > datagram.size()) return false;
        const bool padded = (first & 0x20) != 0;
        if (padded) {
            if (size != datagram.size()) return false;
            const size_t padding = wire::load8(&datagram[size - 1]);
            if (padding == 0 || padding % 4 != 0 || padding > size - 4) return false;
        }
        datagram = datagram.subspan(size);
    }
    return true;
}

std::optional<ReportBlock> first_report(std::span<const std::byte> datagram) noexcept {
    while (datagram.size() >= 4) {
        const unsigned type = wire::load8(&datagram[1]), count = wire::load8(datagram.data()) & 0x1f;
        const size_t size = 4 * (size_t{wire::load16(&datagram[2])} + 1);
        const size_t at = type == static_cast<unsigned>(RtcpType::sr)   ? 28
                          : type == static_cast<unsigned>(RtcpType::rr) ? 8
                                                                        : 0;  // bytes before the first block
        if (at != 0 && count != 0 && size >= at + 24 && size <= datagram.size()) {
            const std::byte* block = &datagram[at];
            const uint32_t lost = wire::load32(block + 4);
            return ReportBlock{wire::load32(block), static_cast<uint8_t>(lost >> 24),
                               static_cast<int32_t>(lost << 8) >> 8,  // 24 bits with a sign
                               wire::load32(block + 8), wire::load32(block + 12)};
        }
        if (size > datagram.size()) return std::nullopt;
        datagram = datagram.subspan(size);
    }
    return std::nullopt;
}

}  // namespace penstock::rtp
