// bench-relay: penstock against the floor, batch by batch in turn, in one process on one core. Each argument is a
// match,
//     CASE:SIZE:FANOUT:FLOWS[+FLOWS...]:CACHE
// for instance relay:1300:64:1000:cold. CASE is relay (the tx port takes chained buffers), relay-copy (it does not) or
// relay-kept (packets are kept to be sent again; the floor keeps none), SIZE the bytes of UDP payload, CACHE hot or
// cold. Prints a JSON object a line: TSC cycles per output packet.
//
// hot: the packets of a batch were written just before it. cold: the packets of the whole round, about 20,000, were
// written before its first batch, so that buffer and headers of each have left the L2 cache (payloads were never in
// it).
#include <rte_cycles.h>
#include <rte_mbuf.h>

#include <charconv>
#include <map>
#include <ranges>
#include <string>
#include <tuple>

#include "dataplane/heap.hpp"
#include "samples.hpp"
#include "subject.hpp"

namespace {

using namespace penstock;
using namespace penstock::bench;

constexpr unsigned kColdSet = 20480;  // packets

struct Contestant {
    std::string_view subject;
    Load load;
    std::unique_ptr<Subject> who;
    Traffic traffic;
    uint64_t fed = 0;
    Samples cycles;

    Contestant(std::string_view name, const Load& of, std::unique_ptr<Subject> made)
        : subject(name), load(of), who(std::move(made)), traffic(of.flows) {}
};

struct Match {
    std::string of, cache;
    uint16_t size = 0;
    uint32_t fanout = 0;
    std::vector<uint32_t> flows;
};

uint32_t number(std::string_view text) {
    uint32_t n = 0;
    std::from_chars(text.data(), text.data() + text.size(), n);
    return n;
}

std::vector<std::string> split(std::string_view text, char at) {
    std::vector<std::string> parts;
    for (const auto part : std::views::split(text, at)) parts.emplace_back(part.begin(), part.end());
    return parts;
}

std::optional<Match> parse(std::string_view text) {
    const auto words = split(text, ':');
    if (words.size() != 5) return std::nullopt;
    Match match{words[0], words[4], static_cast<uint16_t>(number(words[1])), number(words[2]), {}};
    for (const auto& flows : split(words[3], '+')) match.flows.push_back(number(flows));
    const bool valid = (match.of == "relay" || match.of == "relay-copy" || match.of == "relay-kept") &&
                       (match.cache == "hot" || match.cache == "cold") && match.size >= kRtp && match.size <= 1400 &&
                       match.fanout != 0 && match.flows.front() != 0;
    return valid ? std::optional(match) : std::nullopt;
}

// Packets of a batch: about 100 us of work, so that both sides of a comparison meet the same weather.
size_t batch_of(uint32_t fanout) { return std::max<size_t>(kBurst, 512 / fanout / kBurst * kBurst); }

double measure(const Stage& stage, Contestant& c, std::span<rte_mbuf* const> packets) {
    stage.feed(packets);
    const uint64_t start = rte_rdtsc_precise();
    for (size_t turns = packets.size() / kBurst; turns != 0; turns--) c.who->turn();
    const uint64_t cycles = rte_rdtsc_precise() - start;
    c.fed += packets.size();
    return static_cast<double>(cycles) / static_cast<double>(packets.size() * c.load.fanout);
}

void play(const Stage& stage, const Match& match, std::span<Contestant*> all, double seconds) {
    const size_t batch = batch_of(match.fanout);
    const bool cold = match.cache == "cold";
    const size_t batches = cold ? kColdSet / batch / all.size() * all.size() : all.size();  // a round
    std::vector<rte_mbuf*> packets(batches * batch);
    const auto part = [&](size_t b) { return std::span{packets}.subspan(b * batch, batch); };
    const uint64_t begin = rte_rdtsc();
    const auto length = static_cast<uint64_t>(seconds * static_cast<double>(rte_get_tsc_hz()));
    for (bool warm = false; rte_rdtsc() - begin < length || all.back()->cycles.count() < 3; warm = true) {
        if (cold)
            for (size_t b = 0; b < batches; b++) stage.prepare(part(b), all[b % all.size()]->traffic, match.size);
        for (size_t b = 0; b < batches; b++) {
            Contestant& c = *all[b % all.size()];
            if (!cold) stage.prepare(part(b), c.traffic, match.size);
            const double cycles = measure(stage, c, part(b));
            if (warm) c.cycles.add(cycles);
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    dataplane::put_heap_on_huge_pages();  // as penstock does
    if (argc < 3) {
        fmt::print(stderr, "usage: bench-relay SECONDS-A-MATCH CASE:SIZE:FANOUT:FLOWS[+FLOWS...]:hot|cold...\n");
        return 2;
    }
    Log log(Level::error, LogFormat::text);
    const auto stage = Stage::make(log);
    if (!stage) {
        fmt::print(stderr, "bench-relay: {}\n", stage.error().text);
        return 1;
    }
    fmt::print("{{\"tsc_hz\": {}}}\n", rte_get_tsc_hz());
    // Tables are large: what the next match can use is kept.
    std::map<std::tuple<std::string_view, uint32_t, uint32_t, bool, Kind>, std::unique_ptr<Contestant>> made, used;
    for (const std::string_view argument : std::span{argv, static_cast<size_t>(argc)}.subspan(2)) {
        const auto match = parse(argument);
        if (!match) {
            fmt::print(stderr, "bench-relay: what is '{}'? CASE:SIZE:FANOUT:FLOWS[+FLOWS...]:hot|cold\n", argument);
            return 2;
        }
        std::vector<Contestant*> all;
        for (const uint32_t flows : match->flows) {
            for (const std::string_view subject : {"penstock", "floor"}) {
                const Load load{.flows = flows,
                                .fanout = match->fanout,
                                .share = match->of != "relay-copy",
                                .kind = match->of == "relay-kept" ? Kind::kept : Kind::plain};
                const std::tuple key{subject, flows, load.fanout, load.share, load.kind};
                auto kept = made.extract(key);
                if (!kept.empty()) {
                    all.push_back(used.insert(std::move(kept)).position->second.get());
                    continue;
                }
                auto who = subject == "floor" ? make_floor(**stage, load) : make_forwarder(**stage, load);
                all.push_back((used[key] = std::make_unique<Contestant>(subject, load, std::move(who))).get());
            }
        }
        made = std::exchange(used, {});
        const uint64_t sent_before = (*stage)->sent();
        uint64_t sent = 0;
        for (Contestant* c : all) {
            c->cycles.clear();
            sent -= c->fed * c->load.fanout;
        }
        play(**stage, *match, all, std::stod(argv[1]));
        for (Contestant* c : all) {
            sent += c->fed * c->load.fanout;
            if (!c->who->accounts_for(c->fed, c->load.fanout)) {
                fmt::print(stderr, "bench-relay: {} lost packets in {}\n", c->subject, argument);
                return 1;
            }
            print({match->of, c->subject, match->size, match->fanout, c->load.flows, match->cache}, c->cycles);
        }
        if ((*stage)->sent() - sent_before != sent) {
            fmt::print(stderr, "bench-relay: the tx port did not get every copy in {}\n", argument);
            return 1;
        }
    }
    return 0;
}
