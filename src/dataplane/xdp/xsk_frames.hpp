#pragma once
// The packet buffers that lie in the rings of an AF_XDP socket. DPDK's driver forgets them when it closes the socket,
// about 2,048 a queue: a port that is opened anew again and again would use the pool up.
#include <cstdint>
#include <vector>

namespace penstock::dataplane {

// Offsets into the UMEM, of a socket that nobody uses any more. What the kernel holds itself just then is not among
// them.
std::vector<uint64_t> frames_in_rings(int af_xdp_fd);

}  // namespace penstock::dataplane
