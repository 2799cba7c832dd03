// bench-latency: how long packets stay, from when each is due to the end of the turn that sent it, at half of what the
// worker can do, while its table is changed; beside what two loops on the same core make of the same schedule. One
// takes no time for a packet: what it sees are gaps that the machine makes. The other takes as long as the worker, and
// does nothing: what it sees beyond that any server has, that is busy half of the time, since what came during a gap
// takes time as long again.
//
// The three take turns of 25 to 75 ms, in an order by chance, so that all meet the same weather and no rhythm of the
// machine hides in that of the turns; a packet that is due in a turn counts, however late it is served. All the time
// the control side, on another core, changes one of 100,000 streams a hundred times a second. Prints a JSON object a
// line. Argument: seconds.
#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_pause.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <random>
#include <thread>

#include "dataplane/heap.hpp"
#include "durations.hpp"
#include "samples.hpp"
#include "two_threads.hpp"
#include "weather.hpp"

namespace {

using namespace penstock;
using namespace penstock::bench;
using namespace std::chrono_literals;

constexpr uint32_t kFlows = 100'000, kWatched = 100;  // packets are of these
constexpr uint16_t kPayload = 200;
constexpr auto kBetweenChanges = 10ms;
constexpr double kGap = 20e-6;  // seconds; no burst takes as long

double us_of(double cycles) { return cycles / static_cast<double>(rte_get_tsc_hz()) * 1e6; }

struct Subject {
    std::string_view name;
    Durations stayed, taken;  // from when it was due, and from when it was taken, to when it was sent
    Weather weather;
    uint64_t cycles = 0, in_gaps = 0;  // that it ran; of these in looks at the clock that took longer than kGap
    uint64_t longest = 0;
};

// One packet every `gap` cycles for `span` of them; who takes those that are due says nothing, it is asked again when
// it is done. At most a burst at once: what is late by more waits, and that counts.
template <class Take>
void pace(double gap, uint64_t span, Subject& subject, Take take) {
    static const auto long_look = static_cast<uint64_t>(kGap * static_cast<double>(rte_get_tsc_hz()));
    const auto all = static_cast<size_t>(static_cast<double>(span) / gap);
    const uint64_t start = rte_rdtsc();
    uint64_t looked = 0;
    for (size_t i = 0; i < all;) {
        const uint64_t now = rte_rdtsc() - start;
        if (now - looked > long_look) {
            subject.in_gaps += now - looked;
            subject.longest = std::max(subject.longest, now - looked);
        }
        looked = now;
        const size_t due = std::min(static_cast<size_t>(static_cast<double>(now) / gap) + 1, all);
        const size_t count = std::min<size_t>(due - std::min(due, i), kBurst);
        if (count == 0) {
            rte_pause();
            continue;
        }
        take(count);
        const uint64_t done = rte_rdtsc() - start;
        subject.taken.add(done - now, count);
        for (size_t k = 0; k < count; k++, i++)
            subject.stayed.add(done - std::min(done, static_cast<uint64_t>(static_cast<double>(i) * gap)));
    }
    subject.cycles += rte_rdtsc() - start;
}

// Work of a given length that touches no memory. (A wait by the clock would count what the machine takes as done.)
class Work {
public:
    Work() {
        Samples each;
        for (unsigned n = 0; n < 1000; n++) {
            const uint64_t start = rte_rdtsc_precise();
            steps(1000);
            each.add(static_cast<double>(rte_rdtsc_precise() - start) / 1000);
        }
        cycles_a_step_ = each.median();
    }
    void take(double cycles) { steps(static_cast<size_t>(cycles / cycles_a_step_)); }

private:
    static void steps(size_t count) {
        uint64_t x = 1;
        for (size_t n = 0; n < count; n++) asm volatile("imul $3, %0, %0" : "+r"(x));
    }
    double cycles_a_step_ = 1;
};

class Measured {
public:
    Measured(const Stage& stage, Forwarding& forwarding) : stage_(stage), forwarding_(forwarding) {}

    // What it can do with whole bursts: a packet's share of them, and of making the packet, which is done here, too.
    void look_at_bursts() {
        Samples burst;
        for (unsigned n = 0; n < 20'000; n++) {
            const uint64_t start = rte_rdtsc_precise();
            forward(kBurst);
            burst.add(static_cast<double>(rte_rdtsc_precise() - start));
        }
        cycles_ = burst.median() / kBurst;
    }
    void run(double seconds, unsigned core) {
        const auto hz = static_cast<double>(rte_get_tsc_hz());
        const uint64_t end = rte_rdtsc() + static_cast<uint64_t>(seconds * hz);
        std::minstd_rand chance(1);
        std::uniform_real_distribution<double> span(0.025, 0.075);
        std::array order{&with_us_, &bare_, &busy_};
        Work work;
        while (rte_rdtsc() < end) {
            std::ranges::shuffle(order, chance);
            for (Subject* subject : order) {
                forwarding_.worker.turn();  // who changes the table waits for it
                const Weather before = Weather::now(core);
                const auto cycles = static_cast<uint64_t>(span(chance) * hz);
                if (subject == &with_us_)
                    pace(2 * cycles_, cycles, *subject, [&](size_t count) { forward(count); });
                else if (subject == &bare_)
                    pace(2 * cycles_, cycles, *subject, [](size_t) {});
                else
                    pace(2 * cycles_, cycles, *subject,
                         [&](size_t count) { work.take(static_cast<double>(count) * cycles_); });
                subject->weather += Weather::now(core) - before;
            }
        }
    }
    bool nothing_lost() const {
        const flow::Ledger ledger = forwarding_.worker.ledger().read();
        // What is sent beside them is reports to sources.
        if (ledger.balanced() && ledger.forwarded == fed_ && ledger.sent == ledger.tx_wanted && ledger.sent >= fed_)
            return true;
        fmt::print(stderr, "bench-latency: fed {}, sent {}\n", fed_, ledger.sent);
        return false;
    }
    void print() {
        for (Subject* s : {&with_us_, &bare_, &busy_}) {
            const double seconds = us_of(static_cast<double>(s->cycles)) / 1e6;
            const auto a_second = [&](uint64_t n) { return static_cast<double>(n) / seconds; };
            fmt::print(
                R"({{"case": "latency-beside-spin", "subject": "{}", "size": {}, "fanout": 1, "flows": {}, "cache": "hot", )"
                R"("cycles_median": {:.1f}, "packets": {}, "p50_us": {:.2f}, "p99_us": {:.2f}, "p999_us": {:.2f}, )"
                R"("taken_p50_us": {:.2f}, "taken_p99_us": {:.2f}, "taken_p999_us": {:.2f}, "two_bursts_us": {:.2f}, "gaps": {:.5f}, )"
                R"("longest_us": {:.0f}, "others": {:.5f}, "faults_per_second": {:.1f}, "switches_per_second": {:.1f}, )"
                R"("shootdowns_per_second": {:.1f}, "interrupts_per_second": {:.1f}}})"
                "\n",
                s->name, kPayload, kFlows, cycles_, s->stayed.count(), s->stayed.us(0.5), s->stayed.us(0.99),
                s->stayed.us(0.999), s->taken.us(0.5), s->taken.us(0.99), s->taken.us(0.999),
                us_of(2 * kBurst * cycles_), static_cast<double>(s->in_gaps) / static_cast<double>(s->cycles),
                us_of(static_cast<double>(s->longest)), a_second(s->weather.waited_ns) / 1e9,
                a_second(s->weather.faults), a_second(s->weather.switches), a_second(s->weather.shootdowns),
                a_second(s->weather.others));
        }
    }

private:
    void forward(size_t count) {
        std::array<rte_mbuf*, kBurst> packets;
        stage_.prepare(std::span{packets}.first(count), traffic_, kPayload);
        stage_.feed(std::span{packets}.first(count));
        forwarding_.worker.turn();
        fed_ += count;
    }

    const Stage& stage_;
    Forwarding& forwarding_;
    Traffic traffic_{kWatched};
    uint64_t fed_ = 0;
    double cycles_ = 0;  // of a packet
    Subject with_us_{.name = "penstock", .stayed = {}, .taken = {}, .weather = {}};
    Subject bare_{.name = "spin", .stayed = {}, .taken = {}, .weather = {}};
    Subject busy_{.name = "busy", .stayed = {}, .taken = {}, .weather = {}};
};

}  // namespace

int main(int argc, char** argv) {
    dataplane::put_heap_on_huge_pages();  // as penstock does
    const auto cores = two_cores();
    if (argc != 2 || cores.size() < 2) {
        std::fputs(cores.size() < 2 ? "bench-latency: needs two cores\n" : "usage: bench-latency SECONDS\n", stderr);
        return 2;
    }
    run_on(cores[0]);  // control's, which is the process's first thread, as in penstock
    Log log(Level::error, LogFormat::text);
    const auto stage = Stage::make(log);
    if (!stage) return fmt::print(stderr, "bench-latency: {}\n", stage.error().text), 1;
    Forwarding forwarding(**stage, kFlows, 1);
    Measured measured(**stage, forwarding);
    std::atomic<bool> ready = false, done = false, over = false;
    std::thread worker([&] {
        run_on(cores[1]);
        if (rte_thread_register() != 0) std::abort();  // else the pools give it no cache
        measured.look_at_bursts();
        ready = true;
        measured.run(std::stod(argv[1]), cores[1]);
        done = true;
        while (!over) forwarding.worker.turn(), rte_delay_us_sleep(100);
        rte_thread_unregister();
    });
    while (!ready) std::this_thread::sleep_for(kBetweenChanges);
    Changer changer(forwarding, kFlows, 1, kWatched);
    while (!done) {
        std::this_thread::sleep_for(kBetweenChanges);
        forwarding.table.reclaim();
        changer.change();
    }
    while (forwarding.table.reclaim() != 0) std::this_thread::sleep_for(1ms);
    over = true;
    worker.join();
    if (!measured.nothing_lost()) return 1;
    measured.print();
    return 0;
}
