#pragma once
// Which DPDK virtual devices a port is made of: names and arguments, as the drivers of DPDK 22.11 to 24.11 take them.
#include <string>
#include <vector>

#include "dataplane/port.hpp"

namespace penstock::dataplane {

struct Vdev {
    std::string name;
    std::string arguments;
    uint16_t queues = 1;
};

// Empty for a pci port: its device exists already.
std::vector<Vdev> vdevs_of(const PortPlan& plan, uint16_t index);

}  // namespace penstock::dataplane
