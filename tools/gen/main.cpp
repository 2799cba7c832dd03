// penstock-gen: options, files, ports; then the loop, and what it found.
#include <fmt/format.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <sched.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <iterator>

#include "base/log.hpp"
#include "dataplane/eal.hpp"
#include "dataplane/pools.hpp"
#include "expect.hpp"
#include "generator.hpp"
#include "options.hpp"

namespace penstock::gen {
namespace {

constexpr int kFine = 0, kFailed = 1, kWrong = 2;
constexpr unsigned kMbufs = 16384;
constexpr double kLongestSettle = 5;  // seconds; then stragglers are not waited for

std::atomic<bool> stopped{false};

int complain(int code, std::string_view what) {
    fmt::print(stderr, "penstock-gen: {}\n", what);
    return code;
}

Result<std::string> read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string text(std::istreambuf_iterator<char>(file), {});
    if (!file) return fail(fmt::format("{}: cannot be read", path));
    return text;
}

dataplane::PortPlan port_plan(const PortName& name, std::string called) {
    dataplane::PortPlan plan;
    plan.name = std::move(called);
    if (name.driver == "af_packet") {
        plan.driver = flow::Driver::af_packet;
        plan.interface = name.argument;
    } else if (name.driver == "pci") {
        plan.driver = flow::Driver::pci;
        plan.device = name.argument;
    } else if (name.driver == "pcap") {
        plan.driver = flow::Driver::pcap;
        plan.write = name.argument;
    } else if (name.driver == "ring") {
        plan.driver = flow::Driver::ring;
    }
    return plan;
}

// EAL, memory and ports of a run, in the order in which they are made.
struct Bench {
    std::unique_ptr<dataplane::Eal> eal;
    dataplane::Pool packets, headers;
    std::unique_ptr<dataplane::Port> tx, rx;
};

Result<Bench> open(const Options& options, Log& log) {
    Bench bench;
    dataplane::EalPlan eal;
    eal.control_core = options.core.value_or(static_cast<unsigned>(sched_getcpu()));
    for (const PortName* port : {&options.tx, &options.rx})
        if (port->driver == "pci") eal.pci_devices.push_back(port->argument);
    auto started = dataplane::Eal::start(eal, log);
    if (!started) return fail(started.error().text);
    bench.eal = std::move(*started);
    auto packets = dataplane::make_pool("packets", kMbufs, dataplane::kPacketRoom, bench.eal->hugepages());
    if (!packets) return fail(packets.error().text);
    auto headers = dataplane::make_pool("headers", 1024, dataplane::kHeaderRoom, bench.eal->hugepages());
    if (!headers) return fail(headers.error().text);
    bench.packets = std::move(*packets);
    bench.headers = std::move(*headers);
    const dataplane::Pools pools{bench.packets.get(), bench.headers.get()};
    auto tx = dataplane::Port::open(port_plan(options.tx, "tx"), 0, 1, pools, log);
    if (!tx) return fail(tx.error().text);
    bench.tx = std::move(*tx);
    if (options.rx.driver.empty()) return bench;
    auto rx = dataplane::Port::open(port_plan(options.rx, "rx"), 1, 1, pools, log);
    if (!rx) return fail(rx.error().text);
    bench.rx = std::move(*rx);
    return bench;
}

// Until all is sent, and then until nothing more comes.
void run(Generator& generator, const Options& options, uint64_t start, uint64_t hertz) {
    if (options.tx.driver == "pcap") {  // a file need not wait: the clock is that of the plan
        while (generator.sending() && !stopped) generator.send(generator.next_moment());
        generator.send(generator.next_moment());
        return;
    }
    const auto ticks = [&](double seconds) { return static_cast<uint64_t>(seconds * static_cast<double>(hertz)); };
    uint64_t now = start, quiet_since = start, sent_at = start;
    while (!stopped && (generator.sending() ||
                        (now - quiet_since < ticks(options.settle) && now - sent_at < ticks(kLongestSettle)))) {
        now = rte_rdtsc();
        const bool sending = generator.sending();
        generator.send(now);
        if (generator.receive(now) || sending) quiet_since = now;
        if (sending) sent_at = now;
    }
}

int report(const Tally& tally, const Sending& sending, const Options& options,
           const std::vector<Expectation>& expectations) {
    const auto findings = findings_of(tally, sending);
    if (options.json == "-") {
        fmt::print("{}", json_of(tally, findings));
    } else {
        fmt::print("{}", table_of(tally, findings));
        if (!options.json.empty()) {
            std::ofstream file(options.json);
            file << json_of(tally, findings) << std::flush;
            if (!file) return complain(kFailed, fmt::format("{}: cannot be written", options.json));
        }
    }
    const Verdict verdict = judge(expectations, findings);
    if (!verdict.table.empty()) fmt::print(stderr, "\nexpected and found:\n{}", verdict.table);
    return verdict.met ? kFine : kFailed;
}

int generate(std::span<const std::string_view> words) {
    const auto options = parse_options(words);
    if (!options) return complain(kWrong, options.error().text);
    if (options->help) {
        fmt::print("{}{}", usage(), plan_help());
        return kFine;
    }
    const auto text = read_file(options->plan);
    if (!text) return complain(kWrong, text.error().text);
    auto plan = parse_plan(*text);
    if (!plan) return complain(kWrong, fmt::format("{}:{}", options->plan, plan.error().text));
    for (Group& group : plan->groups) group.pps *= options->scale;
    std::vector<Expectation> expectations;
    if (!options->expect.empty()) {
        const auto wanted = read_file(options->expect);
        if (!wanted) return complain(kWrong, wanted.error().text);
        const auto parsed = parse_expectations(*wanted);
        if (!parsed) return complain(kWrong, fmt::format("{}:{}", options->expect, parsed.error().text));
        expectations = *parsed;
    }

    Log log(Level::warning, LogFormat::text);
    auto bench = open(*options, log);
    if (!bench) return complain(kFailed, bench.error().text);
    const dataplane::Port& back = bench->rx ? *bench->rx : *bench->tx;
    if (options->tx.driver != "pcap" && options->tx.driver != "null")
        rte_eth_promiscuous_enable(back.rx().front().ethdev);  // multicast groups that nobody joined
    const Link link{bench->tx->tx().front(), back.rx().empty() ? dataplane::DeviceQueue{} : back.rx().front(),
                    bench->packets.get(), bench->tx->info().mac, options->to_mac};
    std::signal(SIGINT, [](int) { stopped = true; });
    std::signal(SIGTERM, [](int) { stopped = true; });
    const uint64_t hertz = rte_get_tsc_hz(), start = rte_rdtsc() + hertz / 100;
    Tally tally(*plan, hertz, options->max_legs);
    Generator generator(*plan, link, {options->seconds, options->packets.value_or(UINT64_MAX)}, start, hertz, tally);
    run(generator, *options, start, hertz);
    return report(tally, generator.sending_so_far(), *options, expectations);
}

}  // namespace
}  // namespace penstock::gen

int main(int count, char** words) {
    const std::vector<std::string_view> all(words + 1, words + count);
    return penstock::gen::generate(all);
}
