#pragma once
// The operator's end of a capture: `penstock cli capture ...` stays until it has ended, and Ctrl-C ends it. The
// forwarder knows nothing of who waits: it is asked, again and again.
#include <chrono>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "control/cli/connection.hpp"

namespace penstock::cli {

struct Followed {
    bool ended = false;
    std::string wrong;  // why it ended badly; empty: it did not
};

// SIGINT and SIGTERM wait from here on until follow_capture() takes them.
void hold_interrupts();

// Until the capture that was just started or stopped has ended, or for so long; who stays to the end is shown how it
// goes on. Held interrupts stop the capture.
Result<Followed> follow_capture(Connection& connection, std::optional<std::chrono::milliseconds> at_most);

}  // namespace penstock::cli
