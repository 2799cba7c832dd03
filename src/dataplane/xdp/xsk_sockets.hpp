#pragma once
// The AF_XDP sockets of this process. DPDK's driver opens them and does not tell whether zero-copy was got;
// who compares the list before and after a port's start knows which sockets are the port's, and may ask the kernel.
#include <cstdint>
#include <optional>
#include <vector>

namespace penstock::dataplane {

std::vector<int> af_xdp_sockets();  // file descriptors, ascending
// Packets since it was opened that found the rx ring full. The driver counts others that were lost, but not these.
uint64_t found_ring_full(int af_xdp_fd);
std::optional<bool> zero_copy(int af_xdp_fd);  // of a bound socket; nothing when the kernel does not say

}  // namespace penstock::dataplane
