#include "rtp/rtcp/packet.hpp"

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

}  // namespace penstock::rtp
