#pragma once
// How a copy reaches its receiver: asked by the model per output, answered by control/io from the kernel's routes.
#include <compare>
#include <cstdint>
#include <optional>
#include <string>

#include "base/address.hpp"

namespace penstock::flow {

struct Destination {
    Ip ip;
    std::optional<uint16_t> port;  // PortInfo::index the copy must leave by; absent: by the kernel's routes
    auto operator<=>(const Destination&) const = default;
};

struct NextHop {
    uint16_t port = 0;  // PortInfo::index
    Mac mac;            // of the neighbour, or of the multicast group
    Ip source;          // our address on that path
    uint16_t mtu = 0;   // bytes of IP: the lesser of link and route
    bool operator==(const NextHop&) const = default;
};

// A next hop, or why there is none yet ("neighbour 10.0.1.20 on eth1 does not answer").
struct Resolution {
    std::optional<NextHop> hop;
    std::string why_not;
    bool operator==(const Resolution&) const = default;
};

}  // namespace penstock::flow
