#include "control/capture/report.hpp"

namespace penstock::capture {
namespace {

cli::Report with(std::vector<std::vector<cli::Cell>> rows) {
    return {{{"captures",
              "",
              {{"number", "number"},
               {"what", "what"},
               {"file", "file"},
               {"state", "state"},
               {"count", "of"},
               {"packets", "packets"},
               {"bytes", "bytes"},
               {"rate", ""},
               {"missed_by_rate", "over rate"},
               {"missed_by_ring", "disk slow"},
               {"failed", ""},
               {"running", ""}},
              std::move(rows)}}};
}

}  // namespace

cli::Report show(const Plan& plan, const Progress& progress) {
    return with(
        {{plan.number, plan.what, plan.file, progress.ending, plan.count, progress.packets, progress.bytes,
          uint64_t{plan.rate}, progress.missed_by_rate, progress.missed_by_ring, progress.failed, progress.running}});
}

cli::Report show_none() { return with({}); }

}  // namespace penstock::capture
