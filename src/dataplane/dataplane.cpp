#include "dataplane/dataplane.hpp"

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <utility>

namespace penstock::dataplane {
namespace {

constexpr unsigned kInbox = 2048;   // packets on the way to the worker that owns the track, or that serves some legs
constexpr unsigned kTxRing = 1024;  // packets on the way to the worker that owns the tx queue

struct Launch {
    Worker* worker;
    const std::atomic<bool>* stop;
};

int run_worker(void* argument) {
    const std::unique_ptr<Launch> launch(static_cast<Launch*>(argument));
    launch->worker->run(*launch->stop);
    return 0;
}

}  // namespace

size_t memory_of(unsigned mbufs) {
    return pool_memory(mbufs, kPacketRoom) + pool_memory(mbufs, kHeaderRoom) + (size_t{16} << 20);
}

void Dataplane::FreeRing::operator()(rte_ring* ring) const noexcept {
    void* m = nullptr;
    while (rte_ring_dequeue(ring, &m) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(m));
    rte_ring_free(ring);
}

Dataplane::Dataplane(unsigned workers)
    : qsbr_(workers),
      table_(qsbr_, std::make_unique<const flow::Table>()),
      capture_(qsbr_, std::make_unique<const flow::Capture>()),
      port_sets_(qsbr_, std::make_unique<const PortSet>()) {}

Result<std::unique_ptr<Dataplane>> Dataplane::open(const DataplanePlan& plan, const Eal& eal, Log& log) {
    std::unique_ptr<Dataplane> self(new Dataplane(plan.workers));
    auto packets = make_pool("packets", plan.mbufs, kPacketRoom, eal.hugepages());
    if (!packets) return fail(packets.error().text);
    auto headers = make_pool("headers", plan.mbufs, kHeaderRoom, eal.hugepages());
    if (!headers) return fail(headers.error().text);
    self->packets_ = std::move(*packets);
    self->headers_ = std::move(*headers);
    if (auto opened = self->open_ports(plan, log); !opened) return fail(opened.error().text);
    if (auto made = self->make_workers(plan); !made) return fail(made.error().text);
    return self;
}

Result<void> Dataplane::open_ports(const DataplanePlan& plan, Log& log) {
    for (const PortPlan& port_plan : plan.ports) {
        const auto index = static_cast<uint16_t>(ports_.size());
        auto port =
            Port::open(port_plan, index, static_cast<uint16_t>(plan.workers), {packets_.get(), headers_.get()}, log);
        if (!port) return fail(port.error().text);
        ports_.push_back(std::move(*port));
        twins_.emplace_back();
        if (!port_plan.twin) continue;
        const flow::PortInfo& info = ports_.back()->info();
        auto twin = TapTwin::make(info.netdev, info.mac, info.mtu, packets_.get());
        if (!twin) return fail(fmt::format("port '{}': {}", port_plan.name, twin.error().text));
        twins_.back() = std::move(*twin);
        log.info("port '{}': kernel twin '{}'", port_plan.name, info.netdev);
    }
    return {};
}

Result<rte_ring*> Dataplane::make_ring(const std::string& name, unsigned size) {
    rte_ring* ring = rte_ring_create(name.c_str(), size, SOCKET_ID_ANY, RING_F_SC_DEQ);
    if (ring == nullptr) return fail(fmt::format("ring '{}': {}", name, rte_strerror(rte_errno)));
    rings_.emplace_back(ring);
    return ring;
}

Result<void> Dataplane::make_workers(const DataplanePlan& plan) {
    std::vector<WorkerPlan> plans(plan.workers);
    std::vector<rte_ring*> inboxes, shares, ingest;
    for (unsigned w = 0; w < plan.workers; w++) {
        auto ring = make_ring(fmt::format("ingest-{}", w), Ingest::kRing);
        if (!ring) return fail(ring.error().text);
        ingest.push_back(*ring);
    }
    ingest_ = std::make_unique<Ingest>(packets_.get(), ingest);
    auto diversion = make_ring("diversion", Diversion::kRing);
    if (!diversion) return fail(diversion.error().text);
    diversion_ = std::make_unique<Diversion>(*diversion);
    auto replies = make_ring("replies", Replies::kRing);
    if (!replies) return fail(replies.error().text);
    replies_ = std::make_unique<Replies>(*replies);
    for (unsigned w = 0; plan.workers > 1 && w < plan.workers; w++) {
        for (const auto& [name, rings] : {std::pair{"inbox", &inboxes}, std::pair{"shares", &shares}}) {
            auto ring = make_ring(fmt::format("{}-{}", name, w), kInbox);
            if (!ring) return fail(ring.error().text);
            rings->push_back(*ring);
        }
    }
    std::vector<RxQueue> as_received;
    size_t next = 0;  // rx queues go round the workers
    for (size_t p = 0; p < ports_.size(); p++) {
        const Port& port = *ports_[p];
        const flow::PortInfo& info = port.info();
        RxQueue in{.port = info.index,
                   .partial_checksums = info.partial_checksums,
                   .kernel_has_copy = port.kernel_has_copy(),
                   .twin = twins_[p] ? twins_[p]->to_kernel() : nullptr,
                   .tells_port_vlan = port.tells_port_vlan(),
                   .vlans = port.vlans()};
        as_received.push_back(in);
        for (const DeviceQueue& q : port.rx()) {
            in.ethdev = q.ethdev;
            in.queue = q.queue;
            plans[next++ % plan.workers].rx.push_back(in);
            in.number++;
        }
        const auto& tx = port.tx();
        for (unsigned w = 0; w < plan.workers; w++) {
            if (w < tx.size()) {
                plans[w].tx.emplace_back(tx[w].ethdev, tx[w].queue, info.multi_segment);
                continue;
            }
            const size_t owner = w % tx.size();
            auto ring = make_ring(fmt::format("tx-{}-{}", p, w), kTxRing);
            if (!ring) return fail(ring.error().text);
            plans[w].tx.emplace_back(*ring, info.multi_segment);
            plans[owner].relays.emplace_back(*ring, info.index, owner, tx[owner].ethdev, tx[owner].queue);
        }
        if (!port.packet_sockets().empty()) {
            for (unsigned w = 0; w < plan.workers; w++) {
                plans[w].segmenters.resize(ports_.size());
                plans[w].segmenters[p] = ports_[p]->segmenter(w);
            }
        }
        if (twins_[p]) plans[0].relays.emplace_back(twins_[p]->from_kernel(), info.index, 0, tx[0].ethdev, tx[0].queue);
    }
    RxQueue by_tcp;
    by_tcp.port = static_cast<uint16_t>(ports_.size());
    as_received.push_back(by_tcp);
    for (unsigned w = 0; w < plan.workers; w++) {
        WorkerPlan& worker = plans[w];
        worker.id = static_cast<uint16_t>(w);
        worker.inboxes = inboxes;
        worker.shares = shares;
        worker.ports = as_received;
        worker.ingest = ingest[w];
        worker.diversion = diversion_->ring();
        worker.replies = replies_->ring();
        worker.pools = {packets_.get(), headers_.get()};
        worker.sleep_when_idle = plan.sleep_when_idle;
        workers_.push_back(std::make_unique<Worker>(qsbr_, table_, capture_, port_sets_, std::move(worker)));
    }
    return {};
}

std::optional<uint16_t> Dataplane::queue_of(uint16_t port, uint16_t worker) const {
    for (const RxQueue& q : workers_[worker]->rx())
        if (q.port == port) return q.queue;
    return std::nullopt;
}

std::vector<Dataplane::PoolUse> Dataplane::pools() const {
    std::vector<PoolUse> all;
    for (const rte_mempool* pool : {packets_.get(), headers_.get()})
        all.push_back({pool->name, rte_mempool_avail_count(pool), pool->size});
    return all;
}

void Dataplane::publish_ports() {
    auto set = std::make_unique<PortSet>();
    set->generation = ++port_generation_;
    for (const auto& port : ports_) {
        const bool left = std::ranges::find(leaving_, port->info().index) != leaving_.end();
        set->ports.push_back({.up = port->is_open() && !left,
                              .partial_checksums = port->info().partial_checksums,
                              .rx = port->rx(),
                              .tx = port->tx(),
                              .packet_sockets = {port->packet_sockets().begin(), port->packet_sockets().end()}});
    }
    port_sets_.publish(std::move(set));
}

void Dataplane::leave(uint16_t port) {
    leaving_.push_back(port);
    publish_ports();
}

Result<void> Dataplane::rejoin(uint16_t port, Log& log) {
    if (auto open = ports_[port]->reopen(log); !open) return open;
    if (const auto& twin = twins_[port]) twin->set_mac(ports_[port]->info().mac);
    publish_ports();
    return {};
}

size_t Dataplane::reclaim() {
    if (port_sets_.reclaim() == 0)
        for (const uint16_t port : std::exchange(leaving_, {})) ports_[port]->close();
    capture_.reclaim();
    return table_.reclaim();
}

void Dataplane::start() {
    std::vector<TapTwin*> twins;
    for (const auto& twin : twins_)
        if (twin) twins.push_back(twin.get());
    if (!twins.empty()) twin_thread_ = std::make_unique<TwinThread>(std::move(twins));
    for (const auto& worker : workers_)
        rte_eal_remote_launch(run_worker, new Launch{worker.get(), &stop_}, worker->id() + 1u);
    running_ = true;
}

Dataplane::~Dataplane() {
    stop_.store(true, std::memory_order_relaxed);
    if (running_) rte_eal_mp_wait_lcore();
    twin_thread_.reset();
    workers_.clear();
    twins_.clear();
    rings_.clear();
    ports_.clear();
}

}  // namespace penstock::dataplane
