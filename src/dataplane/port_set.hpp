#pragma once
// Which device queues each port has just now: immutable, published to the workers as the table is. A port whose netdev
// went is down in the next set; its devices are closed when no worker can be using them, and a later set has the new
// ones.
#include <cstdint>
#include <vector>

#include "dataplane/rcu.hpp"

namespace penstock::dataplane {

struct DeviceQueue {
    uint16_t ethdev = 0;
    uint16_t queue = 0;
};

struct PortQueues {
    bool up = true;
    bool partial_checksums = false;
    std::vector<DeviceQueue> rx, tx;  // empty when it is down
    std::vector<int> packet_sockets;  // by worker, of a port that segments; likewise
};

struct PortSet {
    uint64_t generation = 0;  // differs from set to set; an address may come again
    std::vector<PortQueues> ports;
};

}  // namespace penstock::dataplane
