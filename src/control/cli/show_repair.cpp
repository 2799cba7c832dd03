// show stream STREAM repair: what FEC made good on arrival, and what is made of it for outputs.
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
    return {{std::move(in), std::move(out)}};
}

}  // namespace penstock::cli
