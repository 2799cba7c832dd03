#include "flow/leg.hpp"

#include <algorithm>

#include "base/wire.hpp"

namespace penstock::flow {

Leg make_leg(const LegPlan& plan, LegState* state, LongHeaders& longer) {
    std::array<std::byte, kMaxHeader> header;
    Leg leg = make_leg(plan, state, header);
    if (leg.header_size != kUsualHeader) {
        const std::byte* elsewhere = longer.emplace_front(header).data();
        std::memcpy(leg.bytes.data(), &elsewhere, sizeof elsewhere);
    }
    return leg;
}

Leg make_leg(const LegPlan& plan, LegState* state, std::array<std::byte, kMaxHeader>& header) noexcept {
    Leg leg;
    leg.state = state;
    leg.tx_port = static_cast<uint8_t>(plan.hop.port);
    leg.mtu = plan.hop.mtu;
    leg.ttl = plan.ttl;
    leg.dscp = plan.dscp;
    leg.rtcp_port = plan.rtcp_port;
    const bool v4 = plan.to.ip.is_v4();
    leg.l3_offset = plan.vlan != 0 ? 18 : 14;

    header = {};
    std::byte* h = header.data();
    std::ranges::copy(plan.hop.mac.bytes, h);
    std::ranges::copy(plan.from.bytes, h + 6);
    if (plan.vlan != 0) {
        wire::store16(h + 12, 0x8100);
        wire::store16(h + 14, plan.vlan);
    }
    wire::store16(h + leg.l3_offset - 2, v4 ? 0x0800 : 0x86dd);

    std::byte* ip = h + leg.l3_offset;
    const auto source = plan.hop.source.wire(), destination = plan.to.ip.wire();
    std::byte* udp;
    if (v4) {
        ip[0] = std::byte{0x45};
        wire::store16(ip + 6, 0x4000);  // DF, so that the identification may stay 0 (RFC 6864)
        ip[9] = std::byte{17};
        std::ranges::copy(source, ip + 12);
        std::ranges::copy(destination, ip + 16);
        udp = ip + 20;
        leg.ip_sum = wire::sum16({ip, 20});
    } else {
        ip[0] = std::byte{0x60};
        ip[6] = std::byte{17};
        std::ranges::copy(source, ip + 8);
        std::ranges::copy(destination, ip + 24);
        udp = ip + 40;
    }
    wire::store16(udp, plan.from_port);
    wire::store16(udp + 2, plan.to.port);
    leg.udp_sum = wire::fold(uint64_t{17} + wire::sum16(source) + wire::sum16(destination) + wire::sum16({udp, 4}));
    leg.header_size = static_cast<uint8_t>(udp + 8 - h);
    if (leg.header_size == kUsualHeader) {
        std::ranges::copy(std::span{header}.first<kUsualHeader>(), leg.bytes.begin());
    } else {
        const std::byte* elsewhere = header.data();
        std::memcpy(leg.bytes.data(), &elsewhere, sizeof elsewhere);
    }
    return leg;
}

Leg rtcp_leg(const Leg& of, std::array<std::byte, kMaxHeader>& room) noexcept {
    Leg leg = of;
    leg.rtcp = true;
    std::byte* header = leg.bytes.data();
    if (leg.header_size != kUsualHeader) {
        header = room.data();
        std::ranges::copy(of.header(), header);
        const std::byte* elsewhere = header;
        std::memcpy(leg.bytes.data(), &elsewhere, sizeof elsewhere);
    }
    std::byte* const udp = header + leg.header_size - 8;
    const uint16_t from = wire::load16(udp), to = wire::load16(udp + 2);
    const auto rtcp_from = static_cast<uint16_t>(from + (to == leg.rtcp_port ? 0 : 1));
    wire::store16(udp, rtcp_from);
    wire::store16(udp + 2, leg.rtcp_port);
    // Subtracting is adding the complement (RFC 1624).
    leg.udp_sum = wire::fold(uint64_t{leg.udp_sum} + static_cast<uint16_t>(~from) + static_cast<uint16_t>(~to) +
                             rtcp_from + leg.rtcp_port);
    return leg;
}

}  // namespace penstock::flow
