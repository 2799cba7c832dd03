#pragma once
// What a forwarder that has started gives up, for good: capabilities, and the way to get new ones.
#include <cstdint>

#include "base/result.hpp"

namespace penstock {

// In every thread of the process, those of DPDK too: effective and permitted become what `keep` (a bit a capability, as
// in /proc/self/status) and what was permitted have in common; inheritable, ambient and, as far as CAP_SETPCAP allows,
// bounding become empty; no_new_privs is set. Threads that are made later inherit it.
Result<void> drop_privileges(uint64_t keep);

}  // namespace penstock
