#pragma once
// What the kernel says over NETLINK_ROUTE, as values (rtnetlink(7)). Pure; every length is checked, since a message
// may be cut short and a newer kernel may say more than is known here.
#include <linux/netlink.h>

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "base/address.hpp"

namespace penstock::io {

struct Link {
    int index = 0;
    std::string name;
    bool up = false;       // an administrator wants it up
    bool carrier = false;  // and it can carry packets
    uint32_t mtu = 0;
    Mac mac;  // zero: it has none
    bool operator==(const Link&) const = default;
};

struct Address {
    int index = 0;
    Ip ip;
    uint8_t prefix_length = 0;
    uint8_t scope = 0;    // RT_SCOPE_*
    bool usable = false;  // IPv6: duplicate address detection has passed
    bool operator==(const Address&) const = default;
};

struct NeighbourKey {
    int index = 0;
    Ip ip;
    auto operator<=>(const NeighbourKey&) const = default;
};

struct Neighbour {
    NeighbourKey key;
    uint16_t state = 0;      // NUD_*
    std::optional<Mac> mac;  // absent: not known (yet)
    bool usable() const noexcept;
    bool permanent() const noexcept;  // written down by somebody: never asked for
    bool operator==(const Neighbour&) const = default;
};

struct Route {
    uint8_t type = 0;  // RTN_*
    int index = 0;     // of the link it leaves by; 0: none
    std::optional<Ip> gateway;
    std::optional<Ip> source;
    std::optional<uint32_t> mtu;
    bool cloned = false;  // the answer to one lookup, not a route of a table
    bool operator==(const Route&) const = default;
};

// Nothing, when it is not about IPv4, IPv6 or (links) the interface itself, or is cut short.
std::optional<Link> parse_link(const nlmsghdr& message);
std::optional<Address> parse_address(const nlmsghdr& message);
std::optional<Neighbour> parse_neighbour(const nlmsghdr& message);
std::optional<Route> parse_route(const nlmsghdr& message);
// Of NLMSG_ERROR and NLMSG_DONE: 0 or an errno.
int parse_error(const nlmsghdr& message);

// `bytes` must be aligned as nlmsghdr is. Stops at the first message that does not fit.
void for_each_message(std::span<const std::byte> bytes, const std::function<void(const nlmsghdr&)>& each);

}  // namespace penstock::io
