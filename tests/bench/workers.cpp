// bench-workers: two workers at once against each alone, each on a core of its own with a ring port, its half of the
// streams and a tx queue of a common port, as penstock has it; nothing else runs. One, the other and both take turns of
// a twentieth of a second, so that all meet the same weather. Prints a JSON object a line: what packets cost the first
// one alone, each of them while both run, and how much more both forward than the mean of each alone. Argument:
// seconds.
#include <rte_cycles.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_pause.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <thread>

#include "dataplane/heap.hpp"
#include "samples.hpp"
#include "two_threads.hpp"

namespace {

using namespace penstock;
using namespace penstock::bench;

constexpr uint32_t kFlows = 2000;
constexpr uint16_t kWorkers = 2;
constexpr size_t kFed = 512;  // packets a round

[[noreturn]] void die(const char* what) {
    fmt::print(stderr, "bench-workers: {}\n", what);
    std::exit(1);
}

// One worker with what arrives for it.
struct Lane {
    rte_ring *ring = nullptr, *inbox = nullptr, *shares = nullptr;  // the latter two stay empty
    uint16_t rx = 0;
    std::vector<uint32_t> flows;  // that it owns
    std::vector<uint16_t> next;
    std::unique_ptr<dataplane::Worker> worker;
    uint64_t fed = 0;
    std::array<Samples, 2> cycles;  // alone, and with the other

    void open(const Stage& stage, uint16_t id) {
        const std::string name = fmt::format("lane{}", id);
        ring = rte_ring_create(name.c_str(), 2 * kFed, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
        inbox = rte_ring_create(fmt::format("inbox{}", id).c_str(), kFed, SOCKET_ID_ANY, RING_F_SC_DEQ);
        shares = rte_ring_create(fmt::format("shares{}", id).c_str(), kFed, SOCKET_ID_ANY, RING_F_SC_DEQ);
        const int port = !ring || !inbox || !shares ? -1 : rte_eth_from_rings(name.c_str(), &ring, 1, &ring, 1, 0);
        const rte_eth_conf conf{};
        if (port < 0 || rte_eth_dev_configure(static_cast<uint16_t>(port), 1, 1, &conf) != 0 ||
            rte_eth_rx_queue_setup(static_cast<uint16_t>(port), 0, kFed, 0, nullptr, stage.pools().packet) != 0 ||
            rte_eth_tx_queue_setup(static_cast<uint16_t>(port), 0, kFed, 0, nullptr) != 0 ||
            rte_eth_dev_start(static_cast<uint16_t>(port)) != 0)
            die("no port on a ring");
        rx = static_cast<uint16_t>(port);
    }

    void round(const Stage& stage, uint16_t size, uint32_t fanout, bool together) {
        std::array<rte_mbuf*, kFed> packets;
        const size_t count = std::max<size_t>(kBurst, kFed / fanout);
        stage.take(std::span{packets}.first(count));
        for (size_t i = 0; i < count; i++) {
            const size_t at = i * 7919 % flows.size();
            rte_mbuf* m = packets[i];
            m->data_len = static_cast<uint16_t>(kHeaders + size);
            m->pkt_len = m->data_len;
            write_frame(rte_pktmbuf_mtod(m, std::byte*), size, {address_of(flows[at]), port_of(flows[at])}, flows[at],
                        next[at]++);
        }
        if (rte_ring_sp_enqueue_bulk(ring, reinterpret_cast<void**>(packets.data()), static_cast<unsigned>(count),
                                     nullptr) != count)
            die("the ring is full");
        fed += count;
        const uint64_t start = rte_rdtsc_precise();
        while (rte_ring_count(ring) != 0) worker->turn();
        cycles[together].add(static_cast<double>(rte_rdtsc_precise() - start) / static_cast<double>(count * fanout));
    }
};

void run(const Stage& stage, std::array<Lane, kWorkers>& lanes, const dataplane::Port& sink,
         std::span<const unsigned> cores, uint16_t size, uint32_t fanout, double seconds) {
    const auto mesh = make_mesh(kFlows, fanout, true, Kind::plain, kWorkers);
    dataplane::Qsbr qsbr(kWorkers);
    dataplane::Published<flow::Table> table(qsbr, mesh->compile());
    const dataplane::Published<flow::Capture> capture(qsbr, std::make_unique<const flow::Capture>());
    const dataplane::Published<dataplane::PortSet> ports(qsbr, std::make_unique<const dataplane::PortSet>());
    for (uint16_t id = 0; id < kWorkers; id++) {
        Lane& lane = lanes[id];
        dataplane::WorkerPlan plan;
        plan.id = id;
        plan.rx.emplace_back().ethdev = lane.rx;
        for (int port = 0; port < 2; port++) plan.tx.emplace_back(sink.tx()[id].ethdev, sink.tx()[id].queue, true);
        plan.ports.resize(2);
        for (const Lane& each : lanes) plan.inboxes.push_back(each.inbox), plan.shares.push_back(each.shares);
        plan.pools = stage.pools();
        lane.worker = std::make_unique<dataplane::Worker>(qsbr, table, capture, ports, std::move(plan));
        lane.flows.clear();
        lane.fed = 0;
        lane.cycles = {};
    }
    const auto tracks = mesh->tracks();
    for (const mesh::Track* track : tracks)
        lanes[track->owner].flows.push_back(static_cast<uint32_t>(std::stoul(track->stream)));
    for (Lane& lane : lanes) lane.next.assign(lane.flows.size(), 0);

    const auto turn = rte_get_tsc_hz() / 20;
    const uint64_t begin = rte_rdtsc();
    const uint64_t end = begin + static_cast<uint64_t>(seconds * static_cast<double>(rte_get_tsc_hz()));
    const auto whose = [&](uint64_t now) { return (now - begin) / turn % 3; };  // 2: of both
    const auto play = [&](uint16_t id) {
        for (uint64_t now = rte_rdtsc(); now < end; now = rte_rdtsc()) {
            if (whose(now) == id || whose(now) == 2) {
                lanes[id].round(stage, size, fanout, whose(now) == 2);
            } else {
                rte_delay_us_sleep(100);
            }
        }
    };
    std::thread second([&] {
        run_on(cores[1]);
        if (rte_thread_register() != 0) die("a thread is not registered");  // else the pools give it no cache
        play(1);
        rte_thread_unregister();
    });
    play(0);
    second.join();
    for (Lane& lane : lanes) {
        const flow::Ledger ledger = lane.worker->ledger().read();
        // What is sent beside them is reports to sources.
        if (!ledger.balanced() || ledger.forwarded != lane.fed || ledger.sent != ledger.tx_wanted ||
            ledger.sent < lane.fed * fanout)
            die(fmt::format("fed {}, forwarded {}, sent {}", lane.fed, ledger.forwarded, ledger.sent).c_str());
        lane.worker.reset();
    }
    std::array<double, kWorkers> alone, both;
    for (uint16_t id = 0; id < kWorkers; id++) {
        alone[id] = lanes[id].cycles[0].median();
        both[id] = lanes[id].cycles[1].median();
    }
    const double speedup = 2 * (1 / both[0] + 1 / both[1]) / (1 / alone[0] + 1 / alone[1]);
    fmt::print(R"({{"case": "workers", "subject": "penstock", "size": {}, "fanout": {}, "flows": {}, "cache": "hot", )"
               R"("cycles_median": {:.1f}, "cycles_together": [{:.1f}, {:.1f}], "speedup": {:.3f}}})"
               "\n",
               size, fanout, kFlows, alone[0], both[0], both[1], speedup);
    std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
    dataplane::put_heap_on_huge_pages();  // as penstock does
    const auto cores = two_cores();
    if (argc != 2 || cores.size() < kWorkers) {
        std::fputs(cores.size() < kWorkers ? "bench-workers: needs two cores\n" : "usage: bench-workers SECONDS\n",
                   stderr);
        return 2;
    }
    run_on(cores[0]);
    Log log(Level::error, LogFormat::text);
    const auto stage = Stage::make(log);
    if (!stage) die(stage.error().text.c_str());
    std::array<Lane, kWorkers> lanes;
    for (uint16_t id = 0; id < kWorkers; id++) lanes[id].open(**stage, id);
    dataplane::PortPlan plan;
    plan.name = "common";
    plan.queues = kWorkers;
    const auto sink = dataplane::Port::open(plan, 2, kWorkers, (*stage)->pools(), log);
    if (!sink) die(sink.error().text.c_str());
    for (const uint32_t fanout : {1u, 8u})
        for (const uint16_t size : {uint16_t{200}, uint16_t{1300}})
            run(**stage, lanes, **sink, cores, size, fanout, std::stod(argv[1]) / 4);
    return 0;
}
