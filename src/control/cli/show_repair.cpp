// show stream STREAM repair: what FEC made good on arrival, and what is made of it for outputs.
#include <fmt/format.h>

#include <algorithm>

#include "control/cli/show.hpp"

namespace penstock::cli {

std::string text(const rtp::fec::Matrix& matrix) {
    return fmt::format("st2022-1 {}x{} {} {}", matrix.columns, matrix.rows, matrix.row_repair ? "row+column" : "column",
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
            in.rows.push_back(Row{track->name, std::string("fec"), c.recovered.read(), c.unrecovered.read(),
                                  c.repair_columns.read(), c.repair_rows.read(), c.unneeded.read(), c.useless.read(),
                                  c.refused.read(), c.restarts.read()});
        }
        for (const mesh::Encoding& encoding : track->encodings) {
            const auto legs = std::ranges::count_if(track->outputs,
                                                    [&](const mesh::Output& o) { return o.to.fec == encoding.matrix; });
            const auto& c = encoding.encoder->counters();
            out.rows.push_back(Row{track->name, text(encoding.matrix), static_cast<uint64_t>(legs), c.columns.read(),
                                   c.rows.read(), c.abandoned.read(), c.too_large.read()});
        }
    }
    return {{std::move(in), std::move(out)}};
}

}  // namespace penstock::cli
