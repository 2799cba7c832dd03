#pragma once
// Questions and orders to the kernel's routing, one netlink message each.
#include <expected>
#include <string>
#include <utility>

#include "base/address.hpp"
#include "base/result.hpp"
#include "control/io/kernel_view.hpp"
#include "control/io/messages.hpp"
#include "control/io/netlink.hpp"

namespace penstock::io {

using RouteAnswer =
    std::expected<Route, int>;  // or an errno: ENETUNREACH, EHOSTUNREACH, EACCES (prohibit), EINVAL (blackhole)

class Kernel {
public:
    static Result<Kernel> open();
    Result<KernelView> view();  // links, addresses and neighbours as they are now
    // The way the kernel itself would send to `to`; `by`: the index of the link to leave by, 0 for any.
    RouteAnswer route(const Ip& to, int by);
    // Says that a neighbour is in use: the kernel asks for it (ARP, ND) if it is unknown or failed, and makes sure of
    // it if it is stale. A permanent one is left alone: newer kernels (5.16) would forget that it is. 0 or an errno.
    int use(const NeighbourKey& neighbour);
    // Writes a neighbour down for good. 0 or an errno.
    int write(const Neighbour& permanent);
    // Makes `own` an address of the interface, and its network one that is reached by it. 0 or an errno.
    int give(const std::string& netdev, const Prefix& own);

private:
    explicit Kernel(NetlinkRequests requests) : requests_(std::move(requests)) {}
    bool is_permanent(const NeighbourKey& key);
    NetlinkRequests requests_;
};

}  // namespace penstock::io
