#pragma once
// DPDK makes a directory for each process (/run/dpdk/penstock-PID, with the telemetry socket in it, for its owner
// alone) and leaves it behind. We do not.
#include <string>

namespace penstock::dataplane {

void remove_runtime_directory(const std::string& ours);

// Those of penstocks that were killed: beside ours, of a process that is gone, with no one at the socket.
void remove_stale_siblings(const std::string& ours);

}  // namespace penstock::dataplane
