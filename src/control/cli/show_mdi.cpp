// The media delivery index of a stream's paths, of tracks of constant rate: a part of `show stream STREAM`.
#include "control/cli/show.hpp"

namespace penstock::cli {

Section media_delivery(const mesh::Stream& stream) {
    Section s{"mdi",
              "media delivery index (RFC 4445), of the last second",
              {{"track", "track"},
               {"path", "path"},
               {"delay_factor_ms", "DF ms"},
               {"delay_factor_max_ms", "most ms"},
               {"loss_rate", "MLR"},
               {"bit_rate", "bit/s"}},
              {}};
    for (const auto& track : stream.tracks)
        for (const mesh::Path& path : track->paths) {
            const rtp::MdiCounters& c = path.state->extras().mdi.counters();
            if (c.intervals.read() == 0) continue;
            s.rows.push_back({track->name, path.name(), static_cast<double>(c.delay_factor.read()) / 1000,
                              static_cast<double>(c.delay_factor_max.read()) / 1000, c.lost.read(), c.rate.read() * 8});
        }
    return s;
}

}  // namespace penstock::cli
