#pragma once
// The AF_XDP sockets of this process. DPDK's driver opens them and does not tell whether zero-copy was got;
// who compares the list before and after a port's start knows which sockets are the port's, and may ask the kernel.
#include <optional>
#include <vector>

namespace penstock::dataplane {

std::vector<int> af_xdp_sockets();             // file descriptors, ascending
std::optional<bool> zero_copy(int af_xdp_fd);  // of a bound socket; nothing when the kernel does not say

}  // namespace penstock::dataplane
