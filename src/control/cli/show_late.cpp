// What tracks of a stream keep for viewers that come late: a part of `show stream STREAM`.
#include <utility>

#include "control/cli/show.hpp"

namespace penstock::cli {

Section late_joiners(const mesh::Stream& stream) {
    Section s{"late_joiners",
              "for viewers that come late",
              {{"track", "track"},
               {"memory", "memory"},
               {"key_frames", "key frames"},
               {"overruns", "overruns"},
               {"restarts", "restarts"},
               {"with_picture", "with picture"},
               {"without_picture", "without"},
               {"overtaken", "overtaken"}},
              {}};
    for (const auto& track : stream.tracks) {
        if (!track->extras().history) continue;
        const rtp::History& packets = track->extras().history->packets();
        const flow::LateCounters& c = std::as_const(*track->extras().history).counters();
        s.rows.push_back({track->name, uint64_t{packets.memory()}, packets.counters().key_frames.read(),
                          packets.counters().overruns.read(), packets.counters().restarts.read(), c.with_picture.read(),
                          c.without_picture.read(), c.overtaken.read()});
    }
    return s;
}

}  // namespace penstock::cli
