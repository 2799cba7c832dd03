// Any datagram: what is called RTCP is a chain of packets that fill it exactly, and nothing that is read of them lies
// outside of it. Also of what is not called so.
#include "rtp/rtcp/packet.hpp"

#include "expect.hpp"
#include "rtp/rtcp/description.hpp"
#include "rtp/rtcp/extended.hpp"
#include "rtp/rtcp/feedback.hpp"
#include "rtp/rtcp/report.hpp"

using namespace penstock::rtp;

namespace {

size_t read(std::span<const std::byte> datagram) {
    size_t read = 0, numbers = 0;
    each_packet(datagram, [&](const RtcpPacket& packet) {
        EXPECT(packet.body.empty() || (packet.body.data() >= datagram.data() &&
                                       packet.body.data() + packet.body.size() <= datagram.data() + datagram.size()));
        read += packet.body.size() + 4;
        sender_info(packet);
        each_report(packet, [](const ReportBlock& block) { EXPECT(block.lost >= -0x800000 && block.lost < 0x800000); });
        each_item(packet, [&](uint32_t, uint8_t type, std::string_view text) {
            EXPECT(type != 0 && text.size() < packet.body.size());
        });
        each_leaving(packet, [](uint32_t) {});
        reason_of(packet);
        if (const auto nack = feedback(packet, RtcpType::rtpfb, kNack))
            each_number(*nack, [&](uint16_t) { numbers++; });
        asks_key_frame(packet, 1);
        reference_time(packet);
        each_since_reference(packet, [&](const SinceReference&) { numbers++; });
    });
    EXPECT(numbers <= datagram.size() / 4 * 17);
    return read;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const size_t seen = read(input(data, size));
    EXPECT(seen <= size);
    if (!valid_rtcp(input(data, size))) return 0;
    EXPECT(size >= 4 && size % 4 == 0 && data[1] >= 200 && data[1] <= 207);
    size_t at = 0;
    while (at < size) {
        EXPECT(data[at] >> 6 == 2);
        const size_t length = 4 * (size_t{data[at + 2]} << 8 | data[at + 3]) + 4;
        if ((data[at] & 0x20) != 0) EXPECT(at + length == size && data[size - 1] + 4u <= length);
        at += length;
    }
    EXPECT(at == size);
    return 0;
}
