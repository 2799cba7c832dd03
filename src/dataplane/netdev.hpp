#pragma once
// What the kernel says of a network interface that a driver sits on.
#include <string>
#include <vector>

#include "base/address.hpp"

namespace penstock::dataplane {

std::string kernel_driver(const std::string& interface);  // "veth", "ice"; empty: unknown

// Whether packets of this kernel driver may carry a UDP checksum that was left for a NIC to finish: interfaces that
// connect to a stack on the same machine, where no NIC ever comes.
bool carries_partial_checksums(const std::string& driver);

// The multicast addresses that the interface listens to by now, whoever joined them: groups, and what ND needs. In the
// order of the kernel.
std::vector<Mac> multicast_of(const std::string& interface);

}  // namespace penstock::dataplane
