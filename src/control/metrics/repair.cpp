#include "control/metrics/repair.hpp"

#include <array>

#include "control/metrics/labels.hpp"

namespace penstock::metrics {
namespace {

// Of 32.32 fixed point, as workers have it.
double seconds(uint64_t ticks) { return static_cast<double>(ticks) * 0x1p-32; }

}  // namespace

// Of tracks with two paths: which one wins, by how much, and what is of no use.
void live_live(std::string& out, const View& view) {
    struct Counted {
        Counter rtp::Arrivals::*field;
        Family family;
    };
    std::array counted{
        Counted{&rtp::Arrivals::first,
                {"path_first_packets_total", "counter", "RTP packets that this path brought first."}},
        Counted{&rtp::Arrivals::second, {"path_second_packets_total", "counter", "RTP packets that had come already."}},
        Counted{&rtp::Arrivals::late,
                {"path_late_packets_total", "counter", "RTP packets that came when the skew was over."}},
        Counted{&rtp::Arrivals::apart,
                {"path_apart_packets_total", "counter", "RTP packets of another source than the other path's."}}};
    std::array others{
        Family{"path_skew_seconds", "gauge", "How much the path is behind the other one; negative: ahead of it."},
        Family{"path_skew_max_seconds", "gauge", "The most that the path was behind the other one."},
        Family{"track_source_lives_total", "counter", "Lives of the source that were followed, the first included."}};
    auto& [skew, most, lives] = others;
    for (const mesh::Track* track : view.mesh.tracks()) {
        if (!track->two_paths()) continue;
        const std::string of_track = labels_of(*track);
        for (size_t p = 0; p < track->paths.size(); p++) {
            const std::string labels = labelled(of_track, "path", track->paths[p].name());
            const rtp::Arrivals& arrivals = track->paths[p].state->extras().arrivals;
            for (Counted& counter : counted) counter.family.sample(labels, (arrivals.*counter.field).read());
            skew.sample(labels, track->extras().merge->counters().behind(p));
            most.sample(labels, arrivals.most_behind());
        }
        lives.sample(of_track, track->extras().merge->counters().lives.read());
    }
    for (const Counted& counter : counted) join(out, {&counter.family, 1});
    join(out, others);
}
void tracks(std::string& out, const View& view) {
    std::array families{
        Family{"track_recovered_packets_total", "counter", "Packets that did not arrive and were made good."},
        Family{"track_unrecovered_packets_total", "counter", "Packets that neither arrived nor were made good."},
        Family{"track_repair_packets_total", "counter", "FEC packets received."},
        Family{"track_asked_packets_total", "counter", "Packets that the source was asked for again, each time."},
        Family{"track_not_asked_packets_total", "counter", "Times that a packet was not asked for again, by reason."},
        Family{"track_nack_round_trip_seconds", "gauge", "From asking the source for a packet to its arrival."}};
    auto& [recovered, unrecovered, repair, asked, not_asked, round_trip] = families;
    for (const mesh::Track* track : view.mesh.tracks()) {
        const std::string labels = labels_of(*track);
        if (track->extras().decoder || track->extras().merge) unrecovered.sample(labels, track->unrecovered());
        if (track->two_paths())
            recovered.sample(labels, track->extras().merge->counters().by_path.read(), ",by=\"path\"");
        if (track->extras().asking) {
            const rtp::AskingCounters& c = track->extras().asking->counters();
            recovered.sample(labels, c.recovered.read(), ",by=\"nack\"");
            asked.sample(labels, c.asked.read());
            not_asked.sample(labels, c.over_budget.read(), ",reason=\"over_budget\"");
            round_trip.sample(labels, seconds(c.round_trip.read()));
        }
        if (!track->extras().decoder) continue;
        const rtp::fec::DecoderCounters& c = track->extras().decoder->counters();
        recovered.sample(labels, c.recovered.read(), ",by=\"fec\"");
        static constexpr std::array<std::string_view, rtp::fec::kLines> kLines{
            ",line=\"column\"", ",line=\"row\"", ",line=\"mask\"", ",line=\"retransmission\""};
        for (size_t i = 0; i < kLines.size(); i++) repair.sample(labels, c.repair[i].read(), kLines[i]);
    }
    join(out, families);
}

// Of tracks with `delay`: what waits for packets before it.
void delays(std::string& out, const View& view) {
    std::array families{
        Family{"track_delayed_packets", "gauge", "Packets that wait for one before them just now."},
        Family{"track_reordered_packets_total", "counter", "Packets that waited and left in order."},
        Family{"track_late_packets_total", "counter", "Packets that came when later ones had left: dropped."},
        Family{"track_passed_over_packets_total", "counter", "Packets that were not waited for any longer."},
        Family{"track_delay_cut_short_total", "counter", "Times that packets left early, for want of buffers."}};
    auto& [held, reordered, late, missing, cut_short] = families;
    for (const mesh::Track* track : view.mesh.tracks()) {
        if (!track->extras().reorder) continue;
        const std::string labels = labels_of(*track);
        const flow::ReorderCounters& c = track->extras().reorder->counters();
        held.sample(labels, c.held.read());
        reordered.sample(labels, c.reordered.read());
        late.sample(labels, c.late.read());
        missing.sample(labels, c.missing.read());
        cut_short.sample(labels, c.cut_short.read());
    }
    join(out, families);
}

// What receivers say, and are answered.
void feedback(std::string& out, const View& view) {
    std::array families{
        Family{"leg_reported_lost_packets_total", "counter", "RTP packets that the receiver says it lost, by RTCP."},
        Family{"leg_round_trip_seconds", "gauge", "To the receiver and back, by its last report."},
        Family{"leg_asked_packets_total", "counter", "Packets that the receiver asked for again."},
        Family{"leg_resent_packets_total", "counter", "Packets given to the driver once more for this receiver."},
        Family{"leg_not_resent_packets_total", "counter", "Packets asked for again and not sent, by reason."},
        Family{"leg_key_frame_requests_total", "counter", "Key frames that the receiver asked for."}};
    auto& [lost, round_trip, asked, resent, not_resent, key_frames] = families;
    const auto sample = [&](const std::string& labels, const flow::Feedback& f) {
        lost.sample(labels, f.lost.read());
        round_trip.sample(labels, seconds(f.round_trip.read()));
        asked.sample(labels, f.asked.read());
        resent.sample(labels, f.resent.packets.read());
        not_resent.sample(labels, f.not_kept.read(), ",reason=\"not_kept\"");
        not_resent.sample(labels, f.over_budget.read(), ",reason=\"over_budget\"");
        key_frames.sample(labels, f.key_frames.read());
    };
    for (const mesh::Track* track : view.mesh.tracks()) {
        const std::string of_track = labels_of(*track);
        for (const mesh::Output& output : track->outputs)
            if (const auto& feedback = output.extras().feedback)
                sample(labelled(of_track, "leg", output.name()), *feedback);
        for (const mesh::Viewer* viewer : track->extras().viewers)
            sample(labelled(of_track, "leg", viewer->leg.name()), *viewer->feedback);
    }
    join(out, families);
}

}  // namespace penstock::metrics
