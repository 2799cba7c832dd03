#include "control/metrics/text.hpp"

#include <fmt/format.h>

#include <iterator>
#include <map>

namespace penstock::metrics {
namespace {

using rtp::ReceptionCounters;

// Writes families: HELP and TYPE once, then a sample for each labelled thing.
class Text {
public:
    void family(std::string_view name, std::string_view type, std::string_view help) {
        name_ = name;
        fmt::format_to(std::back_inserter(out_), "# HELP penstock_{0} {2}\n# TYPE penstock_{0} {1}\n", name, type,
                       help);
    }
    template <class Value>
    void sample(std::string_view labels, Value value) {
        suffixed("", labels, value);
    }
    template <class Value>
    void suffixed(std::string_view suffix, std::string_view labels, Value value) {  // _bucket, _sum, _count
        fmt::format_to(std::back_inserter(out_), "penstock_{}{}{{{}}} {}\n", name_, suffix, labels, value);
    }
    std::string take() { return std::move(out_); }

private:
    std::string out_;
    std::string name_;
};

std::string escaped(std::string_view value) {
    std::string out;
    for (const char c : value) {
        if (c == '\\' || c == '"') out += '\\';
        if (c == '\n') {
            out += "\\n";
        } else {
            out += c;
        }
    }
    return out;
}

std::string labels(const mesh::Track& track, std::string_view kind, std::string_view name) {
    return fmt::format("stream=\"{}\",track=\"{}\",{}=\"{}\"", escaped(track.stream), track.name, kind, escaped(name));
}

template <class Read>
void paths(Text& text, const View& view, std::string_view name, std::string_view type, std::string_view help,
           Read read) {
    text.family(name, type, help);
    for (const mesh::Track* track : view.mesh.tracks())
        for (const mesh::Path& path : track->paths)
            text.sample(labels(*track, "path", path.name), read(*track, path.state->reception.counters()));
}

void paths(Text& text, const View& view) {
    const auto counter = [&](std::string_view name, Counter ReceptionCounters::*field, std::string_view help) {
        paths(text, view, name, "counter", help,
              [&](const mesh::Track&, const ReceptionCounters& c) { return (c.*field).read(); });
    };
    counter("path_packets_total", &ReceptionCounters::packets, "RTP packets received, duplicates included.");
    counter("path_bytes_total", &ReceptionCounters::bytes, "Bytes of RTP received: headers and payload.");
    paths(text, view, "path_lost_packets_total", "counter", "RTP packets that never arrived (RFC 3550 A.3).",
          [&](const mesh::Track&, const ReceptionCounters& c) { return lost(c, view.now); });
    counter("path_duplicate_packets_total", &ReceptionCounters::duplicate, "RTP packets received more than once.");
    counter("path_reordered_packets_total", &ReceptionCounters::reordered, "RTP packets that came after a later one.");
    counter("path_ssrc_changes_total", &ReceptionCounters::ssrc_changes, "Times the path's SSRC changed.");
    counter("path_restarts_total", &ReceptionCounters::restarts, "Sequence jumps taken for a restarted source.");
    paths(text, view, "path_jitter_seconds", "gauge", "Interarrival jitter (RFC 3550 6.4.1).",
          [](const mesh::Track& track, const ReceptionCounters& c) {
              return static_cast<double>(c.jitter.read()) / 16 / track.config.clock_rate;
          });
    text.family("path_rtcp_packets_total", "counter", "RTCP packets received with the path.");
    for (const mesh::Track* track : view.mesh.tracks())
        for (const mesh::Path& path : track->paths)
            text.sample(labels(*track, "path", path.name), path.state->rtcp_packets.read());
}

template <class Read>
void legs(Text& text, const View& view, std::string_view name, std::string_view type, std::string_view help,
          Read read) {
    text.family(name, type, help);
    for (const mesh::Track* track : view.mesh.tracks())
        for (const mesh::Output& output : track->outputs) text.sample(labels(*track, "leg", output.name), read(output));
}

void legs(Text& text, const View& view) {
    legs(text, view, "leg_packets_total", "counter", "RTP packets given to the driver for this receiver.",
         [](const mesh::Output& o) { return o.rtp->packets.read(); });
    legs(text, view, "leg_bytes_total", "counter", "Bytes of IP that these packets had.",
         [](const mesh::Output& o) { return o.rtp->bytes.read(); });
    legs(text, view, "leg_rtcp_packets_total", "counter", "RTCP packets given to the driver for this receiver.",
         [](const mesh::Output& o) { return o.rtcp->packets.read(); });
    legs(text, view, "leg_ready", "gauge", "1 when the next hop is known, 0 while nothing can be sent.",
         [&](const mesh::Output& o) { return view.mesh.resolution(o.destination).hop ? 1 : 0; });
    text.family("leg_drops_total", "counter", "Copies, RTP and RTCP, that did not leave, by reason.");
    for (const mesh::Track* track : view.mesh.tracks())
        for (const mesh::Output& output : track->outputs)
            for (size_t d = static_cast<size_t>(flow::kFirstTxDrop); d <= static_cast<size_t>(flow::kLastLegDrop);
                 d++) {
                const auto reason = static_cast<flow::Drop>(d);
                text.sample(fmt::format("{},reason=\"{}\"", labels(*track, "leg", output.name), name(reason)),
                            output.rtp->drop(reason).read() + output.rtcp->drop(reason).read());
            }
}

void workers(Text& text, const View& view) {
    const auto each = [&](std::string_view name, std::string_view help, auto read) {
        text.family(name, "counter", help);
        for (size_t w = 0; w < view.ledgers.size(); w++)
            text.sample(fmt::format("worker=\"{}\"", w), read(view.ledgers[w]));
    };
    using flow::Ledger;
    const auto given = [&](std::string_view name, std::string_view help, size_t mesh::Placement::*what) {
        text.family(name, "gauge", help);
        for (size_t w = 0; w < view.ledgers.size() && w < view.mesh.placed().size(); w++)
            text.sample(fmt::format("worker=\"{}\"", w), view.mesh.placed()[w].*what);
    };
    given("worker_tracks", "Tracks that the worker owns.", &mesh::Placement::tracks);
    given("worker_legs", "Legs that the worker makes the copies for.", &mesh::Placement::outputs);
    each("worker_rx_packets_total", "Packets taken from rx queues and other workers.",
         [](const Ledger& l) { return l.rx; });
    each("worker_forwarded_packets_total", "Packets given to at least one leg.",
         [](const Ledger& l) { return l.forwarded; });
    text.family("worker_consumed_packets_total", "counter", "Packets dealt with otherwise, and not lost.");
    for (size_t w = 0; w < view.ledgers.size(); w++) {
        const Ledger& l = view.ledgers[w];
        const auto as = [&](std::string_view what, uint64_t n) {
            text.sample(fmt::format("worker=\"{}\",as=\"{}\"", w, what), n);
        };
        as("handed_over", l.handed_over);
        as("punted", l.punted);
        as("left_to_kernel", l.left_to_kernel);
        as("duplicate", l.duplicate);
    }
    each("worker_shared_out_packets_total", "Messages to other workers that serve some of a packet's legs.",
         [](const Ledger& l) { return l.shared_out; });
    each("worker_tx_wanted_packets_total", "Copies to send: one a leg.", [](const Ledger& l) { return l.tx_wanted; });
    each("worker_sent_packets_total", "Copies that the driver took.", [](const Ledger& l) { return l.sent; });
    text.family("worker_ledger_balanced", "gauge", "1: every packet is accounted for. 0 is a bug: please report it.");
    for (size_t w = 0; w < view.ledgers.size(); w++)
        text.sample(fmt::format("worker=\"{}\"", w), view.ledgers[w].balanced() ? 1 : 0);
    text.family("drops_total", "counter", "Packets and copies that went no further, by reason.");
    for (size_t w = 0; w < view.ledgers.size(); w++)
        for (size_t d = 0; d < flow::kDrops; d++)
            text.sample(fmt::format("worker=\"{}\",reason=\"{}\"", w, flow::kDropNames[d]), view.ledgers[w].drops[d]);
}

void latencies(Text& text, const View& view) {
    text.family("forward_latency_seconds", "histogram",
                "Time in a worker: from the rx burst to the end of the turn that sent the copies.");
    for (size_t w = 0; w < view.latencies.size(); w++) {
        const std::string worker = fmt::format("worker=\"{}\"", w);
        uint64_t sum = 0;
        for (size_t b = 0; b + 1 < flow::LatencyHistogram::kBuckets; b++) {
            sum += view.latencies[w]->count(b);
            text.suffixed("_bucket", fmt::format("{},le=\"{}\"", worker, flow::LatencyHistogram::bound(b)), sum);
        }
        sum += view.latencies[w]->count(flow::LatencyHistogram::kBuckets - 1);
        text.suffixed("_bucket", worker + ",le=\"+Inf\"", sum);
        text.suffixed("_sum", worker, view.latencies[w]->sum_seconds());
        text.suffixed("_count", worker, sum);
    }
}

void ports(Text& text, const View& view) {
    // A family's samples must stand together, so they are gathered over the ports first.
    std::map<std::string, std::vector<std::pair<std::string, uint64_t>>> families;
    for (const PortCounters& port : view.ports)
        for (const auto& [counter, value] : port.counters) {
            std::string name = counter;
            for (char& c : name)
                if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
            families[name].emplace_back(port.port, value);
        }
    for (const auto& [name, samples] : families) {
        text.family(fmt::format("port_{}_total", name), "counter", "Counter of the port's driver.");
        for (const auto& [port, value] : samples) text.sample(fmt::format("port=\"{}\"", port), value);
    }
    if (view.twins.empty()) return;
    text.family("port_twin_lost_packets_total", "counter", "Packets lost between the port and its kernel twin.");
    for (const TwinCounters& twin : view.twins) {
        text.sample(fmt::format("port=\"{}\",direction=\"to_kernel\"", twin.port), twin.lost_to_kernel);
        text.sample(fmt::format("port=\"{}\",direction=\"from_kernel\"", twin.port), twin.lost_from_kernel);
    }
}

}  // namespace

uint64_t lost(const ReceptionCounters& counters, uint64_t now) {
    constexpr uint64_t kSilent = uint64_t{1} << 32;      // a second
    const uint64_t last = counters.last_arrival.read();  // may be later than `now`: the worker goes on meanwhile
    const bool silent = last < now && now - last > kSilent;
    return counters.lost.read() + (silent ? counters.missing.read() : 0);
}

std::string render(const View& view) {
    Text text;
    text.family("build_info", "gauge", "Which penstock this is.");
    text.sample(fmt::format("version=\"{}\",node=\"{}\"", view.version, escaped(view.node)), 1);
    paths(text, view);
    legs(text, view);
    workers(text, view);
    latencies(text, view);
    ports(text, view);
    text.family("forwarding", "gauge", "1, or 0 while forwarding is stopped by the operator.");
    text.sample("", view.mesh.forwarding() ? 1 : 0);
    text.family("table_pending", "gauge", "Replaced tables that some worker may still be reading.");
    text.sample("", view.table_pending);
    return text.take();
}

}  // namespace penstock::metrics
