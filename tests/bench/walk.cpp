// bench-walk: the whole walk of a packet through the production worker, by what is done to it on the way, and how long
// it stays. Each argument is
//     KIND:SIZE:FANOUT:FLOWS
// for instance merge:1300:10:10, KIND being one of kKinds. Prints a JSON object a line: TSC cycles per copy of a media
// packet (repair and the packets of a second path are not counted, but paid for); latency at half of what that allows,
// from when a packet is due until the end of the turn that sent it, batching and waiting in the ring included; and by
// how much model and table made the process grow, with the one worker's states. Packets are hot; see relay.cpp for
// cold.
#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_pause.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <fstream>
#include <ranges>
#include <string>

#include "base/wire.hpp"
#include "dataplane/heap.hpp"
#include "durations.hpp"
#include "rtp/fec/encoder.hpp"
#include "samples.hpp"
#include "subject.hpp"

namespace {

using namespace penstock;
using namespace penstock::bench;

struct NamedKind {
    std::string_view name;
    Kind kind;
};
constexpr NamedKind kKinds[] = {{"plain", Kind::plain},
                                {"rewrite", Kind::rewrite},
                                {"fec-encode", Kind::fec_encode},
                                {"fec-decode", Kind::fec_decode},
                                {"merge", Kind::merge}};

// Media packets and what comes with them, of sources that take turns.
class Source {
public:
    Source(const Stage& stage, Kind kind, uint32_t flows, uint16_t size)
        : stage_(stage), kind_(kind), size_(size), next_(flows) {
        if (kind_ != Kind::fec_decode) return;
        for (uint32_t f = 0; f < flows; f++)
            encoders_.push_back(std::make_unique<rtp::fec::Encoder>(rtp::fec::Code{}, 1472));
    }

    // Frames for so many media packets.
    void prepare(std::vector<rte_mbuf*>& frames, size_t media) {
        frames.clear();
        for (size_t i = 0; i < media; i++) {
            const auto flow = static_cast<uint32_t>(at_++ * 7919 % next_.size());
            const uint16_t sequence = next_[flow]++;
            std::byte* bytes = frame(frames, size_);
            write_frame(bytes, size_, arrival_of(flow, kind_), flow, sequence);
            if (kind_ == Kind::merge)
                write_frame(frame(frames, size_), size_, arrival_of(flow, kind_, 1), flow, sequence);
            if (kind_ != Kind::fec_decode) continue;
            if (const auto repair = encoders_[flow]->protect({bytes + kHeaders, size_})) add(frames, flow, *repair);
        }
    }

private:
    std::byte* frame(std::vector<rte_mbuf*>& frames, size_t payload) const {
        rte_mbuf* m = nullptr;
        stage_.take({&m, 1});
        m->data_len = static_cast<uint16_t>(kHeaders + payload);
        m->pkt_len = m->data_len;
        frames.push_back(m);
        return rte_pktmbuf_mtod(m, std::byte*);
    }
    void add(std::vector<rte_mbuf*>& frames, uint32_t flow, const rtp::fec::Repair& repair) const {
        const auto head = repair.head.span();
        const auto size = static_cast<uint16_t>(head.size() + repair.body.size());
        std::byte* bytes = frame(frames, size);
        const bool column = repair.line == rtp::fec::Line::column;
        Endpoint to = arrival_of(flow, kind_);
        to.port = static_cast<uint16_t>(to.port + (column ? rtp::fec::kColumnPort : rtp::fec::kRowPort));
        write_frame(bytes, size, to, flow, 0);
        wire::store16(bytes + kHeaders - 2, 0);  // no checksum
        std::memcpy(bytes + kHeaders, head.data(), head.size());
        std::memcpy(bytes + kHeaders + head.size(), repair.body.data(), repair.body.size());
    }

    const Stage& stage_;
    Kind kind_;
    uint16_t size_;
    std::vector<uint16_t> next_;  // sequence numbers
    std::vector<std::unique_ptr<rtp::fec::Encoder>> encoders_;
    uint64_t at_ = 0;
};

size_t resident() {
    size_t size = 0, pages = 0;
    std::ifstream("/proc/self/statm") >> size >> pages;
    return pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

struct Walk {
    std::string kind;
    uint16_t size = 0;
    uint32_t fanout = 1, flows = 1;
};

uint32_t number(std::string_view text) {
    uint32_t n = 0;
    std::from_chars(text.data(), text.data() + text.size(), n);
    return n;
}

std::optional<Walk> parse(std::string_view text) {
    std::vector<std::string> words;
    for (const auto part : std::views::split(text, ':')) words.emplace_back(part.begin(), part.end());
    if (words.size() != 4 || std::ranges::find(kKinds, words[0], &NamedKind::name) == std::end(kKinds))
        return std::nullopt;
    const Walk walk{words[0], static_cast<uint16_t>(number(words[1])), number(words[2]), number(words[3])};
    const bool valid = walk.size >= kRtp && walk.size <= 1400 && walk.fanout != 0 && walk.flows != 0;
    return valid ? std::optional(walk) : std::nullopt;
}

// At half the rate that `cycles` a frame allow.
void pace(const Stage& stage, Subject& who, std::span<rte_mbuf* const> frames, double cycles, Durations& stayed) {
    const double gap = 2 * cycles;
    const uint64_t start = rte_rdtsc();
    for (size_t i = 0; i < frames.size();) {
        const auto due = static_cast<size_t>(static_cast<double>(rte_rdtsc() - start) / gap) + 1;
        const size_t count = std::min({due - std::min(due, i), frames.size() - i, size_t{kBurst}});
        if (count == 0) {
            rte_pause();
            continue;
        }
        stage.feed(frames.subspan(i, count));
        who.turn();
        const uint64_t end = rte_rdtsc() - start;
        for (size_t k = 0; k < count; k++, i++) {
            const auto since = static_cast<uint64_t>(static_cast<double>(i) * gap);
            stayed.add(end - std::min(end, since));
        }
    }
}

bool run(const Stage& stage, const Walk& walk, double seconds) {
    const auto kind = std::ranges::find(kKinds, walk.kind, &NamedKind::name)->kind;
    const size_t before = resident();
    const auto who = make_forwarder(stage, {.flows = walk.flows, .fanout = walk.fanout, .kind = kind});
    const size_t grown = resident() - before;
    Source source(stage, kind, walk.flows, walk.size);
    const size_t batch = std::max<size_t>(kBurst, 512 / walk.fanout / kBurst * kBurst);
    const auto half = static_cast<uint64_t>(seconds / 2 * static_cast<double>(rte_get_tsc_hz()));

    std::vector<rte_mbuf*> frames;
    Samples cycles, a_frame;
    uint64_t media = 0;
    for (const uint64_t begin = rte_rdtsc(); rte_rdtsc() - begin < half || cycles.count() < 3; media += batch) {
        source.prepare(frames, batch);
        stage.feed(frames);
        const uint64_t start = rte_rdtsc_precise();
        while (stage.waiting()) who->turn();
        const auto took = static_cast<double>(rte_rdtsc_precise() - start);
        if (media < walk.flows) continue;  // not warm yet
        cycles.add(took / static_cast<double>(batch * walk.fanout));
        a_frame.add(took / static_cast<double>(frames.size()));
    }
    Durations stayed;
    for (const uint64_t begin = rte_rdtsc(); rte_rdtsc() - begin < half || stayed.count() == 0; media += batch) {
        source.prepare(frames, batch);
        pace(stage, *who, frames, a_frame.median(), stayed);
    }
    if (!who->accounts_for(media, walk.fanout)) {
        fmt::print(stderr, "bench-walk: packets were lost in {}:{}:{}:{}\n", walk.kind, walk.size, walk.fanout,
                   walk.flows);
        return false;
    }
    fmt::print(
        R"({{"case": "walk", "subject": "penstock", "kind": "{}", "size": {}, "fanout": {}, "flows": {}, "cache": "hot", )"
        R"("cycles_median": {:.1f}, "cycles_best": {:.1f}, "p50_us": {:.2f}, "p99_us": {:.2f}, "p999_us": {:.2f}, )"
        R"("grown_bytes": {}}})"
        "\n",
        walk.kind, walk.size, walk.fanout, walk.flows, cycles.median(), cycles.best(), stayed.us(0.5), stayed.us(0.99),
        stayed.us(0.999), grown);
    std::fflush(stdout);
    return true;
}

}  // namespace

int main(int argc, char** argv) {
    dataplane::put_heap_on_huge_pages();  // as penstock does
    if (argc < 3) {
        std::fputs("usage: bench-walk SECONDS-A-WALK KIND:SIZE:FANOUT:FLOWS...\n", stderr);
        return 2;
    }
    Log log(Level::error, LogFormat::text);
    const auto stage = Stage::make(log);
    if (!stage) {
        fmt::print(stderr, "bench-walk: {}\n", stage.error().text);
        return 1;
    }
    for (const std::string_view argument : std::span{argv, static_cast<size_t>(argc)}.subspan(2)) {
        const auto walk = parse(argument);
        if (!walk) {
            fmt::print(stderr, "bench-walk: what is '{}'? KIND:SIZE:FANOUT:FLOWS\n", argument);
            return 2;
        }
        if (!run(**stage, *walk, std::stod(argv[1]))) return 1;
    }
    return 0;
}
