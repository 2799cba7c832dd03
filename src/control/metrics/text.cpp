#include "control/metrics/text.hpp"

#include <fmt/format.h>

#include <array>
#include <map>
#include <span>

#include "control/metrics/family.hpp"
#include "control/metrics/labels.hpp"
#include "control/metrics/repair.hpp"

namespace penstock::metrics {
namespace {

using flow::Ledger;
using rtp::ReceptionCounters;

// Bounds of a histogram as they are exported, as powers of two of a microsecond: all for a worker; for a track, of
// which there may be thousands, every other one.
struct Bucket {
    size_t octaves;
    std::string more;
};
std::vector<Bucket> buckets(size_t step) {
    std::vector<Bucket> all;
    for (size_t o = 0; o <= flow::LatencyHistogram::kOctaves; o += step)
        all.push_back({o, fmt::format(",le=\"{}\"", static_cast<double>(uint64_t{1} << o) * 1e-6)});
    return all;
}

void histogram(Family& family, std::string_view labels, const flow::Latency& latency,
               std::span<const Bucket> exported) {
    // Read once: a later bucket must not be less than an earlier one.
    for (const Bucket& bucket : exported)
        family.suffixed("_bucket", labels, latency.below(bucket.octaves), bucket.more);
    const uint64_t all = latency.packets();
    family.suffixed("_bucket", labels, all, ",le=\"+Inf\"");
    family.suffixed("_sum", labels, latency.sum);
    family.suffixed("_count", labels, all);
}

void paths(std::string& out, const View& view) {
    struct Counted {
        Counter ReceptionCounters::*field;
        Family family;
    };
    std::array counted{Counted{&ReceptionCounters::packets,
                               {"path_packets_total", "counter", "RTP packets received, duplicates included."}},
                       Counted{&ReceptionCounters::bytes,
                               {"path_bytes_total", "counter", "Bytes of RTP received: headers and payload."}},
                       Counted{&ReceptionCounters::duplicate,
                               {"path_duplicate_packets_total", "counter", "RTP packets received more than once."}},
                       Counted{&ReceptionCounters::reordered,
                               {"path_reordered_packets_total", "counter", "RTP packets that came after a later one."}},
                       Counted{&ReceptionCounters::ssrc_changes,
                               {"path_ssrc_changes_total", "counter", "Times the path's SSRC changed."}},
                       Counted{&ReceptionCounters::restarts,
                               {"path_restarts_total", "counter", "Sequence jumps taken for a restarted source."}}};
    std::array others{
        Family{"path_lost_packets_total", "counter", "RTP packets that never arrived (RFC 3550 A.3)."},
        Family{"path_jitter_seconds", "gauge", "Interarrival jitter (RFC 3550 6.4.1)."},
        Family{"path_rtcp_packets_total", "counter", "RTCP packets received with the path."},
        Family{"path_mdi_delay_factor_seconds", "gauge", "Delay factor (RFC 4445) of the last second."},
        Family{"path_mdi_loss_rate", "gauge", "Media loss rate (RFC 4445): packets lost in the last second."},
        Family{"track_latency_seconds", "histogram",
               "Time in a worker, sampled: from the rx burst of one packet a turn to the end of the turn."},
        Family{"path_reports_total", "counter", "RTCP packets that the source was sent."},
        Family{"path_round_trip_seconds", "gauge", "To the source and back, by its answer to our reports."},
        Family{"path_byes_total", "counter", "Times that the source said that it ends."},
        Family{"path_key_frame_requests_total", "counter",
               "Key frames that receivers asked for: asked of the source, or one request for several."}};
    auto& [lost_packets, jitter, rtcp, delay_factor, loss_rate, latency, reports, round_trip, byes, key_frames] =
        others;
    const auto exported = buckets(2);
    for (const mesh::Track* track : view.mesh.tracks()) {
        const std::string of_track = labels_of(*track);
        for (const mesh::Path& path : track->paths) {
            const std::string labels = labelled(of_track, "path", path.name());
            const ReceptionCounters& c = path.state->reception.counters();
            for (Counted& counter : counted) counter.family.sample(labels, (c.*counter.field).read());
            lost_packets.sample(labels, lost(c, view.now));
            jitter.sample(labels, static_cast<double>(c.jitter.read()) / 16 / track->config.clock_rate);
            rtcp.sample(labels, path.state->rtcp_packets.read());
            const flow::Upstream& up = path.state->upstream;
            reports.sample(labels, up.reports.read());
            round_trip.sample(labels, static_cast<double>(up.round_trip.read()) * 0x1p-32);
            byes.sample(labels, path.state->byes.read());
            key_frames.sample(labels, up.key_frames.read(), ",as=\"asked\"");
            key_frames.sample(labels, up.key_frames_merged.read(), ",as=\"merged\"");
            const rtp::MdiCounters& mdi = path.state->extras().mdi.counters();
            if (mdi.intervals.read() == 0) continue;
            delay_factor.sample(labels, static_cast<double>(mdi.delay_factor.read()) * 1e-6);
            loss_rate.sample(labels, mdi.lost.read());
        }
        // A track that never forwarded has no times: eleven lines less.
        if (const auto sampled = flow::Latency::of(*track->latency); sampled.packets() != 0)
            histogram(latency, of_track, sampled, exported);
    }
    for (const Counted& counter : counted) join(out, {&counter.family, 1});
    join(out, others);
}

void late_joiners(std::string& out, const View& view) {
    std::array families{
        Family{"track_history_bytes", "gauge", "Memory that keeps packets for viewers that come late."},
        Family{"track_key_frames_total", "counter", "Key frames that began."},
        Family{"track_history_overruns_total", "counter", "Key frames that were overwritten before the next one."},
        Family{"track_late_joins_total", "counter", "Viewers that began to play, by what with."},
        Family{"track_late_joins_overtaken_total", "counter", "Times that what a viewer was to get was overwritten."}};
    auto& [bytes, key_frames, overruns, joins, overtaken] = families;
    for (const mesh::Track* track : view.mesh.tracks()) {
        if (!track->extras().history) continue;
        const std::string labels = labels_of(*track);
        const rtp::History& packets = track->extras().history->packets();
        const flow::LateCounters& c = std::as_const(*track->extras().history).counters();
        bytes.sample(labels, packets.memory());
        key_frames.sample(labels, packets.counters().key_frames.read());
        overruns.sample(labels, packets.counters().overruns.read());
        joins.sample(labels, c.with_picture.read(), ",with=\"picture\"");
        joins.sample(labels, c.without_picture.read(), ",with=\"live\"");
        overtaken.sample(labels, c.overtaken.read());
    }
    join(out, families);
}

void legs(std::string& out, const View& view) {
    std::array families{
        Family{"leg_packets_total", "counter", "RTP packets given to the driver for this receiver."},
        Family{"leg_bytes_total", "counter", "Bytes of IP that these packets had."},
        Family{"leg_rtcp_packets_total", "counter", "RTCP packets given to the driver for this receiver."},
        Family{"leg_repair_packets_total", "counter", "FEC packets given to the driver for this receiver."},
        Family{"leg_repeated_packets_total", "counter", "RTP packets sent once more (RFC 7198), given to the driver."},
        Family{"leg_redundant", "gauge", "1 while both legs of a live-live output can be sent to, else 0."},
        Family{"leg_ready", "gauge", "1 when the next hop is known, 0 while nothing can be sent."},
        Family{"leg_drops_total", "counter", "Copies, RTP, RTCP and FEC, that did not leave, by reason."}};
    auto& [packets, bytes, rtcp, repair, repeated, redundant, ready, drops] = families;
    constexpr auto kFirst = static_cast<size_t>(flow::kFirstTxDrop), kLast = static_cast<size_t>(flow::kLastLegDrop);
    std::vector<std::string> reasons;
    for (size_t d = kFirst; d <= kLast; d++) reasons.push_back(fmt::format(",reason=\"{}\"", flow::kDropNames[d]));
    for (const mesh::Track* track : view.mesh.tracks()) {
        const std::string of_track = labels_of(*track);
        for (const mesh::Output* output : track->legs()) {
            const std::string labels = labelled(of_track, "leg", output->name());
            packets.sample(labels, output->state->packets.read());
            bytes.sample(labels, output->state->bytes.read());
            rtcp.sample(labels, output->rtcp_packets());
            const mesh::Output::Extras& more = output->extras();
            if (more.repair) repair.sample(labels, more.repair->packets.read() + more.rows->packets.read());
            if (more.repeated) repeated.sample(labels, more.repeated->packets.read());
            if (const mesh::Output* other = track->other_leg(*output))
                redundant.sample(labels, output->ready() && other->ready() ? 1 : 0);
            ready.sample(labels, output->ready() ? 1 : 0);
            for (size_t d = kFirst; d <= kLast; d++) {
                const auto reason = static_cast<flow::Drop>(d);
                uint64_t sum = 0;
                for (flow::LegState* state : {output->state.get(), more.repair.get(), more.rows.get(),
                                              more.repeated.get(), more.feedback ? &more.feedback->resent : nullptr})
                    if (state != nullptr) sum += state->drop(reason).read();
                drops.sample(labels, sum, reasons[d - kFirst]);
            }
        }
    }
    join(out, families);
}

void workers(std::string& out, const View& view) {
    std::array families{
        Family{"worker_tracks", "gauge", "Tracks that the worker owns."},
        Family{"worker_legs", "gauge", "Legs that the worker makes the copies for."},
        Family{"worker_rx_packets_total", "counter", "Packets taken from rx queues and other workers."},
        Family{"worker_forwarded_packets_total", "counter", "Packets given to at least one leg."},
        Family{"worker_consumed_packets_total", "counter", "Packets dealt with otherwise, and not lost."},
        Family{"worker_shared_out_packets_total", "counter",
               "Messages to other workers that serve some of a packet's legs."},
        Family{"worker_tx_wanted_packets_total", "counter", "Copies to send: one a leg."},
        Family{"worker_sent_packets_total", "counter", "Copies that the driver took."},
        Family{"worker_ledger_balanced", "gauge", "1: every packet is accounted for. 0 is a bug: please report it."},
        Family{"worker_turns_total", "counter", "Rounds of the worker's loop, with packets or without."},
        Family{"worker_stalled", "gauge", "1 while the worker does not turn."},
        Family{"drops_total", "counter", "Packets and copies that went no further, by reason."},
        Family{"forward_latency_seconds", "histogram",
               "Time in a worker: from the rx burst to the end of the turn that sent the copies."}};
    auto& [tracks, legs, rx, forwarded, consumed, shared_out, wanted, sent, balanced, turns, stalled, drops, latency] =
        families;
    const auto exported = buckets(1);
    for (size_t w = 0; w < view.workers.size(); w++) {
        const WorkerView& worker = view.workers[w];
        const Ledger& l = worker.ledger;
        const std::string labels = fmt::format("worker=\"{}\"", w);
        if (w < view.mesh.placed().size()) {
            tracks.sample(labels, view.mesh.placed()[w].tracks);
            legs.sample(labels, view.mesh.placed()[w].outputs);
        }
        rx.sample(labels, l.rx);
        forwarded.sample(labels, l.forwarded);
        consumed.sample(labels, l.handed_over, ",as=\"handed_over\"");
        consumed.sample(labels, l.punted, ",as=\"punted\"");
        consumed.sample(labels, l.left_to_kernel, ",as=\"left_to_kernel\"");
        consumed.sample(labels, l.duplicate, ",as=\"duplicate\"");
        consumed.sample(labels, l.feedback, ",as=\"feedback\"");
        consumed.sample(labels, l.repair, ",as=\"repair\"");
        consumed.sample(labels, l.delayed, ",as=\"delayed\"");
        shared_out.sample(labels, l.shared_out);
        wanted.sample(labels, l.tx_wanted);
        sent.sample(labels, l.sent);
        balanced.sample(labels, l.balanced() ? 1 : 0);
        turns.sample(labels, worker.turns);
        stalled.sample(labels, worker.stalled ? 1 : 0);
        for (size_t d = 0; d < flow::kDrops; d++)
            drops.sample(labels, l.drops[d], fmt::format(",reason=\"{}\"", flow::kDropNames[d]));
        histogram(latency, labels, worker.latency, exported);
    }
    join(out, families);
}

void ports(std::string& out, const View& view) {
    Family up{"port_up", "gauge", "1 while the port can carry packets: what /readyz asks."};
    // By name, because the ports' samples of one counter must stand together.
    std::map<std::string, Family> counters;
    for (const PortView& port : view.ports) {
        const std::string labels = fmt::format("port=\"{}\"", port.port);
        up.sample(labels, port.up ? 1 : 0);
        std::map<std::string, uint64_t> values;  // two counters of a driver may become one name
        for (const auto& [counter, value] : port.counters) {
            std::string name = counter;
            for (char& c : name)
                if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
            values[name] += value;
        }
        for (const auto& [name, value] : values)
            counters.try_emplace(name, fmt::format("port_{}_total", name), "counter", "Counter of the port's driver.")
                .first->second.sample(labels, value);
    }
    join(out, {&up, 1});
    for (const auto& [name, family] : counters) join(out, {&family, 1});
    if (view.twins.empty()) return;
    Family twin{"port_twin_lost_packets_total", "counter", "Packets lost between the port and its kernel twin."};
    for (const TwinView& t : view.twins) {
        twin.sample(fmt::format("port=\"{}\"", t.port), t.lost_to_kernel, ",direction=\"to_kernel\"");
        twin.sample(fmt::format("port=\"{}\"", t.port), t.lost_from_kernel, ",direction=\"from_kernel\"");
    }
    join(out, {&twin, 1});
}

void memory(std::string& out, const View& view) {
    std::array families{Family{"mempool_free", "gauge", "Packet buffers that nobody holds."},
                        Family{"mempool_size", "gauge", "Packet buffers in all."},
                        Family{"table_pending", "gauge", "Replaced tables that some worker may still be reading."}};
    auto& [free, size, pending] = families;
    for (const PoolView& pool : view.pools) {
        const std::string labels = fmt::format("pool=\"{}\"", pool.pool);
        free.sample(labels, pool.free);
        size.sample(labels, pool.size);
    }
    pending.sample("", view.table_pending);
    join(out, families);
}

void ingest(std::string& out, const IngestView& in) {
    std::array families{Family{"ingest_packets_total", "counter", "RTP and RTCP that came by TCP, given to workers."},
                        Family{"ingest_bytes_total", "counter", "Bytes of RTP and RTCP that came by TCP."},
                        Family{"ingest_drops_total", "counter", "RTP and RTCP that came by TCP, dropped by reason."},
                        Family{"ingest_replies_total", "counter", "RTCP for sources by TCP, by what became of it."}};
    auto& [packets, bytes, drops, replies] = families;
    packets.sample("", in.packets);
    bytes.sample("", in.bytes);
    drops.sample("reason=\"too_long\"", in.too_long);
    drops.sample("reason=\"no_buffer\"", in.no_buffer);
    drops.sample("reason=\"ring_full\"", in.ring_full);
    replies.sample("result=\"told\"", in.told);
    replies.sample("result=\"gone\"", in.gone);
    join(out, families);
}

}  // namespace

uint64_t lost(const ReceptionCounters& counters, uint64_t now) {
    constexpr uint64_t kSilent = uint64_t{1} << 32;      // a second
    const uint64_t last = counters.last_arrival.read();  // may be later than `now`: the worker goes on meanwhile
    const bool silent = last < now && now - last > kSilent;
    return counters.lost.read() + (silent ? counters.missing.read() : 0);
}

std::string render(const View& view) {
    std::string out;
    Family build{"build_info", "gauge", "Which penstock this is."};
    build.sample(fmt::format("version=\"{}\",node=\"{}\"", view.version, escaped(view.node)), 1);
    join(out, {&build, 1});
    paths(out, view);
    live_live(out, view);
    tracks(out, view);
    late_joiners(out, view);
    legs(out, view);
    feedback(out, view);
    delays(out, view);
    workers(out, view);
    ports(out, view);
    Family forwarding{"forwarding", "gauge", "1, or 0 while forwarding is stopped by the operator."};
    forwarding.sample("", view.mesh.forwarding() ? 1 : 0);
    join(out, {&forwarding, 1});
    memory(out, view);
    ingest(out, view.ingest);
    return out;
}

}  // namespace penstock::metrics
