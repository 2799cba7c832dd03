#pragma once
// What the kernel says of a network interface that a driver sits on.
#include <string>

namespace penstock::dataplane {

std::string kernel_driver(const std::string& interface);  // "veth", "ice"; empty: unknown

// Whether packets of this kernel driver may carry a UDP checksum that was left for a NIC to finish: interfaces that
// connect to a stack on the same machine, where no NIC ever comes.
bool carries_partial_checksums(const std::string& driver);

}  // namespace penstock::dataplane
