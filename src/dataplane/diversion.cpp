// Both ends of the diversion: the workers' (the fifth part of Worker) and the sender thread's.
#include "dataplane/diversion.hpp"

#include <rte_mbuf.h>

#include <array>
#include <cstring>
#include <new>

#include "dataplane/made.hpp"
#include "dataplane/pools.hpp"
#include "dataplane/worker.hpp"

namespace penstock::dataplane {

using flow::Classified;
using flow::Drop;
using flow::Flow;

namespace {

// In the data of a header buffer, in front of the payload's. Where the payload is, too: a copy that leaves in place
// moves the beginning of its buffer.
struct Note {
    uint64_t feed = 0, restarts = 0;
    const std::byte* packet = nullptr;
    uint16_t size = 0;
    bool rtcp = false;
};
static_assert(sizeof(Note) <= kHeaderRoom - RTE_PKTMBUF_HEADROOM);

}  // namespace

// `packet` lies in `m`, whose headers may be written to after this, but not its payload.
void Worker::divert(rte_mbuf* m, std::span<const std::byte> packet, const Flow& f) noexcept {
    ledger_.tx_wanted++;
    if (rte_mbuf* note = rte_pktmbuf_alloc(plan_.pools.header)) [[likely]] {
        new (rte_pktmbuf_mtod(note, void*))
            Note{f.more->feed, f.watched ? f.more->continuity->restarts() : 0, packet.data(),
                 static_cast<uint16_t>(packet.size()), f.kind == flow::Kind::rtcp};
        rte_mbuf_refcnt_update(m, 1);
        note->next = m;
        note->nb_segs = 2;
        if (rte_ring_mp_enqueue(plan_.diversion, note) == 0) [[likely]] {
            ledger_.sent++;
            return;
        }
        rte_pktmbuf_free(note);
    }
    ledger_[Drop::tcp_full]++;
}

// `packet` is not in a buffer that could be shared.
void Worker::divert_kept(std::span<const std::byte> packet, const flow::Flow& f) noexcept {
    rte_mbuf* m = nullptr;
    if (allocate(plan_.pools.packet, {&m, 1}) == 0) [[unlikely]] {
        ledger_.tx_wanted++;
        ledger_[Drop::tcp_full]++;
        return;
    }
    std::memcpy(extend(m, packet.size()), packet.data(), packet.size());
    divert(m, bytes_of(m), f);
    rte_pktmbuf_free(m);
}

size_t Diversion::take(const std::function<void(const flow::Diverted&)>& visit) {
    std::array<rte_mbuf*, 64> notes;
    const unsigned n = rte_ring_sc_dequeue_burst(ring_, reinterpret_cast<void**>(notes.data()),
                                                 static_cast<unsigned>(notes.size()), nullptr);
    for (unsigned i = 0; i < n; i++) {
        const Note& note = *rte_pktmbuf_mtod(notes[i], const Note*);
        visit({note.feed, note.rtcp, note.restarts, {note.packet, note.size}});
    }
    rte_pktmbuf_free_bulk(notes.data(), n);
    return n;
}

}  // namespace penstock::dataplane
