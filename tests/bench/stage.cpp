#include "stage.hpp"

#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <sched.h>

#include <cstring>

#include "doctor/read.hpp"

namespace penstock::bench {
namespace {

constexpr unsigned kMbufs = 40960;  // 97 MiB: the headers alone that a round touches are larger than an L2 cache

// So that every page is there and every payload is zero.
void clear_data(rte_mempool*, void*, void* object, unsigned) {
    auto* m = static_cast<rte_mbuf*>(object);
    std::memset(m->buf_addr, 0, m->buf_len);
}

}  // namespace

Result<std::unique_ptr<Stage>> Stage::make(Log& log) {
    std::unique_ptr<Stage> stage(new Stage);
    const auto core = static_cast<unsigned>(sched_getcpu());
    doctor::Facts machine;
    doctor::read_machine("", machine);
    auto eal = dataplane::Eal::start({.control_core = core,
                                      .worker_cores = {},
                                      .memory = size_t{256} << 20,
                                      .free_hugepages = machine.hugepages_within_reach(),
                                      .pci_devices = {}},
                                     log);
    if (!eal) return fail(eal.error().text);
    stage->eal_ = std::move(*eal);
    auto packets = dataplane::make_pool("packets", kMbufs, dataplane::kPacketRoom, stage->eal_->hugepages());
    if (!packets) return fail(packets.error().text);
    auto headers = dataplane::make_pool("headers", kMbufs, dataplane::kHeaderRoom, stage->eal_->hugepages());
    if (!headers) return fail(headers.error().text);
    stage->packets_ = std::move(*packets);
    stage->headers_ = std::move(*headers);
    rte_mempool_obj_iter(stage->packets_.get(), clear_data, nullptr);

    dataplane::PortPlan plan;
    plan.name = "out";
    plan.driver = flow::Driver::null;
    auto sink = dataplane::Port::open(plan, 1, 1, stage->pools(), log);
    if (!sink) return fail(sink.error().text);
    stage->sink_ = std::move(*sink);

    stage->ring_ = rte_ring_create("in", 2 * kBatch, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    stage->by_tcp_ = rte_ring_create("by_tcp", kBatch, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    if (stage->ring_ == nullptr || stage->by_tcp_ == nullptr) return fail("no memory for a ring");
    const int rx = rte_eth_from_rings("in", &stage->ring_, 1, &stage->ring_, 1, 0);
    if (rx < 0) return fail("no port on a ring");
    stage->rx_ = static_cast<uint16_t>(rx);
    const rte_eth_conf conf{};
    if (rte_eth_dev_configure(stage->rx_, 1, 1, &conf) != 0 ||
        rte_eth_rx_queue_setup(stage->rx_, 0, kBatch, 0, nullptr, stage->packets_.get()) != 0 ||
        rte_eth_tx_queue_setup(stage->rx_, 0, kBatch, 0, nullptr) != 0 || rte_eth_dev_start(stage->rx_) != 0)
        return fail("the port on a ring does not start");
    return stage;
}

void Stage::take(std::span<rte_mbuf*> into) const {
    // Past the cache of the pool, which would give back what was freed last.
    if (rte_mempool_generic_get(packets_.get(), reinterpret_cast<void**>(into.data()),
                                static_cast<unsigned>(into.size()), nullptr) != 0)
        rte_panic("the packet pool is empty\n");
    for (rte_mbuf* m : into) rte_pktmbuf_reset(m);
}

void Stage::prepare(std::span<rte_mbuf*> into, Traffic& traffic, uint16_t payload) const {
    take(into);
    for (rte_mbuf* m : into) {
        m->data_len = static_cast<uint16_t>(kHeaders + payload);
        m->pkt_len = m->data_len;
        traffic.write_next(rte_pktmbuf_mtod(m, std::byte*), payload);
    }
}

void Stage::feed(std::span<rte_mbuf* const> packets) const {
    const auto count = static_cast<unsigned>(packets.size());
    if (rte_ring_sp_enqueue_bulk(ring_, reinterpret_cast<void* const*>(packets.data()), count, nullptr) != count)
        rte_panic("a subject left packets in the ring\n");
}

size_t Stage::offer(std::span<rte_mbuf* const> packets) const {
    return rte_ring_sp_enqueue_burst(ring_, reinterpret_cast<void* const*>(packets.data()),
                                     static_cast<unsigned>(packets.size()), nullptr);
}

bool Stage::waiting() const { return rte_ring_count(ring_) != 0; }

uint64_t Stage::sent() const {
    rte_eth_stats stats{};
    rte_eth_stats_get(tx(), &stats);
    return stats.opackets;
}

}  // namespace penstock::bench
