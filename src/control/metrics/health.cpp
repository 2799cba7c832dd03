#include "control/metrics/health.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace penstock::metrics {

Pulse::News Pulse::look(uint64_t turns, Instant now) {
    const Duration since = std::exchange(looked_, true) ? now - seen_ : Duration::zero();
    seen_ = now;
    if (turns != std::exchange(turns_, turns)) {
        pause_ = std::exchange(still_, Duration::zero());
        return std::exchange(stalled_, false) ? News::recovered : News::none;
    }
    // When control itself did not get to look for a while, the worker may have been kept away with it (a machine that
    // was suspended): that time does not count against the worker, only what a look usually takes.
    still_ += stalled_ ? since : std::min(since, 2 * kLook);
    if (stalled_ || still_ < kStalledAfter) return News::none;
    stalled_ = true;
    return News::stalled;
}

Readiness readiness(bool started, const std::vector<PortHealth>& ports, const std::vector<Pulse>& workers) {
    std::string why_not;
    if (!started) why_not += "starting: the next hops of the legs are looked up, for half a second at most\n";
    for (const PortHealth& port : ports)
        if (!port.why_not.empty()) why_not += fmt::format("port '{}': {}\n", port.port, port.why_not);
    for (size_t w = 0; w < workers.size(); w++)
        if (workers[w].stalled())
            why_not += fmt::format("worker {}: has not turned for {:.1f} s\n", w,
                                   std::chrono::duration<double>(workers[w].still()).count());
    if (why_not.empty()) return {true, "ready\n"};
    return {false, std::move(why_not)};
}

}  // namespace penstock::metrics
