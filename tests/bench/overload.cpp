// bench-overload: what is left of a worker's goodput when twice as much arrives as it can forward, how it is spread
// over the streams, and how soon a change of the table is in force meanwhile. The worker has one core; on the other,
// packets of random streams arrive at a rate, and where its rx ring is full they are dropped, as a NIC does. Offered
// are 90, 100, 110 and 200 % of what it forwards when there is always something waiting, by turns of a fiftieth of a
// second; the peak is the most of the first three. Prints a JSON object a line. Argument: seconds.
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_pause.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <thread>

#include "dataplane/heap.hpp"
#include "samples.hpp"
#include "two_threads.hpp"

namespace {

using namespace penstock;
using namespace penstock::bench;
using namespace std::chrono_literals;

constexpr uint32_t kFlows = 1000, kWatched = 100;  // packets are of these
constexpr uint32_t kFanout = 16;                   // so that who makes the packets can make twice as many
constexpr uint16_t kPayload = 200;
constexpr std::array kOffered{0.9, 1.0, 1.1, 2.0};  // of what is forwarded when the ring is never empty
constexpr size_t kTwice = kOffered.size() - 1;
constexpr auto kBetweenChanges = 5ms;

[[noreturn]] void die(const char* what) {
    fmt::print(stderr, "bench-overload: {}\n", what);
    std::exit(1);
}

// What arrives, and the control side: the thread beside the worker's.
class Arrivals {
public:
    Arrivals(const Stage& stage, Forwarding& to)
        : stage_(stage), to_(to), traffic_(kWatched), changer_(to, kFlows, kFanout, kWatched) {}

    // So many packets a cycle for a turn; says what was forwarded a cycle meanwhile.
    double offer(double rate, uint64_t turn, bool change) {
        const uint64_t start = rte_rdtsc(), before = forwarded();
        uint64_t now = start;
        for (uint64_t offered = 0; now - start < turn; now = rte_rdtsc()) {
            if (change) change_now_and_then();
            const auto due = static_cast<uint64_t>(static_cast<double>(now - start) * rate);
            if (due - offered < kBurst) {
                rte_pause();
                continue;
            }
            std::array<rte_mbuf*, kBurst> packets;
            stage_.prepare(packets, traffic_, kPayload);
            const size_t taken = stage_.offer(packets);
            rte_pktmbuf_free_bulk(packets.data() + taken, static_cast<unsigned>(kBurst - taken));
            offered += kBurst;
            refused_ += kBurst - taken;
            offered_ += kBurst;
        }
        return static_cast<double>(forwarded() - before) / static_cast<double>(now - start);
    }
    uint64_t offered() const { return offered_; }
    uint64_t refused() const { return refused_; }
    std::vector<double> changes_ms;  // until every worker went by the new table

private:
    uint64_t forwarded() const { return to_.worker.ledger().read().forwarded; }
    void change_now_and_then() {
        const auto now = std::chrono::steady_clock::now();
        if (pending_) {
            if (to_.table.reclaim() != 0) return;
            changes_ms.push_back(std::chrono::duration<double, std::milli>(now - changed_).count());
            pending_ = false;
        }
        if (now - changed_ < kBetweenChanges) return;
        changed_ = now;
        changer_.change();
        pending_ = true;
    }

    const Stage& stage_;
    Forwarding& to_;
    Traffic traffic_;
    Changer changer_;
    uint64_t offered_ = 0, refused_ = 0;
    bool pending_ = false;
    std::chrono::steady_clock::time_point changed_{};
};

// Jain's index: 1 when all fare alike.
double fairness(const mesh::Mesh& mesh, std::span<const uint64_t> before) {
    double sum = 0, squares = 0;
    for (uint32_t flow = 0; flow < kWatched; flow++) {
        const auto& counters = mesh.stream(std::to_string(flow))->tracks[0]->paths[0].state->reception.counters();
        const auto n = static_cast<double>(counters.packets.read() - before[flow]);
        sum += n;
        squares += n * n;
    }
    return sum * sum / (kWatched * squares);
}

}  // namespace

int main(int argc, char** argv) {
    dataplane::put_heap_on_huge_pages();  // as penstock does
    const auto cores = two_cores();
    if (argc != 2 || cores.size() < 2) {
        std::fputs(cores.size() < 2 ? "bench-overload: needs two cores\n" : "usage: bench-overload SECONDS\n", stderr);
        return 2;
    }
    run_on(cores[0]);
    Log log(Level::error, LogFormat::text);
    const auto stage = Stage::make(log);
    if (!stage) die(stage.error().text.c_str());
    Forwarding forwarding(**stage, kFlows, kFanout);
    std::atomic<bool> stop = false;
    std::thread worker([&] {
        run_on(cores[1]);
        if (rte_thread_register() != 0) die("a thread is not registered");  // else the pools give it no cache
        forwarding.worker.run(stop);
        rte_thread_unregister();
    });
    Arrivals arrivals(**stage, forwarding);
    const auto turn = rte_get_tsc_hz() / 50;
    Samples full;  // more than it can do
    for (unsigned n = 0; n < 10; n++) full.add(arrivals.offer(1.0 / 20, turn, false));
    const double capacity = full.median();
    std::vector<uint64_t> before(kWatched);
    for (uint32_t flow = 0; flow < kWatched; flow++)
        before[flow] = forwarding.mesh->stream(std::to_string(flow))
                           ->tracks[0]
                           ->paths[0]
                           .state->reception.counters()
                           .packets.read();

    std::array<Samples, kOffered.size()> goodput;
    const uint64_t end =
        rte_rdtsc() + static_cast<uint64_t>(std::stod(argv[1]) * static_cast<double>(rte_get_tsc_hz()));
    uint64_t offered = 0, refused = 0;
    while (rte_rdtsc() < end || goodput[kTwice].count() < 3)
        for (size_t i = 0; i < kOffered.size(); i++) {
            const uint64_t o = arrivals.offered(), r = arrivals.refused();
            goodput[i].add(arrivals.offer(kOffered[i] * capacity, turn, true));
            if (i == kTwice) offered += arrivals.offered() - o, refused += arrivals.refused() - r;
        }
    const double fair = fairness(*forwarding.mesh, before);
    while ((*stage)->waiting()) rte_pause();
    rte_delay_us_sleep(1000);
    stop = true;
    worker.join();
    forwarding.table.reclaim();

    const flow::Ledger ledger = forwarding.worker.ledger().read();
    const uint64_t taken = arrivals.offered() - arrivals.refused();
    if (!ledger.balanced() || ledger.rx != taken || ledger.forwarded != taken)
        die(fmt::format("{} arrived, {} were taken, {} forwarded", taken, ledger.rx, ledger.forwarded).c_str());
    double peak = 0;
    for (size_t i = 0; i < kTwice; i++) peak = std::max(peak, goodput[i].median());
    auto& changes = arrivals.changes_ms;
    std::ranges::sort(changes);
    const double hz = static_cast<double>(rte_get_tsc_hz());
    fmt::print(
        R"({{"case": "overload", "subject": "penstock", "size": {}, "fanout": {}, "flows": {}, "cache": "hot", )"
        R"("cycles_median": {:.1f}, "peak_pps": {:.0f}, "goodput_pps": {:.0f}, "of_peak": {:.3f}, "offered": {:.2f}, )"
        R"("dropped_at_rx": {:.3f}, "fairness": {:.4f}, "change_p99_ms": {:.3f}}})"
        "\n",
        kPayload, kFanout, kFlows, 1 / goodput[kTwice].median() / kFanout, peak * hz, goodput[kTwice].median() * hz,
        goodput[kTwice].median() / peak,
        static_cast<double>(offered) / static_cast<double>(goodput[kTwice].count() * turn) / capacity,
        static_cast<double>(refused) / static_cast<double>(offered), fair,
        changes.empty() ? 0 : changes[changes.size() * 99 / 100]);
    return 0;
}
