// bench-latency: how long packets stay, from when each is due to the end of the turn that sent it, at half of what the
// worker can do, while its table is changed; beside what a bare spin loop on the same core sees of the same schedule:
// gaps that the machine makes, and nobody's work. The two take turns of a twentieth of a second, so that both meet the
// same weather; a thread on another core changes one of 100,000 streams a hundred times a second all the time. Prints
// a JSON object a line. Argument: seconds.
#include <rte_cycles.h>
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

constexpr uint32_t kFlows = 100'000, kWatched = 100;  // packets are of these
constexpr uint16_t kPayload = 200;
constexpr auto kBetweenChanges = 10ms;

class Stayed {
public:
    void add(uint64_t cycles) {
        if (all_.size() < kMost) all_.push_back(cycles);
    }
    double us(double share) {
        const auto at = all_.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(all_.size() - 1));
        std::ranges::nth_element(all_, at);
        return static_cast<double>(*at) / static_cast<double>(rte_get_tsc_hz()) * 1e6;
    }
    size_t count() const { return all_.size(); }

private:
    static constexpr size_t kMost = 20'000'000;
    std::vector<uint64_t> all_;
};

// One packet every `gap` cycles until `end`; who takes those that are due says nothing, it is asked again when it is
// done. At most a burst at once: what is late by more waits, and that counts.
template <class Take>
void pace(double gap, uint64_t end, Stayed& stayed, Take take) {
    const uint64_t start = rte_rdtsc();
    for (size_t i = 0; rte_rdtsc() < end;) {
        const auto due = static_cast<size_t>(static_cast<double>(rte_rdtsc() - start) / gap) + 1;
        const size_t count = std::min<size_t>(due - std::min(due, i), kBurst);
        if (count == 0) {
            rte_pause();
            continue;
        }
        take(count);
        const uint64_t now = rte_rdtsc() - start;
        for (size_t k = 0; k < count; k++, i++)
            stayed.add(now - std::min(now, static_cast<uint64_t>(static_cast<double>(i) * gap)));
    }
}

}  // namespace

int main(int argc, char** argv) {
    dataplane::put_heap_on_huge_pages();  // as penstock does
    const auto cores = two_cores();
    if (argc != 2 || cores.size() < 2) {
        std::fputs(cores.size() < 2 ? "bench-latency: needs two cores\n" : "usage: bench-latency SECONDS\n", stderr);
        return 2;
    }
    run_on(cores[1]);  // the worker's
    Log log(Level::error, LogFormat::text);
    const auto stage = Stage::make(log);
    if (!stage) return fmt::print(stderr, "bench-latency: {}\n", stage.error().text), 1;
    Forwarding forwarding(**stage, kFlows, 1);
    Traffic traffic(kWatched);
    uint64_t fed = 0;
    const auto forward = [&](size_t count) {
        std::array<rte_mbuf*, kBurst> packets;
        (*stage)->prepare(std::span{packets}.first(count), traffic, kPayload);
        (*stage)->feed(std::span{packets}.first(count));
        forwarding.worker.turn();
        fed += count;
    };
    // What it can do with whole bursts: a packet's share of them, and of making the packet, which is done here, too.
    Samples burst;
    for (unsigned n = 0; n < 20'000; n++) {
        const uint64_t start = rte_rdtsc_precise();
        forward(kBurst);
        burst.add(static_cast<double>(rte_rdtsc_precise() - start));
    }
    const double cycles = burst.median() / kBurst;

    std::atomic<bool> done = false;
    std::thread control([&] {
        run_on(cores[0]);
        Changer changer(forwarding, kFlows, 1, kWatched);
        while (!done.load(std::memory_order_relaxed)) {
            std::this_thread::sleep_for(kBetweenChanges);
            forwarding.table.reclaim();
            changer.change();
        }
    });
    Stayed with_us, bare;
    const auto turn = rte_get_tsc_hz() / 20;
    const uint64_t end =
        rte_rdtsc() + static_cast<uint64_t>(std::stod(argv[1]) * static_cast<double>(rte_get_tsc_hz()));
    while (rte_rdtsc() < end) {
        pace(2 * cycles, rte_rdtsc() + turn, bare, [](size_t) {});
        forwarding.worker.turn();  // who changes the table waits for it
        pace(2 * cycles, rte_rdtsc() + turn, with_us, forward);
    }
    done = true;
    // Turns go on until the last change is over.
    for (unsigned n = 0; n < 1000; n++) forwarding.worker.turn(), rte_delay_us_sleep(100);
    control.join();
    forwarding.table.reclaim();
    const flow::Ledger ledger = forwarding.worker.ledger().read();
    // What is sent beside them is reports to sources.
    if (!ledger.balanced() || ledger.forwarded != fed || ledger.sent != ledger.tx_wanted || ledger.sent < fed)
        return fmt::print(stderr, "bench-latency: fed {}, sent {}\n", fed, ledger.sent), 1;
    for (auto [subject, stayed] : {std::pair{"penstock", &with_us}, std::pair{"spin", &bare}})
        fmt::print(
            R"({{"case": "latency-beside-spin", "subject": "{}", "size": {}, "fanout": 1, "flows": {}, "cache": "hot", )"
            R"("cycles_median": {:.1f}, "packets": {}, "p50_us": {:.2f}, "p99_us": {:.2f}, "p999_us": {:.2f}}})"
            "\n",
            subject, kPayload, kFlows, cycles, stayed->count(), stayed->us(0.5), stayed->us(0.99), stayed->us(0.999));
    return 0;
}
