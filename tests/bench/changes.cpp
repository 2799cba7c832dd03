// bench-changes: what a stream notices of changes to others. One flow at full rate through a worker on one core, among
// 100,000 tracks that are installed; on another core the control side changes a hundred of them a second (an output or
// a stream comes or goes: model, table, grace period), or none, by turns of a quarter of a second, so that both meet
// the same weather. Prints a JSON object a line, as bench-relay does. Arguments: seconds, and how many changes a second
// where it is not a hundred.
#include <rte_cycles.h>
#include <rte_mbuf.h>

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

constexpr uint32_t kFlows = 100'000;
constexpr uint16_t kPayload = 200;

struct Seen {                     // by the worker, with changes or without
    std::vector<uint64_t> turns;  // TSC cycles, of 32 packets each
    double us(double share, double per_us) {
        const auto at = std::min(turns.size() - 1, static_cast<size_t>(share * static_cast<double>(turns.size())));
        std::ranges::nth_element(turns, turns.begin() + static_cast<std::ptrdiff_t>(at));
        return static_cast<double>(turns[at]) / per_us;
    }
};

}  // namespace

int main(int argc, char** argv) {
    dataplane::put_heap_on_huge_pages();  // as penstock does
    const auto cores = two_cores();
    if (argc < 2 || argc > 3 || cores.size() < 2) {
        std::fputs(
            cores.size() < 2 ? "bench-changes: needs two cores\n" : "usage: bench-changes SECONDS [CHANGES-A-SECOND]\n",
            stderr);
        return 2;
    }
    const unsigned rate = argc == 3 ? static_cast<unsigned>(std::stoul(argv[2])) : 100;
    if (rate == 0) return std::fputs("bench-changes: 0 changes a second are none\n", stderr), 2;
    run_on(cores[1]);  // the worker's
    Log log(Level::error, LogFormat::text);
    const auto stage = Stage::make(log);
    if (!stage) {
        fmt::print(stderr, "bench-changes: {}\n", stage.error().text);
        return 1;
    }
    Forwarding forwarding(**stage, kFlows, 1);
    dataplane::Worker& worker = forwarding.worker;
    const auto state = forwarding.mesh->stream("0")->tracks[0]->paths[0].state;

    std::atomic<bool> changing = false, done = false;
    Samples change_us;
    std::thread control([&] {
        run_on(cores[0]);
        Changer changer(forwarding, kFlows);
        const auto begin = std::chrono::steady_clock::now();
        const auto end = begin + std::chrono::duration<double>(std::stod(argv[1]));
        for (auto next = begin; next < end; next += 1'000'000us / rate) {
            std::this_thread::sleep_until(next);
            const bool on = (next - begin) / 250ms % 2 == 1;
            changing.store(on, std::memory_order_relaxed);
            const auto start = std::chrono::steady_clock::now();
            forwarding.table.reclaim();
            if (!on) continue;
            changer.change();
            forwarding.table.reclaim();
            change_us.add(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
        }
        done = true;
    });

    std::array<Seen, 2> seen;
    for (Seen& s : seen) s.turns.reserve(static_cast<size_t>(std::stod(argv[1]) * 1e6));
    Traffic traffic(1);  // of flow 0
    std::array<rte_mbuf*, kBurst> packets;
    const uint64_t sent_before = (*stage)->sent();
    uint64_t fed = 0;
    while (!done.load(std::memory_order_relaxed)) {
        (*stage)->prepare(packets, traffic, kPayload);
        const bool with = changing.load(std::memory_order_relaxed);
        (*stage)->feed(packets);
        const uint64_t start = rte_rdtsc_precise();
        worker.turn();
        seen[with].turns.push_back(rte_rdtsc_precise() - start);
        fed += kBurst;
    }
    control.join();
    forwarding.table.reclaim();

    const flow::Ledger ledger = worker.ledger().read();
    const uint64_t arrived = (*stage)->sent() - sent_before;
    const uint64_t lost = fed - arrived + state->reception.counters().lost.read();
    if (!ledger.balanced() || ledger.forwarded != fed) {
        fmt::print(stderr, "bench-changes: fed {}, forwarded {}, sent {}\n", fed, ledger.forwarded, ledger.sent);
        return 1;
    }
    const double per_us = static_cast<double>(rte_get_tsc_hz()) / 1e6;
    for (const bool with : {false, true}) {
        Seen& s = seen[with];
        if (s.turns.empty()) continue;
        const auto cycles = [&](uint64_t turn) { return static_cast<double>(turn) / kBurst; };
        const double median = s.us(0.5, 1) / kBurst;
        fmt::print(
            R"({{"case": "changes", "subject": "penstock", "size": {}, "fanout": 1, "flows": {}, "cache": "hot", )"
            R"("changes_per_second": {}, "cycles_median": {:.1f}, "cycles_best": {:.1f}, "packets": {}, )"
            R"("lost": {}, "latency_p50_us": {:.2f}, "latency_p99_us": {:.2f}, "latency_p999_us": {:.2f}, )"
            R"("latency_max_us": {:.1f}, "change_us_median": {}}})"
            "\n",
            kPayload, kFlows, with ? rate : 0, median, cycles(*std::ranges::min_element(s.turns)),
            s.turns.size() * kBurst, lost, s.us(0.5, per_us), s.us(0.99, per_us), s.us(0.999, per_us),
            static_cast<double>(*std::ranges::max_element(s.turns)) / per_us,
            with ? fmt::format("{:.1f}", change_us.median()) : "null");
    }
    return lost == 0 ? 0 : 1;
}
