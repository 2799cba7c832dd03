#include "control/cli/show.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

namespace penstock::cli {
namespace {

using Row = std::vector<Cell>;

Cell numa(int node) { return node < 0 ? Cell{} : Cell{static_cast<uint64_t>(node)}; }

double jitter_ms(const mesh::Track& track, const rtp::ReceptionCounters& c) {
    return static_cast<double>(c.jitter.read()) / 16 / track.config.clock_rate * 1000;
}

uint64_t drops_of(const mesh::Output& output) {
    const mesh::Output::Extras& more = output.extras();
    uint64_t sum = 0;
    for (const auto* state : {output.state.get(), more.repair.get(), more.rows.get(), more.repeated.get()})
        for (size_t i = 0; state != nullptr && i < std::size(state->drops); i++) sum += state->drops[i].read();
    return sum;
}

std::string state_of(const PortFacts& port) { return port.why_down.empty() ? "up" : "down: " + port.why_down; }

Section latency_section(std::string title, Column of) {
    return {"latency",
            std::move(title),
            {std::move(of),
             {"packets", "packets"},
             {"p50_us", "p50"},
             {"p99_us", "p99"},
             {"p999_us", "p99.9"},
             {"max_us", "max"}},
            {}};
}

Row latency_row(Cell of, const flow::Latency& latency) {
    const auto us = [&](double share) { return latency.percentile(share) * 1e6; };
    return {std::move(of), latency.packets(), us(0.5), us(0.99), us(0.999), latency.max * 1e6};
}

Cell optional_text(const std::string& text) { return text.empty() ? Cell{} : Cell{text}; }

}  // namespace

Section state_of(const mesh::Mesh& mesh) {
    return {"state", "", {{"forwarding", "forwarding"}}, {Row{std::string(mesh.forwarding() ? "running" : "stopped")}}};
}

Report show_streams(const mesh::Mesh& mesh, uint64_t now) {
    Section s{"streams",
              "",
              {{"stream", "stream"},
               {"track", "track"},
               {"packets", "packets"},
               {"bytes", "bytes"},
               {"lost", "lost"},
               {"jitter_ms", "jitter ms"},
               {"paths", "paths"},
               {"legs", "legs"},
               {"legs_ready", "ready"},
               {"worker", "worker"}},
              {}};
    for (const mesh::Track* track : mesh.tracks()) {
        uint64_t packets = 0, bytes = 0, lost = 0, ready = 0;
        double jitter = 0;
        for (const mesh::Path& path : track->paths) {
            const auto& c = path.state->reception.counters();
            packets += c.packets.read();
            bytes += c.bytes.read();
            lost += metrics::lost(c, now);
            jitter = std::max(jitter, jitter_ms(*track, c));
        }
        for (const mesh::Output* leg : track->legs()) ready += leg->ready() ? 1 : 0;
        s.rows.push_back(Row{track->stream, track->name, packets, bytes, lost, jitter, uint64_t{track->paths.size()},
                             uint64_t{track->legs().size()}, ready, uint64_t{track->owner}});
    }
    return {{std::move(s)}};
}

Report show_stream(const mesh::Mesh& mesh, const mesh::Stream& stream, uint64_t now) {
    Section paths{"paths",
                  "paths",
                  {{"track", "track"},
                   {"path", "path"},
                   {"source", "source"},
                   {"packets", "packets"},
                   {"bytes", "bytes"},
                   {"lost", "lost"},
                   {"reordered", "reordered"},
                   {"duplicate", "duplicate"},
                   {"jitter_ms", "jitter ms"},
                   {"first_share", "share"},
                   {"behind_ms", "behind ms"},
                   {"rtcp_packets", "rtcp"},
                   {"ssrc_changes", ""},
                   {"restarts", ""},
                   {"ssrc", ""}},
                  {}};
    Section legs{"legs",
                 "legs",
                 {{"track", "track"},
                  {"leg", "leg"},
                  {"packets", "packets"},
                  {"bytes", "bytes"},
                  {"drops", "drops"},
                  {"rtcp_packets", "rtcp"},
                  {"repeated_packets", ""},
                  {"live_live_with", "beside"},
                  {"port", "port"},
                  {"mac", "next hop"},
                  {"source", "from"},
                  {"why_not", "why not"}},
                 {}};
    Section latency = latency_section("time in the worker since the start, sampled, us", {"track", "track"});
    for (const auto& track : stream.tracks) {
        latency.rows.push_back(latency_row(track->name, flow::Latency::of(*track->latency)));
        for (const mesh::Path& path : track->paths) {
            const auto& c = path.state->reception.counters();
            paths.rows.push_back(Row{track->name, path.name(), path.source.rtp.text(), c.packets.read(), c.bytes.read(),
                                     metrics::lost(c, now), c.reordered.read(), c.duplicate.read(),
                                     jitter_ms(*track, c), first_share(*track, path), behind_ms(*track, path),
                                     path.state->rtcp_packets.read(), c.ssrc_changes.read(), c.restarts.read(),
                                     c.ssrc.read()});
        }
        for (const mesh::Output* output : track->legs()) {
            const mesh::Output* const other = track->other_leg(*output);
            const auto& repeated = output->extras().repeated;
            const flow::Resolution way = output->over_tcp ? flow::Resolution{} : mesh.resolution(output->way->first);
            legs.rows.push_back(Row{
                track->name, output->name(), output->state->packets.read(), output->state->bytes.read(),
                drops_of(*output), output->rtcp_packets(), repeated ? Cell{repeated->packets.read()} : Cell{},
                other != nullptr ? Cell{other->name()} : Cell{}, way.hop ? Cell{mesh.port_name(way.hop->port)} : Cell{},
                way.hop ? Cell{way.hop->mac.text()} : Cell{}, way.hop ? Cell{way.hop->source.text()} : Cell{},
                optional_text(way.why_not)});
        }
    }
    return {{std::move(paths), std::move(legs), std::move(latency), late_joiners(stream), media_delivery(stream)}};
}

namespace {

// What beside its XDP mode and zero-copy keeps the port from being as fast as it could be for a track of this worker.
std::string why_not_faster(const PortFacts& port, uint16_t owner, const WorkerFacts* worker) {
    std::vector<std::string> all;
    if (port.info.driver == flow::Driver::af_packet)
        all.push_back("the kernel sees and copies every frame: af_xdp does without, see penstock doctor");
    const auto& polled_by = port.info.rx_workers;
    if (!polled_by.empty() && std::ranges::find(polled_by, owner) == polled_by.end()) {
        all.push_back(fmt::format("worker {} polls the port and hands over", fmt::join(polled_by, ", ")));
    } else if (polled_by.size() > 1 && port.flow_rules.value_or(0) == 0) {
        all.push_back("what the interface's hash puts on another worker's queue is handed over");
    }
    if (worker != nullptr && worker->numa_node >= 0 && port.numa_node >= 0 && worker->numa_node != port.numa_node)
        all.push_back(
            fmt::format("the device is on NUMA node {}, the worker's core on {}: choose cores of node {} in "
                        "workers.cores",
                        port.numa_node, worker->numa_node, port.numa_node));
    return fmt::format("{}", fmt::join(all, "; "));
}

}  // namespace

Report show_stream_path(const mesh::Mesh& mesh, const mesh::Stream& stream, const std::vector<PortFacts>& ports,
                        const std::vector<WorkerFacts>& workers) {
    Section in{"arrival",
               "arrival",
               {{"track", "track"},
                {"path", "path"},
                {"port", "port"},
                {"driver", "driver"},
                {"mode", "mode"},
                {"zero_copy", "zero-copy"},
                {"worker", "worker"},
                {"core", "core"},
                {"numa_node", "numa"},
                {"queues", "polls"},
                {"why", "why"}},
               {}};
    Section out{"departure",
                "departure",
                {{"track", "track"},
                 {"leg", "leg"},
                 {"port", "port"},
                 {"driver", "driver"},
                 {"worker", "worker"},
                 {"payload", "payload"},
                 {"why", "why"},
                 {"crypto", ""}},
                {}};
    for (const auto& track : stream.tracks) {
        const WorkerFacts* worker = track->owner < workers.size() ? &workers[track->owner] : nullptr;
        for (const mesh::Path& path : track->paths)
            for (const PortFacts& port : ports) {
                if (path.source.port && *path.source.port != port.info.name) continue;
                in.rows.push_back(Row{track->name, path.name(), port.info.name, port.driver,
                                      optional_text(port.steering), optional_text(port.zero_copy),
                                      uint64_t{track->owner}, worker ? Cell{uint64_t{worker->core}} : Cell{},
                                      worker ? numa(worker->numa_node) : Cell{}, worker ? Cell{worker->queues} : Cell{},
                                      optional_text(why_not_faster(port, track->owner, worker))});
            }
        for (const mesh::Output* output : track->legs()) {
            if (output->over_tcp) {
                out.rows.push_back(Row{track->name, output->name(), Cell{}, std::string("RTSP connection"),
                                       uint64_t{output->worker}, std::string("shared"),
                                       std::string("the kernel's TCP, written by the sender thread"), Cell{}});
                continue;
            }
            const flow::Resolution& way = mesh.resolution(output->way->first);
            if (!way.hop) {
                out.rows.push_back(Row{track->name, output->name(), Cell{}, Cell{}, uint64_t{output->worker}, Cell{},
                                       way.why_not, Cell{}});
                continue;
            }
            const PortFacts& port = ports[way.hop->port];
            const bool alone = track->legs().size() == 1;
            const bool shared = !alone && port.info.multi_segment;
            const bool train = port.info.trains_from != 0 && track->legs().size() >= port.info.trains_from;
            out.rows.push_back(
                Row{track->name, output->name(), port.info.name, port.driver, uint64_t{output->worker},
                    std::string(train    ? "train"
                                : alone  ? "in place"
                                : shared ? "shared"
                                         : "copied"),
                    std::string(train    ? "packets that came together leave as one, which the kernel cuts"
                                : alone  ? "the only leg: the packet itself leaves"
                                : shared ? "payloads below 64 bytes are copied: as cheap as a second segment"
                                         : "the driver cannot send chained buffers"),
                    Cell{}});
        }
    }
    return {{std::move(in), std::move(out)}};
}

Report show_workers(const mesh::Mesh& mesh, const std::vector<WorkerFacts>& workers) {
    Section s{"workers",
              "",
              {{"worker", "worker"},
               {"rx", "rx"},
               {"forwarded", "forwarded"},
               {"consumed", "consumed"},
               {"drops", "drops"},
               {"tx_wanted", "tx wanted"},
               {"sent", "sent"},
               {"tx_drops", "tx drops"},
               {"balanced", "balanced"},
               {"stalled", "stalled"}},
              {}};
    Section placement{"placement",
                      "what each was given to do, and does: packets taken and copies made a second",
                      {{"worker", "worker"},
                       {"core", "core"},
                       {"numa_node", "numa"},
                       {"queues", "queues"},
                       {"tracks", "tracks"},
                       {"legs", "legs"},
                       {"load", "load"}},
                      {}};
    Section latency = latency_section("time in the worker since the start, us", {"worker", "worker"});
    for (size_t w = 0; w < workers.size(); w++) {
        const flow::Ledger& l = workers[w].ledger;
        placement.rows.push_back(Row{uint64_t{w}, uint64_t{workers[w].core}, numa(workers[w].numa_node),
                                     workers[w].queues, uint64_t{workers[w].placed.tracks},
                                     uint64_t{workers[w].placed.outputs}, workers[w].placed.load});
        latency.rows.push_back(latency_row(uint64_t{w}, workers[w].latency));
        s.rows.push_back(Row{uint64_t{w}, l.rx, l.forwarded, l.consumed(), l.rx_drops(), l.tx_wanted, l.sent,
                             l.tx_drops(), l.balanced(), workers[w].stalled});
    }
    return {{std::move(s), std::move(placement), std::move(latency), state_of(mesh)}};
}

Report show_drops(const std::vector<WorkerFacts>& workers) {
    Section s{"drops", "", {{"reason", "reason"}, {"packets", "packets"}, {"of", "of"}}, {}};
    for (size_t d = 0; d < flow::kDrops; d++) {
        const auto reason = static_cast<flow::Drop>(d);
        uint64_t sum = 0;
        for (const WorkerFacts& worker : workers) sum += worker.ledger[reason];
        if (sum != 0)
            s.rows.push_back(Row{std::string(name(reason)), sum,
                                 std::string(reason < flow::kFirstTxDrop ? "arriving packets" : "copies")});
    }
    return {{std::move(s)}};
}

Report show_port_info(const std::vector<PortFacts>& ports) {
    Section s{"ports",
              "",
              {{"port", "port"},
               {"state", "state"},
               {"driver", "driver"},
               {"netdev", "netdev"},
               {"mac", "mac"},
               {"mtu", "mtu"},
               {"rx_queues", "rx"},
               {"tx_queues", "tx"},
               {"mode", "mode"},
               {"zero_copy", "zero-copy"},
               {"segmentation", "segmentation"},
               {"numa_node", "numa"},
               {"device", "device"},
               {"firmware", "firmware"},
               {"offloads", "offloads"},
               {"multicast", "multicast"},
               {"chained_buffers", "chained"},
               {"partial_checksums", ""},
               {"flow_rules", ""}},
              {}};
    for (const PortFacts& port : ports)
        s.rows.push_back(Row{port.info.name, state_of(port), port.driver, optional_text(port.info.netdev),
                             port.info.mac.text(), uint64_t{port.info.mtu}, uint64_t{port.rx_queues},
                             uint64_t{port.tx_queues}, optional_text(port.steering), optional_text(port.zero_copy),
                             optional_text(port.segmentation), numa(port.numa_node), optional_text(port.device),
                             optional_text(port.firmware), optional_text(port.offloads), optional_text(port.multicast),
                             port.info.multi_segment, port.info.partial_checksums,
                             port.flow_rules ? Cell{uint64_t{*port.flow_rules}} : Cell{}});
    return {{std::move(s)}};
}

Report show_port_counters(const std::vector<PortFacts>& ports, bool all) {
    static constexpr std::array<std::string_view, 8> kUsual{
        "rx_good_packets",  "tx_good_packets", "rx_good_bytes", "tx_good_bytes",
        "rx_missed_errors", "rx_errors",       "tx_errors",     "rx_mbuf_allocation_errors"};
    Section s{"counters", "", {{"port", "port"}, {"counter", "counter"}, {"value", "value"}}, {}};
    for (const PortFacts& port : ports)
        for (const auto& [counter, value] : port.counters)
            if (all || std::ranges::find(kUsual, counter) != kUsual.end())
                s.rows.push_back(Row{port.info.name, counter, value});
    return {{std::move(s)}};
}

}  // namespace penstock::cli
