#include "frame.hpp"

#include <algorithm>

#include "base/wire.hpp"

namespace penstock::gen {
namespace {

constexpr size_t kEthernet = 14, kIp = 20, kUdp = 8;
constexpr uint8_t kUdpProtocol = 17;

// RFC 768: the pseudo header's addresses lie before the UDP header; the sum of a right datagram is 0xffff.
uint16_t udp_sum(const std::byte* addresses, std::span<const std::byte> datagram) noexcept {
    return wire::fold(uint64_t{kUdpProtocol} + datagram.size() + wire::sum16({addresses, 8}) + wire::sum16(datagram));
}

}  // namespace

void write_headers(std::span<std::byte> frame, const Ends& ends) noexcept {
    std::byte* ip = frame.data() + kEthernet;
    std::byte* udp = ip + kIp;
    std::ranges::copy(ends.to_mac.bytes, frame.data());
    std::ranges::copy(ends.from_mac.bytes, frame.data() + 6);
    wire::store16(frame.data() + 12, 0x0800);
    std::fill_n(ip, kIp + kUdp, std::byte{0});
    ip[0] = std::byte{0x45};
    wire::store16(ip + 2, static_cast<uint16_t>(frame.size() - kEthernet));
    ip[8] = std::byte{64};
    ip[9] = std::byte{kUdpProtocol};
    std::ranges::copy(ends.from.ip.wire(), ip + 12);
    std::ranges::copy(ends.to.ip.wire(), ip + 16);
    wire::store16(ip + 10, static_cast<uint16_t>(~wire::sum16({ip, kIp})));
    wire::store16(udp, ends.from.port);
    wire::store16(udp + 2, ends.to.port);
    wire::store16(udp + 4, static_cast<uint16_t>(frame.size() - kEthernet - kIp));
    const auto sum = static_cast<uint16_t>(~udp_sum(ip + 12, frame.subspan(kEthernet + kIp)));
    wire::store16(udp + 6, sum == 0 ? uint16_t{0xffff} : sum);
}

std::optional<Datagram> read_frame(std::span<const std::byte> frame) noexcept {
    if (frame.size() < kUdpHeaders || wire::load16(&frame[12]) != 0x0800 || wire::load8(&frame[14]) != 0x45 ||
        wire::load8(&frame[23]) != kUdpProtocol || (wire::load16(&frame[20]) & 0x3fff) != 0)
        return std::nullopt;
    const size_t size = wire::load16(&frame[38]);
    if (size < kUdp || kEthernet + kIp + size > frame.size()) return std::nullopt;
    const auto datagram = frame.subspan(kEthernet + kIp, size);
    return Datagram{{Ip::v4(frame.subspan<30, 4>()), wire::load16(&datagram[2])},
                    datagram.subspan(kUdp),
                    udp_sum(&frame[26], datagram) == 0xffff && wire::sum16(frame.subspan(kEthernet, kIp)) == 0xffff};
}

}  // namespace penstock::gen
