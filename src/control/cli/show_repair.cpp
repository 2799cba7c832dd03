// show stream STREAM repair: what the second path, FEC and retransmission made good on arrival, what is made of FEC for
// outputs, and what receivers were sent again.
#include <fmt/format.h>

#include <algorithm>

#include "control/cli/show.hpp"

namespace penstock::cli {

std::string text(const rtp::fec::Carriage& carriage) {
    using rtp::fec::Scheme;
    if (carriage.scheme == Scheme::st2022_1) return "st2022-1";
    return fmt::format("{} {}", carriage.scheme == Scheme::flexfec ? "flexfec" : "ulpfec", carriage.payload_type);
}

std::string text(const rtp::fec::Code& code) {
    const rtp::fec::Matrix& matrix = code.matrix;
    const std::string how = text(code.carriage) + (code.mask ? " mask" : "");
    if (!matrix.column_repair) return fmt::format("{} {} row", how, matrix.columns);
    return fmt::format("{} {}x{} {} {}", how, matrix.columns, matrix.rows, matrix.row_repair ? "row+column" : "column",
                       matrix.staggered ? "staggered" : "block");
}

Cell first_share(const mesh::Track& track, const mesh::Path& path) {
    uint64_t all = 0;
    for (const mesh::Path& each : track.paths) all += each.state->extras().arrivals.first.read();
    if (!track.two_paths() || all == 0) return {};
    return static_cast<double>(path.state->extras().arrivals.first.read()) / static_cast<double>(all);
}

Cell behind_ms(const mesh::Track& track, const mesh::Path& path) {
    if (!track.two_paths()) return {};
    return track.extras().merge->counters().behind(&path == &track.paths.front() ? 0 : 1) * 1000;
}

namespace {

// Of tracks with two: which path wins, and by how much.
Section paths_of(const mesh::Stream& stream) {
    Section s{"paths",
              "of two paths",
              {{"track", "track"},
               {"path", "path"},
               {"first", "first"},
               {"first_share", "share"},
               {"second", "second"},
               {"late", "late"},
               {"apart", "apart"},
               {"behind_ms", "behind ms"},
               {"behind_max_ms", "most ms"},
               {"skew_ms", "skew ms"}},
              {}};
    for (const auto& track : stream.tracks) {
        if (!track->two_paths()) continue;
        for (const mesh::Path& path : track->paths) {
            const rtp::Arrivals& a = path.state->extras().arrivals;
            s.rows.push_back({track->name, path.name(), a.first.read(), first_share(*track, path), a.second.read(),
                              a.late.read(), a.apart.read(), behind_ms(*track, path), a.most_behind() * 1000,
                              static_cast<double>(track->config.skew.count()) / 1000});
        }
    }
    return s;
}

}  // namespace

Report show_stream_repair(const mesh::Stream& stream) {
    using Row = std::vector<Cell>;
    Section in{"received",
               "received",
               {{"track", "track"},
                {"by", "by"},
                {"recovered", "recovered"},
                {"unrecovered", "unrecovered"},
                {"repair_columns", "columns"},
                {"repair_rows", "rows"},
                {"repair_masks", "masks"},
                {"repair_retransmissions", "resent"},
                {"unneeded", "unneeded"},
                {"useless", "useless"},
                {"refused", "refused"},
                {"restarts", ""}},
               {}};
    Section out{"sent",
                "made for outputs",
                {{"track", "track"},
                 {"fec", "fec"},
                 {"legs", "legs"},
                 {"repair_columns", "columns"},
                 {"repair_rows", "rows"},
                 {"abandoned", "abandoned"},
                 {"too_large", "too large"}},
                {}};
    Section asked{"asked",
                  "asked of sources",
                  {{"track", "track"},
                   {"asked", "asked"},
                   {"recovered", "recovered"},
                   {"unrecovered", "unrecovered"},
                   {"over_budget", "over budget"},
                   {"round_trip_seconds", "rtt s"}},
                  {}};
    Section resent{"resent",
                   "asked by receivers",
                   {{"track", "track"},
                    {"leg", "leg"},
                    {"asked", "asked"},
                    {"resent", "resent"},
                    {"not_kept", "not kept"},
                    {"over_budget", "over budget"},
                    {"key_frames", "key frames"},
                    {"lost", "lost there"},
                    {"round_trip_seconds", "rtt s"}},
                   {}};
    Section delayed{"delayed",
                    "in order",
                    {{"track", "track"},
                     {"delay_ms", "delay ms"},
                     {"held", "held"},
                     {"reordered", "reordered"},
                     {"late", "late"},
                     {"passed_over", "passed over"},
                     {"cut_short", "cut short"}},
                    {}};
    const auto seconds = [](uint64_t ticks) { return static_cast<double>(ticks) * 0x1p-32; };  // of 32.32 fixed point
    for (const auto& track : stream.tracks) {
        if (track->two_paths()) {
            Row row(in.columns.size());
            row[0] = track->name;
            row[1] = std::string("path");
            row[2] = track->extras().merge->counters().by_path.read();
            if (!track->extras().decoder && !track->extras().asking) row[3] = track->unrecovered();
            in.rows.push_back(std::move(row));
        }
        if (track->extras().asking) {
            const auto& c = track->extras().asking->counters();
            asked.rows.push_back(Row{track->name, c.asked.read(), c.recovered.read(), track->unrecovered(),
                                     c.over_budget.read(), seconds(c.round_trip.read())});
        }
        if (track->extras().reorder) {
            const auto& c = track->extras().reorder->counters();
            delayed.rows.push_back(Row{track->name, static_cast<uint64_t>(track->config.delay.count()), c.held.read(),
                                       c.reordered.read(), c.late.read(), c.missing.read(), c.cut_short.read()});
        }
        const auto heard = [&](const std::string& leg, const flow::Feedback& f) {
            resent.rows.push_back(Row{track->name, leg, f.asked.read(), f.resent.packets.read(), f.not_kept.read(),
                                      f.over_budget.read(), f.key_frames.read(), f.lost.read(),
                                      seconds(f.round_trip.read())});
        };
        for (const mesh::Output& output : track->outputs)
            if (const auto& feedback = output.extras().feedback) heard(output.name(), *feedback);
        for (const mesh::Viewer* viewer : track->extras().viewers) heard(viewer->leg.name(), *viewer->feedback);
        if (track->extras().decoder) {
            const auto& c = track->extras().decoder->counters();
            const auto came = [&](rtp::fec::Line line) { return c.repair[static_cast<size_t>(line)].read(); };
            Row row{track->name,
                    std::string("fec"),
                    c.recovered.read(),
                    {},
                    came(rtp::fec::Line::column),
                    came(rtp::fec::Line::row),
                    came(rtp::fec::Line::mask),
                    came(rtp::fec::Line::retransmission),
                    c.unneeded.read(),
                    c.useless.read(),
                    c.refused.read(),
                    c.restarts.read()};
            if (!track->extras().asking) row[3] = track->unrecovered();
            in.rows.push_back(std::move(row));
        }
        for (const mesh::Encoding& encoding : track->extras().encodings) {
            const auto legs = std::ranges::count_if(
                track->outputs, [&](const mesh::Output& o) { return o.to.fec && o.to.fec->code == encoding.code; });
            const auto& c = encoding.encoder->counters();
            out.rows.push_back(Row{track->name, text(encoding.code), static_cast<uint64_t>(legs), c.columns.read(),
                                   c.rows.read(), c.abandoned.read(), c.too_large.read()});
        }
    }
    return {{std::move(in), std::move(out), paths_of(stream), std::move(asked), std::move(resent), std::move(delayed)}};
}

}  // namespace penstock::cli
