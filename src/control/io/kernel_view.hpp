#pragma once
// The kernel's links, addresses and neighbours as last told. Pure: the same messages give the same view.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "control/io/messages.hpp"

namespace penstock::io {

// What one message changed.
struct Change {
    bool routes = false;  // the answer to a route lookup may be another now
    std::optional<NeighbourKey> neighbour;
    std::string netdev;  // the interface that came, went, or has other addresses or another MAC; empty: none
};

class KernelView {
public:
    Change apply(const nlmsghdr& message);

    const Link* link(int index) const;
    const Link* link(const std::string& name) const;
    std::vector<Address> addresses(int index) const;  // only usable ones
    const Neighbour* neighbour(const NeighbourKey& key) const;
    std::vector<Neighbour> permanent() const;  // those that somebody wrote down
    // The kernel was told that a stale neighbour is in use; it does not say so itself.
    void delay(const NeighbourKey& key);

private:
    Change set(Link link);
    Change remove(const Link& link);
    Change set(const Address& address);
    Change remove(const Address& address);
    Change set(const Neighbour& neighbour);

    std::map<int, Link> links_;
    std::map<std::string, int> indices_;  // by name: an interface that is made anew has a new index
    std::map<int, std::vector<Address>> addresses_;
    std::map<NeighbourKey, Neighbour> neighbours_;
};

}  // namespace penstock::io
