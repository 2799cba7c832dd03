#include "control/metrics/pulls.hpp"

#include <fmt/format.h>

#include "control/metrics/family.hpp"

namespace penstock::metrics {

// Names of streams are plain by configuration: nothing to escape.
std::string render(std::span<const PullOf> pulls) {
    if (pulls.empty()) return {};
    Family playing("rtsp_pull_playing", "gauge", "Whether the camera plays: 1 or 0.");
    Family connects("rtsp_pull_connects_total", "counter", "Tries to fetch the stream from its camera.");
    Family failures("rtsp_pull_failures_total", "counter", "Tries that failed, and sessions that broke, by reason.");
    Family unmet("rtsp_pull_unmet_tracks", "gauge",
                 "Entries of `tracks` that do nothing: the camera has no such track.");
    for (const auto& [stream, facts, entries] : pulls) {
        const std::string label = fmt::format("stream=\"{}\"", stream);
        playing.sample(label, static_cast<uint64_t>(facts.state == name(rtsp::Step::playing)));
        connects.sample(label, facts.connects);
        unmet.sample(label, uint64_t{entries});
        for (size_t f = 0; f < facts.failures.size(); f++)
            failures.sample(label, facts.failures[f], fmt::format(",reason=\"{}\"", rtsp::kFailureNames[f]));
    }
    return playing.text() + connects.text() + failures.text() + unmet.text();
}

}  // namespace penstock::metrics
