#pragma once
// Neighbours that an operator wrote down for good (`ip neigh add ... nud permanent`), kept over what makes the kernel
// forget them. It forgets all of an interface, those too, whenever the MAC address of the interface is set, and be it
// to what it was: DPDK's af_packet driver does so at every start.
#include <vector>

#include "control/io/messages.hpp"

namespace penstock::io {

class KeptNeighbours {
public:
    KeptNeighbours();   // notes those that are there; none where the kernel cannot be asked
    ~KeptNeighbours();  // writes again those that are there no more
    KeptNeighbours(const KeptNeighbours&) = delete;
    KeptNeighbours& operator=(const KeptNeighbours&) = delete;

private:
    std::vector<Neighbour> noted_;
};

}  // namespace penstock::io
