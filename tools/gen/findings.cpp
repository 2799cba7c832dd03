#include "findings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace penstock::gen {
namespace {

constexpr double kMilli = 1e3;
constexpr size_t kWorst = 10;

uint64_t wanted_of(const Tally& tally, uint32_t stream, const StreamTotals& totals) {
    return totals.sent * tally.group_of(stream).copies;
}

// R. Jain's index of what each stream got of what it should: 1 when all fare alike, 1/n when one has everything.
double fairness(const std::vector<double>& shares) {
    double sum = 0, squares = 0;
    for (const double share : shares) {
        sum += share;
        squares += share * share;
    }
    return squares == 0 ? 0 : sum * sum / (static_cast<double>(shares.size()) * squares);
}

std::string name_of(const Tally& tally, uint32_t stream) {
    uint32_t first = 0;
    for (const Group& group : tally.plan().groups) {
        if (stream < first + group.count) return fmt::format("{}/{}", group.name, stream - first);
        first += group.count;
    }
    return {};
}

}  // namespace

std::vector<Finding> findings_of(const Tally& tally, const Sending& sending) {
    uint64_t sent = 0, wanted = 0, received = 0, late = 0, duplicates = 0, lost = 0;
    uint32_t silent = 0;
    std::vector<double> shares;
    const auto streams = tally.totals();
    for (uint32_t s = 0; s < streams.size(); s++) {
        const uint64_t due = wanted_of(tally, s, streams[s]);
        sent += streams[s].sent;
        wanted += due;
        received += streams[s].received;
        late += streams[s].late;
        duplicates += streams[s].duplicates;
        lost += due - std::min(due, streams[s].received);
        if (due == 0) continue;
        shares.push_back(static_cast<double>(streams[s].received) / static_cast<double>(due));
        silent += streams[s].received == 0;
    }
    const flow::Latency latency = tally.latency();
    const auto ratio = [](uint64_t a, uint64_t b) {
        return b == 0 ? 0 : static_cast<double>(a) / static_cast<double>(b);
    };
    const double seconds = std::max(sending.seconds, 1e-9);
    const auto [least, most] = std::ranges::minmax(shares.empty() ? std::vector{0.0} : shares);
    std::vector<Finding> all{
        {"seconds", sending.seconds},
        {"streams", static_cast<double>(streams.size())},
        {"legs", static_cast<double>(tally.legs())},
        {"sent", static_cast<double>(sent)},
        {"sent_frames", static_cast<double>(sending.frames)},
        {"lost_on_path", static_cast<double>(sending.lost_on_path)},
        {"wired", static_cast<double>(sending.wired)},
        {"lost_on_wire", static_cast<double>(sending.lost_on_wire)},
        {"wanted", static_cast<double>(wanted)},
        {"received", static_cast<double>(received)},
        {"copies", ratio(received, sent)},
        {"lost", static_cast<double>(lost)},
        {"loss", ratio(lost, wanted)},
        {"duplicates", static_cast<double>(duplicates)},
        {"reordered", static_cast<double>(late)},
        {"reorder", ratio(late, received)},
        {"damaged", static_cast<double>(tally.damaged())},
        {"unwanted", static_cast<double>(tally.unwanted() + tally.beyond())},
        {"other", static_cast<double>(tally.other())},
        {"other_ratio", ratio(tally.other(), received)},
        {"silent_streams", static_cast<double>(silent)},
        {"offered_pps", static_cast<double>(sent) / seconds},
        {"goodput_pps", static_cast<double>(received) / seconds},
        {"fairness", fairness(shares)},
        {"worst_share", least},
        {"best_share", most},
        {"latency_p50_ms", latency.percentile(0.5) * kMilli},
        {"latency_p99_ms", latency.percentile(0.99) * kMilli},
        {"latency_p999_ms", latency.percentile(0.999) * kMilli},
        {"latency_max_ms", latency.max * kMilli},
        {"sender_late_p50_ms", sending.lateness.percentile(0.5) * kMilli},
        {"sender_late_p99_ms", sending.lateness.percentile(0.99) * kMilli},
        {"garbage", static_cast<double>(std::accumulate(sending.garbage.begin(), sending.garbage.end(), uint64_t{0}))},
    };
    for (size_t kind = 0; kind < kGarbageNames.size(); kind++)
        all.push_back({fmt::format("garbage_{}", kGarbageNames[kind]), static_cast<double>(sending.garbage[kind])});
    return all;
}

std::optional<double> find(const std::vector<Finding>& findings, std::string_view name) {
    const auto found = std::ranges::find(findings, name, &Finding::name);
    if (found == findings.end()) return std::nullopt;
    return found->value;
}

std::string table_of(const Tally& tally, const std::vector<Finding>& findings) {
    std::string text;
    for (const Finding& finding : findings)
        if (finding.value != 0) text += fmt::format("{:20} {:>16.6g}\n", finding.name, finding.value);
    const auto streams = tally.totals();
    std::vector<uint32_t> order(streams.size());
    std::iota(order.begin(), order.end(), 0u);
    const auto lost = [&](uint32_t s) {
        const uint64_t due = wanted_of(tally, s, streams[s]);
        return due - std::min(due, streams[s].received);
    };
    const size_t shown = std::min(kWorst, order.size());
    std::ranges::partial_sort(order, order.begin() + static_cast<std::ptrdiff_t>(shown), std::ranges::greater{}, lost);
    text += fmt::format("\n{:24}{:>6}{:>10}{:>12}{:>8}{:>8}{:>8}{:>10}{:>10}{:>10}   ms\n", "stream", "legs", "sent",
                        "received", "lost", "late", "twice", "p50", "p99", "p99.9");
    for (const uint32_t s : std::span(order).first(shown))
        text +=
            fmt::format("{:24}{:>6}{:>10}{:>12}{:>8}{:>8}{:>8}{:>10.3f}{:>10.3f}{:>10.3f}\n", name_of(tally, s),
                        streams[s].legs, streams[s].sent, streams[s].received, lost(s), streams[s].late,
                        streams[s].duplicates, streams[s].latency.percentile(0.5) * kMilli,
                        streams[s].latency.percentile(0.99) * kMilli, streams[s].latency.percentile(0.999) * kMilli);
    if (shown < streams.size())
        text += fmt::format("... of {} streams, those that lost most; --json FILE has all\n", streams.size());
    return text;
}

std::string json_of(const Tally& tally, const std::vector<Finding>& findings) {
    std::string text = "{";
    for (const Finding& finding : findings) text += fmt::format("\"{}\": {:.9g}, ", finding.name, finding.value);
    text += "\n \"latency_histogram\": [";
    const flow::Latency latency = tally.latency();
    for (size_t b = 0, shown = 0; b < latency.counts.size(); b++)
        if (latency.counts[b] != 0)
            text += fmt::format("{}[{:.9g}, {}]", shown++ == 0 ? "" : ", ", flow::LatencyHistogram::bound(b) * kMilli,
                                latency.counts[b]);
    text += "],\n \"by_stream\": [";
    const auto streams = tally.totals();
    for (uint32_t s = 0; s < streams.size(); s++)
        text += fmt::format(
            "{}\n  {{\"name\": \"{}\", \"legs\": {}, \"sent\": {}, \"wanted\": {}, \"received\": {}, \"reordered\": "
            "{}, "
            "\"duplicates\": {}, \"latency_p50_ms\": {:.6g}, \"latency_p99_ms\": {:.6g}, \"latency_p999_ms\": {:.6g}}}",
            s == 0 ? "" : ",", name_of(tally, s), streams[s].legs, streams[s].sent, wanted_of(tally, s, streams[s]),
            streams[s].received, streams[s].late, streams[s].duplicates, streams[s].latency.percentile(0.5) * kMilli,
            streams[s].latency.percentile(0.99) * kMilli, streams[s].latency.percentile(0.999) * kMilli);
    return text + "]}\n";
}

}  // namespace penstock::gen
