// show stream STREAM repair: what the second path and FEC made good on arrival, and what is made of it for outputs.
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
    for (const mesh::Path& each : track.paths) all += each.state->arrivals.first.read();
    if (!track.merge || all == 0) return {};
    return static_cast<double>(path.state->arrivals.first.read()) / static_cast<double>(all);
}

Cell behind_ms(const mesh::Track& track, const mesh::Path& path) {
    if (!track.merge) return {};
    return track.merge->counters().behind(&path == &track.paths.front() ? 0 : 1) * 1000;
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
        if (!track->merge) continue;
        for (const mesh::Path& path : track->paths) {
            const rtp::Arrivals& a = path.state->arrivals;
            s.rows.push_back({track->name, path.name, a.first.read(), first_share(*track, path), a.second.read(),
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
    for (const auto& track : stream.tracks) {
        if (track->merge) {
            const auto& c = track->merge->counters();
            Row row(in.columns.size());
            row[0] = track->name;
            row[1] = std::string("path");
            row[2] = c.by_path.read();
            if (!track->decoder) row[3] = c.unrecovered.read();
            in.rows.push_back(std::move(row));
        }
        if (track->decoder) {
            const auto& c = track->decoder->counters();
            const auto came = [&](rtp::fec::Line line) { return c.repair[static_cast<size_t>(line)].read(); };
            in.rows.push_back(Row{track->name, std::string("fec"), c.recovered.read(), c.unrecovered.read(),
                                  came(rtp::fec::Line::column), came(rtp::fec::Line::row), came(rtp::fec::Line::mask),
                                  came(rtp::fec::Line::retransmission), c.unneeded.read(), c.useless.read(),
                                  c.refused.read(), c.restarts.read()});
        }
        for (const mesh::Encoding& encoding : track->encodings) {
            const auto legs = std::ranges::count_if(
                track->outputs, [&](const mesh::Output& o) { return o.to.fec && o.to.fec->code == encoding.code; });
            const auto& c = encoding.encoder->counters();
            out.rows.push_back(Row{track->name, text(encoding.code), static_cast<uint64_t>(legs), c.columns.read(),
                                   c.rows.read(), c.abandoned.read(), c.too_large.read()});
        }
    }
    return {{std::move(in), std::move(out), paths_of(stream)}};
}

}  // namespace penstock::cli
