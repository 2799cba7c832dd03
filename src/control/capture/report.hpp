#pragma once
// The answer of `show capture`: the capture that runs, or the last one. Pure. docs/cli.md lists the JSON keys.
#include "control/capture/writer.hpp"
#include "control/cli/report.hpp"

namespace penstock::capture {

cli::Report show(const Plan& plan, const Progress& progress);
cli::Report show_none();

}  // namespace penstock::capture
