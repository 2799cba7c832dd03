#pragma once
// The choice of port, gateway and source address for a destination, from the kernel's routes or, for a port without a
// kernel twin, from its configuration. Pure, but for the route lookup that it is given.
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "control/io/kernel.hpp"
#include "control/io/kernel_view.hpp"
#include "flow/next_hop.hpp"
#include "flow/port.hpp"

namespace penstock::io {

struct Way {
    flow::NextHop hop;                      // its MAC is the neighbour's, once that is known
    std::optional<NeighbourKey> neighbour;  // whose MAC is needed; absent: hop is complete
    std::string why_not;                    // there is no way; empty: there is one
};

using AskRoute = std::function<RouteAnswer(const Ip& to, int by)>;

Way way_to(const flow::Destination& to, const std::vector<flow::PortInfo>& ports, const KernelView& view,
           const AskRoute& ask_route);

}  // namespace penstock::io
