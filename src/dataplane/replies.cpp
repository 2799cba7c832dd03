// Both ends of the replies: the workers' (the eighth part of Worker) and control's.
#include "dataplane/replies.hpp"

#include <rte_mbuf.h>

#include <array>
#include <cstring>
#include <new>

#include "dataplane/made.hpp"
#include "dataplane/pools.hpp"
#include "dataplane/worker.hpp"

namespace penstock::dataplane {

// In a buffer: first to whom, then the RTCP.
void Worker::reply(const Endpoint& at, std::span<const std::byte> rtcp) noexcept {
    ledger_.tx_wanted++;
    rte_mbuf* m = nullptr;
    if (allocate(plan_.pools.packet, {&m, 1}) != 0) [[likely]] {
        std::byte* const to = extend(m, sizeof at + rtcp.size());
        new (to) Endpoint(at);
        std::memcpy(to + sizeof at, rtcp.data(), rtcp.size());
        if (rte_ring_mp_enqueue(plan_.replies, m) == 0) [[likely]] {
            ledger_.sent++;
            return;
        }
        rte_pktmbuf_free(m);
    }
    ledger_[flow::Drop::tcp_full]++;
}

void Replies::take(const std::function<void(const Endpoint&, std::span<const std::byte>)>& visit) {
    std::array<rte_mbuf*, 64> all;
    while (const unsigned n = rte_ring_sc_dequeue_burst(ring_, reinterpret_cast<void**>(all.data()),
                                                        static_cast<unsigned>(all.size()), nullptr)) {
        for (unsigned i = 0; i < n; i++) {
            const auto bytes = bytes_of(all[i]);
            visit(*rte_pktmbuf_mtod(all[i], const Endpoint*), bytes.subspan(sizeof(Endpoint)));
        }
        rte_pktmbuf_free_bulk(all.data(), n);
    }
}

}  // namespace penstock::dataplane
