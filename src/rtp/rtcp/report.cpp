#include "rtp/rtcp/report.hpp"

namespace penstock::rtp {

std::optional<SenderInfo> sender_info(const RtcpPacket& packet) noexcept {
    if (packet.type != RtcpType::sr || packet.body.size() < 24) return std::nullopt;
    const std::byte* p = packet.body.data();
    return SenderInfo{wire::load32(p), uint64_t{wire::load32(p + 4)} << 32 | wire::load32(p + 8), wire::load32(p + 12),
                      wire::load32(p + 16), wire::load32(p + 20)};
}

std::optional<ReportBlock> report_on(uint32_t ssrc, std::span<const std::byte> datagram) noexcept {
    std::optional<ReportBlock> report;
    each_packet(datagram, [&](const RtcpPacket& packet) {
        each_report(packet, [&](const ReportBlock& block) {
            if (!report || (block.ssrc == ssrc && report->ssrc != ssrc)) report = block;
        });
    });
    return report;
}

}  // namespace penstock::rtp
