#include "dataplane/lab.hpp"

#include <fmt/format.h>
#include <rte_dev.h>
#include <rte_mempool.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <cstring>
#include <filesystem>

namespace penstock::test {
namespace {

using dataplane::Eal;

// DPDK's environment, once a process, as any user: its runtime directory is one of ours.
void start_eal() {
    struct Environment {
        Environment() : log(Level::error, LogFormat::text) {
            std::string pattern = std::filesystem::temp_directory_path() / "penstock-test-XXXXXX";
            directory = mkdtemp(pattern.data());
            setenv("XDG_RUNTIME_DIR", directory.c_str(), 1);
            dataplane::EalPlan plan;
            plan.hugepages = dataplane::Hugepages::off;
            plan.control_core = static_cast<unsigned>(sched_getcpu());
            cpu_set_t cores;  // EAL pins this thread; those that the tests start shall run where they can
            sched_getaffinity(0, sizeof cores, &cores);
            auto started = Eal::start(plan, log);
            if (!started) throw std::runtime_error(started.error().text);
            eal = std::move(*started);
            sched_setaffinity(0, sizeof cores, &cores);
        }
        ~Environment() {
            eal.reset();
            std::filesystem::remove_all(directory);
        }
        Log log;
        std::filesystem::path directory;
        std::unique_ptr<Eal> eal;
    };
    static const Environment environment;
}

unsigned started_labs = 0;

// Catch's assertions are for one thread; these steps may be a worker thread's.
void must(bool done, const char* what) {
    if (!done) throw std::runtime_error(what);
}

}  // namespace

Lab::Lab(LabPlan plan) : id_((start_eal(), started_labs++)), plan_(std::move(plan)), qsbr_(plan_.workers) {
    packets_ = dataplane::make_pool(fmt::format("packets{}", id_), plan_.mbufs, dataplane::kPacketRoom, false).value();
    headers_ = dataplane::make_pool(fmt::format("headers{}", id_), plan_.mbufs, dataplane::kHeaderRoom, false).value();
    pools_ = {packets_.get(), headers_.get()};
    published_ = std::make_unique<dataplane::Published<flow::Table>>(qsbr_, std::make_unique<const flow::Table>());
    captures_ = std::make_unique<dataplane::Published<flow::Capture>>(qsbr_, std::make_unique<const flow::Capture>());
    port_sets_ =
        std::make_unique<dataplane::Published<dataplane::PortSet>>(qsbr_, std::make_unique<const dataplane::PortSet>());
    for (const LabPort& port : plan_.ports) make_port(port);
    for (const Wires& port : ports_) {
        dataplane::PortQueues queues;
        for (uint16_t w = 0; w < plan_.workers; w++) queues.rx.push_back({port.ethdev, w});
        queues.tx = queues.rx;
        queues.packet_sockets = port.sockets;
        set_.ports.push_back(std::move(queues));
    }

    std::vector<rte_ring*> inboxes, shares, ingest;
    for (unsigned w = 0; w < plan_.workers; w++) ingest.push_back(ring(plan_.ingest));
    ingest_ = std::make_unique<dataplane::Ingest>(packets_.get(), ingest);
    diversion_ = std::make_unique<dataplane::Diversion>(ring(plan_.diversion));
    replies_ = std::make_unique<dataplane::Replies>(ring(plan_.replies));
    for (unsigned w = 0; plan_.workers > 1 && w < plan_.workers; w++) {
        inboxes.push_back(ring(plan_.inbox));
        shares.push_back(ring(plan_.shares));
    }
    std::vector<dataplane::WorkerPlan> plans(plan_.workers);
    for (uint16_t p = 0; p < ports_.size(); p++) {
        const LabPort& port = plan_.ports[p];
        for (uint16_t w = 0; w < plan_.workers; w++) {
            dataplane::RxQueue in;
            in.ethdev = ports_[p].ethdev;
            in.queue = in.number = w;
            in.port = p;
            in.partial_checksums = port.partial_checksums;
            in.kernel_has_copy = port.kernel_has_copy;
            in.twin = ports_[p].twin;
            in.tells_port_vlan = port.vlans.has_value();
            if (port.vlans) in.vlans = *port.vlans;
            plans[w].rx.push_back(in);
            if (w == 0)
                for (auto& of : plans) of.ports.push_back(in);
            plans[w].segmenters.resize(ports_.size());
            if (port.trains_from != 0)
                plans[w].segmenters[p] = std::make_unique<dataplane::Segmenter>(ports_[p].sockets[w], port.trains_from,
                                                                                ports_[p].counters[w]);
            if (w == 0 || !port.relayed) {
                plans[w].tx.emplace_back(ports_[p].ethdev, w, true);
            } else {
                rte_ring* to_owner = ring(plan_.relay);
                plans[w].tx.emplace_back(to_owner, true);
                plans[0].relays.emplace_back(to_owner, p, 0, ports_[p].ethdev, uint16_t{0});
            }
        }
    }
    dataplane::RxQueue by_tcp;
    by_tcp.port = static_cast<uint16_t>(ports_.size());
    for (uint16_t w = 0; w < plan_.workers; w++) {
        plans[w].ports.push_back(by_tcp);
        plans[w].ingest = ingest[w];
        plans[w].diversion = diversion_->ring();
        plans[w].replies = replies_->ring();
        plans[w].id = w;
        plans[w].inboxes = inboxes;
        plans[w].shares = shares;
        plans[w].pools = pools_;
        plans[w].sleep_when_idle = plan_.sleep_when_idle;
        workers_.push_back(
            std::make_unique<dataplane::Worker>(qsbr_, *published_, *captures_, *port_sets_, std::move(plans[w])));
    }
}

Lab::~Lab() {
    run();
    for (const auto& worker : workers_) CHECK(worker->ledger().read().balanced());
    for (uint16_t p = 0; p < ports_.size(); p++) {
        for (unsigned w = 0; w < plan_.workers; w++) sent(p, w);
        for (const auto* ends : {&ports_[p].sockets, &ports_[p].kernel})
            for (const int fd : *ends) close(fd);
        if (ports_[p].twin != nullptr) punted(p);
    }
    diverted();
    CHECK(buffers_out() == 0);
    workers_.clear();
    published_.reset();
    captures_.reset();
    port_sets_.reset();
    for (const Wires& port : ports_) {
        rte_eth_dev_stop(port.ethdev);
        rte_eal_hotplug_remove("vdev", port.name.c_str());
    }
    for (rte_ring* r : rings_) rte_ring_free(r);
}

rte_ring* Lab::ring(unsigned size) {
    rte_ring* made =
        rte_ring_create(fmt::format("lab{}-{}", id_, rings_.size()).c_str(), size, SOCKET_ID_ANY, RING_F_SC_DEQ);
    REQUIRE(made != nullptr);
    rings_.push_back(made);
    return made;
}

void Lab::make_port(const LabPort& plan) {
    Wires port;
    for (unsigned w = 0; w < plan_.workers; w++) {
        port.in.push_back(ring(1024));
        port.out.push_back(ring(plan.wire));
    }
    if (plan.twin) port.twin = ring(plan_.twin);
    port.counters = std::vector<dataplane::SegmenterCounters>(plan_.workers);
    for (unsigned w = 0; plan.trains_from != 0 && w < plan_.workers; w++) {  // as a packet socket: by message
        int ends[2];
        REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
        if (plan.socket_buffer != 0)
            REQUIRE(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &plan.socket_buffer, sizeof plan.socket_buffer) == 0);
        port.sockets.push_back(ends[0]);
        port.kernel.push_back(ends[1]);
    }
    const std::string name = fmt::format("{}_{}", id_, ports_.size());
    const int ethdev =
        rte_eth_from_rings(name.c_str(), port.in.data(), plan_.workers, port.out.data(), plan_.workers, 0);
    REQUIRE(ethdev >= 0);
    port.name = "net_ring_" + name;
    port.ethdev = static_cast<uint16_t>(ethdev);
    const rte_eth_conf conf{};
    const auto queues = static_cast<uint16_t>(plan_.workers);
    REQUIRE(rte_eth_dev_configure(port.ethdev, queues, queues, &conf) == 0);
    for (uint16_t q = 0; q < queues; q++) {
        REQUIRE(rte_eth_rx_queue_setup(port.ethdev, q, 0, 0, nullptr, packets_.get()) == 0);
        REQUIRE(rte_eth_tx_queue_setup(port.ethdev, q, 0, 0, nullptr) == 0);
    }
    REQUIRE(rte_eth_dev_start(port.ethdev) == 0);
    ports_.push_back(std::move(port));
}

void Lab::publish(std::vector<flow::FlowPtr> flows, bool stopped) {
    auto table = std::make_unique<flow::Table>(flow::PortRange{20000, 29999}, flows);
    table->set_stopped(stopped);
    published_->publish(std::move(table));
    published_->reclaim();
}

void Lab::port_up(uint16_t port, bool up) {
    set_.generation++;
    set_.ports[port].up = up;
    port_sets_->publish(std::make_unique<const dataplane::PortSet>(set_));
}

rte_mbuf* Lab::mbuf(std::span<const std::byte> frame, uint16_t headroom) {
    rte_mbuf* m = rte_pktmbuf_alloc(packets_.get());
    must(m != nullptr, "no buffer left");
    m->data_off = headroom;
    auto* to = rte_pktmbuf_append(m, static_cast<uint16_t>(frame.size()));
    must(to != nullptr, "the frame is longer than a buffer");
    if (!frame.empty()) std::memcpy(to, frame.data(), frame.size());
    return m;
}

void Lab::arrive(rte_mbuf* m, uint16_t port, unsigned worker) {
    must(rte_ring_enqueue(ports_[port].in[worker], m) == 0, "the wire in is full");
}

bool Lab::turn(unsigned worker) {
    const bool moved = workers_[worker]->turn();
    if (!workers_[worker]->ledger().read().balanced()) FAIL("the ledger of worker " << worker << " does not balance");
    return moved;
}

void Lab::run() {
    for (bool moved = true; moved;) {
        moved = false;
        for (unsigned w = 0; w < plan_.workers; w++) moved |= turn(w);
    }
}

std::vector<Sent> Lab::taken(rte_ring* from) {
    std::vector<Sent> all;
    void* next = nullptr;
    while (rte_ring_dequeue(from, &next) == 0) {
        auto* m = static_cast<rte_mbuf*>(next);
        Sent out{{}, m->nb_segs};
        for (const rte_mbuf* s = m; s != nullptr; s = s->next) append(out.frame, dataplane::bytes_of(s));
        must(out.frame.size() == m->pkt_len, "the segments are not as long as the packet");
        must(m->ol_flags == 0, "a copy asks the driver for an offload");
        rte_pktmbuf_free(m);
        all.push_back(std::move(out));
    }
    return all;
}

std::vector<Sent> Lab::sent(uint16_t port, unsigned worker) { return taken(ports_[port].out[worker]); }
std::vector<SentBySocket> Lab::sent_by_socket(uint16_t port, unsigned worker) {
    std::vector<SentBySocket> all;
    Bytes message(size_t{1} << 17);
    for (;;) {
        const ssize_t size = recv(ports_[port].kernel[worker], message.data(), message.size(), 0);
        if (size <= 0) return all;
        SentBySocket& one = all.emplace_back();
        const auto bytes = std::span{message}.first(static_cast<size_t>(size));
        must(bytes.size() > sizeof one.how, "no header of virtio");
        std::memcpy(&one.how, bytes.data(), sizeof one.how);
        append(one.frame, bytes.subspan(sizeof one.how));
    }
}

std::vector<Sent> Lab::punted(uint16_t port) { return taken(ports_[port].twin); }

std::vector<Lab::Diverted> Lab::diverted() {
    std::vector<Diverted> all;
    const auto visit = [&](const flow::Diverted& d) {
        all.push_back({d.feed, d.rtcp, {d.packet.begin(), d.packet.end()}});
    };
    while (diversion_->take(visit) != 0) {
    }
    return all;
}

std::vector<Lab::Reply> Lab::replies() {
    std::vector<Reply> all;
    replies_->take([&](const Endpoint& at, std::span<const std::byte> rtcp) {
        all.push_back({at, {rtcp.begin(), rtcp.end()}});
    });
    return all;
}

size_t Lab::buffers_out() const {
    return rte_mempool_in_use_count(packets_.get()) + rte_mempool_in_use_count(headers_.get());
}

}  // namespace penstock::test
