// A part of Worker: RTCP of a source, to all who get its media. The legs that it goes by are made of those of RTP for
// the packet, and it is small: whatever the port can, each receiver gets a copy.
#include <cstring>

#include "base/wire.hpp"
#include "dataplane/made.hpp"
#include "dataplane/pools.hpp"
#include "dataplane/worker.hpp"

namespace penstock::dataplane {

using flow::Audience;
using flow::Classified;
using flow::Flow;
using flow::Leg;

void Worker::replicate_rtcp(const RxQueue& from, rte_mbuf* m, const Classified& in, const Flow& f,
                            Audience audience) noexcept {
    if (f.diverted && audience != Audience::outputs)
        divert(m, bytes_of(m).subspan(in.payload_offset, in.payload_size), f);
    if (f.leg_count == 0 && f.joining().empty() && !f.spread) {
        if (!f.diverted) return nobody_else(m, f);
        ledger_.forwarded++;
        return rte_pktmbuf_free(m);
    }
    ledger_.forwarded++;
    const auto sum = unwrap(from, m, in, f.needs_checksum);
    deliver_rtcp(m, in, f, sum, audience);
}

// The mbuf holds the payload alone.
void Worker::deliver_rtcp(rte_mbuf* m, const Classified& in, const Flow& f, flow::PayloadSum sum,
                          Audience audience) noexcept {
    if (!trains_.empty()) send_trains();  // the last of it may say BYE
    if (f.spread) share_out(m, in, f, sum, audience);
    const flow::Legs legs = f.rendition->legs_of(f.rendition->shards[0], audience);
    send_rtcp(m, in, legs.shareable, sum);
    send_rtcp(m, in, legs.others, sum);
    if (audience != Audience::outputs) send_rtcp(m, in, f.joining(), sum);
    rte_pktmbuf_free(m);
}

// The payload stays as it is.
void Worker::send_rtcp(rte_mbuf* payload, const Classified& in, std::span<const Leg> legs,
                       flow::PayloadSum sum) noexcept {
    ledger_.tx_wanted += legs.size();
    flow::each_rtcp_leg(legs, [&](std::span<const Leg> made) { send_copies(payload, in, made, sum); });
}

// RTCP of our own making, in the source's name.
void Worker::send_made_rtcp(const flow::Rendition& to, std::span<const std::byte> rtcp, const Classified& in) noexcept {
    rte_mbuf* m = nullptr;
    if (allocate(plan_.pools.packet, {&m, 1}) == 0) [[unlikely]] {
        ledger_.tx_wanted += to.legs.size();
        return refuse(to.legs, flow::Drop::no_buffer, nullptr, in, {});
    }
    std::memcpy(extend(m, rtcp.size()), rtcp.data(), rtcp.size());
    send_rtcp(m, made(in, rtcp.size()), to.legs, {wire::sum16(rtcp), true});
    rte_pktmbuf_free(m);
}

}  // namespace penstock::dataplane
