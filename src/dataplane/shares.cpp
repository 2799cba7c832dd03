// The third part of Worker: a packet of a track with very many legs. Its owner validates it, counts it and makes the
// copies of its own shard; each other shard's worker gets a message with a reference to the payload and makes the rest.
//
// The message names the flow by its key: the flow itself may be gone, its grace period over, when it is read.
#include <array>
#include <new>

#include "dataplane/pools.hpp"
#include "dataplane/worker.hpp"

namespace penstock::dataplane {

using flow::Drop;

namespace {

// In the data of a header buffer, in front of the payload's.
struct Share {
    flow::Classified in;
    flow::PayloadSum sum;
    flow::Key key;  // of the flow; RTCP has another
    Ip sender;
    uint16_t rx_port = 0;
    flow::Audience audience = flow::Audience::all;
    bool rtcp = false;
    uint32_t legs = 0;  // in the shard, as the owner saw it
};
static_assert(sizeof(Share) <= kHeaderRoom - RTE_PKTMBUF_HEADROOM);

}  // namespace

void Worker::share_out(rte_mbuf* payload, const flow::Classified& in, const flow::Flow& f, flow::PayloadSum sum,
                       flow::Audience audience) noexcept {
    const bool rtcp = f.kind == flow::Kind::rtcp;
    const auto full = [&](std::span<const flow::Leg> legs) { refuse(legs, Drop::shard_full, payload, in, sum); };
    for (const flow::Shard& shard : f.rendition->others()) {
        const flow::Legs legs = f.rendition->legs_of(shard, audience);
        const auto count = static_cast<uint32_t>(legs.size());
        if (count == 0) continue;
        if (rte_mbuf* m = rte_pktmbuf_alloc(plan_.pools.header)) [[likely]] {
            new (rte_pktmbuf_mtod(m, void*)) Share{in, sum, f.key, f.sender, f.rx_port, audience, rtcp, count};
            rte_mbuf_refcnt_update(payload, 1);
            m->next = payload;
            m->nb_segs = 2;
            if (rte_ring_mp_enqueue(plan_.shares[shard.worker], m) == 0) [[likely]] {
                ledger_.shared_out++;
                continue;
            }
            rte_pktmbuf_free(m);
        }
        ledger_.tx_wanted += count;
        for (const auto part : {legs.shareable, legs.others}) rtcp ? flow::each_rtcp_leg(part, full) : full(part);
    }
}

void Worker::serve_shares() noexcept {
    std::array<rte_mbuf*, kBurst> burst;
    const unsigned n =
        rte_ring_sc_dequeue_burst(plan_.shares[plan_.id], reinterpret_cast<void**>(burst.data()), kBurst, nullptr);
    moved_ |= n != 0;
    if (tap_ != nullptr && n != 0) [[unlikely]]
        tap_->begin(clock_now());
    for (rte_mbuf* m : std::span{burst}.first(n)) {
        const Share& share = *rte_pktmbuf_mtod(m, const Share*);
        const flow::Flow* f = table_->find(share.key, share.sender, share.rx_port);
        const flow::Shard* mine = nullptr;
        if (f != nullptr)
            for (const flow::Shard& shard : f->rendition->others())
                if (shard.worker == plan_.id) mine = &shard;
        if (mine != nullptr) [[likely]] {
            const flow::Legs legs = f->rendition->legs_of(*mine, share.audience);
            if (share.rtcp) {
                for (const auto part : {legs.shareable, legs.others}) send_rtcp(m->next, share.in, part, share.sum);
            } else {
                ledger_.tx_wanted += legs.size();
                send(m->next, share.in, *f->rendition, *mine, share.sum, share.audience);
            }
        } else {
            ledger_.tx_wanted += share.legs;
            ledger_[Drop::leg_gone] += share.legs;
        }
        rte_pktmbuf_free(m);
    }
}

}  // namespace penstock::dataplane
