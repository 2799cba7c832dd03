// A part of Worker: temporal duplication (RFC 7198). Packets were kept as they left; here they are sent once more when
// their time has come.
#include <array>
#include <cstring>

#include "base/wire.hpp"
#include "dataplane/made.hpp"
#include "dataplane/pools.hpp"
#include "dataplane/worker.hpp"
#include "rtp/rtcp/shift.hpp"

namespace penstock::dataplane {

using flow::Classified;
using flow::Flow;

unsigned Worker::repeat(const flow::Repetition& repetition, unsigned most) noexcept {
    if (repetition.to.legs.empty()) return 0;
    flow::Repeat& repeat = *repetition.repeat;
    Classified like;
    like.ttl = repeat.ttl();
    like.tos = repeat.tos();
    for (unsigned sent = 0; sent < most; sent++) {
        const auto packet = repeat.next(now_);
        if (packet.empty()) return sent;
        std::array<std::byte, 12> head;  // of RTP
        std::memcpy(head.data(), packet.data(), head.size());
        wire::store32(&head[8], flow::Repeat::ssrc_for(wire::load32(&packet[8])));
        repeat.sent.count(packet);
        send_made(repetition.to, head, packet.subspan(head.size()), like);
    }
    return most;
}

// RTCP about the media as it leaves, for those who get it twice. RFC 7198 section 3.1: the duplicate has reports of its
// own, with its own counts and the same CNAME.
void Worker::repeat_rtcp(std::span<const std::byte> rtcp, const Classified& in, const Flow& f) noexcept {
    const flow::Repetition& repetition = *f.more->repetition;
    const uint32_t ssrc = f.ssrc();
    std::array<std::byte, kPacketRoom> room;
    if (rtp::sender_of(rtcp) != ssrc || rtcp.size() > room.size()) return;
    std::memcpy(room.data(), rtcp.data(), rtcp.size());
    const flow::Sent& sent = repetition.repeat->sent;
    rtp::each_restated(rtcp, ssrc, flow::Repeat::ssrc_for(ssrc), sent.packets(), sent.octets(),
                       [&](size_t at, uint32_t word) { wire::store32(&room[at], word); });
    send_made_rtcp(repetition.to, std::span{room}.first(rtcp.size()), in);
}

}  // namespace penstock::dataplane
