#pragma once
// What a forwarder that has started gives up, for good: capabilities, and the way to get new ones.
#include <cstdint>

#include "base/result.hpp"

namespace penstock {

// In every thread of the process, those of DPDK too: effective becomes what `keep` (a bit a capability, as in
// /proc/self/status) and what was permitted have in common; permitted that and `reserve`; inheritable, ambient and, as
// far as CAP_SETPCAP allows, bounding become empty; no_new_privs is set. Threads that are made later inherit it.
Result<void> drop_privileges(uint64_t keep, uint64_t reserve);

// While it lives, what was reserved is effective in this thread: a port whose interface came back is opened again.
class Raised {
public:
    Raised();
    ~Raised();
    Raised(const Raised&) = delete;
    Raised& operator=(const Raised&) = delete;
};

}  // namespace penstock
