// A part of Worker: packets that no leg gets. They go to the kernel, to the worker that owns their track, or nowhere.
#include <rte_ether.h>

#include "base/wire.hpp"
#include "dataplane/worker.hpp"
#include "rtp/clock.hpp"
#include "rtp/header.hpp"
#include "rtp/mux.hpp"

namespace penstock::dataplane {

using flow::Classified;
using flow::Drop;
using flow::Flow;

// A stream's packet while forwarding is stopped: its reception goes on being counted, that nobody may think it was lost
// on the way to us.
bool Worker::held_back(const RxQueue& from, rte_mbuf* m, const Classified& in) noexcept {
    const Flow* f = table_->held_back(in.hash, in.key, from.port, [&] { return flow::sender_of(bytes_of(m), in); });
    if (f == nullptr) return false;
    if (f->owner != plan_.id) return hand_over(from, m, *f), true;
    if (f->kind == flow::Kind::by_ssrc)
        if (const Flow* const path = flow_by_ssrc(m, in, *f)) f = path;
    const auto payload = bytes_of(m).subspan(in.payload_offset, in.payload_size);
    if (f->kind == flow::Kind::feedback) return hear(from, m, in, *f), true;
    if (const auto header = rtp::Header::parse(payload);
        header && f->kind == flow::Kind::rtp && in.key.port == f->key.port &&
        rtp::protocol_of(payload) == rtp::Protocol::rtp &&
        (f->payload_type == Flow::kAnyPayloadType || header->payload_type() == f->payload_type))
        f->path->reception.receive(header->sequence(), header->timestamp(), header->ssrc(), in.payload_size, now_,
                                   rtp::in_rtp_units(now_, f->clock_rate), f->clock_rate);
    drop(m, Drop::stopped, f);
    return true;
}

// UDP that no stream asked for. On media ports it is a stray media packet; on others the kernel may have a use for it.
void Worker::no_flow(const RxQueue& from, rte_mbuf* m, const Classified& in) noexcept {
    if (held_back(from, m, in)) return;
    const bool media = table_->media().contains(in.key.port);
    if (!media && from.twin != nullptr) return punt(from, m);
    if (!media && from.kernel_has_copy) {
        ledger_.left_to_kernel++;
        return rte_pktmbuf_free(m);
    }
    drop(m, Drop::no_flow);
}

void Worker::punt(const RxQueue& from, rte_mbuf* m) noexcept {
    if ((m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0) {  // the kernel wants the tag that the NIC took off
        if (rte_vlan_insert(&m) != 0) return drop(m, Drop::twin_full);
        m->ol_flags &= ~RTE_MBUF_F_RX_VLAN;
    }
    if (rte_ring_mp_enqueue(from.twin, m) != 0) return drop(m, Drop::twin_full);
    ledger_.punted++;
}

void Worker::drop(rte_mbuf* m, Drop why, const Flow* of) noexcept {
    if (tap_ != nullptr) [[unlikely]]
        capture_drop(m, why, of);
    ledger_[why]++;
    rte_pktmbuf_free(m);
}

void Worker::hand_over(const RxQueue& from, rte_mbuf* m, const Flow& f) noexcept {
    m->port = from.port;  // the owner reads there by which port it came
    if (rte_ring_mp_enqueue(plan_.inboxes[f.owner], m) != 0) return drop(m, Drop::handover_full, &f);
    ledger_.handed_over++;
}

}  // namespace penstock::dataplane
