#include "control/io/kernel_view.hpp"

#include <linux/rtnetlink.h>

#include <algorithm>
#include <utility>

namespace penstock::io {

Change KernelView::apply(const nlmsghdr& message) {
    switch (message.nlmsg_type) {
        case RTM_NEWLINK:
            if (auto link = parse_link(message)) return set(std::move(*link));
            break;
        case RTM_DELLINK:
            if (const auto link = parse_link(message)) return remove(*link);
            break;
        case RTM_NEWADDR:
            if (const auto address = parse_address(message)) return set(*address);
            break;
        case RTM_DELADDR:
            if (const auto address = parse_address(message)) return remove(*address);
            break;
        case RTM_NEWNEIGH:
            if (const auto neighbour = parse_neighbour(message)) return set(*neighbour);
            break;
        case RTM_DELNEIGH:
            if (const auto neighbour = parse_neighbour(message); neighbour && neighbours_.erase(neighbour->key) > 0)
                return {.routes = false, .neighbour = neighbour->key, .netdev = ""};
            break;
        case RTM_NEWROUTE:
        case RTM_DELROUTE:
            if (const auto route = parse_route(message))
                return {.routes = !route->cloned, .neighbour = {}, .netdev = ""};
            break;
        case RTM_NEWRULE:
        case RTM_DELRULE:
        case RTM_NEWNEXTHOP:
        case RTM_DELNEXTHOP: return {.routes = true, .neighbour = {}, .netdev = ""};
        default: break;
    }
    return {};
}

Change KernelView::set(Link link) {
    Link& known = links_[link.index];
    if (known == link) return {};
    const bool other = known.name != link.name || known.mac != link.mac;
    if (const auto name = indices_.find(known.name); name != indices_.end() && name->second == link.index)
        indices_.erase(name);  // renamed
    indices_[link.name] = link.index;
    known = std::move(link);
    return {.routes = true, .neighbour = {}, .netdev = other ? known.name : ""};
}

Change KernelView::remove(const Link& link) {
    const auto known = links_.find(link.index);
    if (known == links_.end()) return {};
    const std::string name = known->second.name;
    links_.erase(known);
    if (const auto index = indices_.find(name); index != indices_.end() && index->second == link.index)
        indices_.erase(index);
    addresses_.erase(link.index);
    neighbours_.erase(neighbours_.lower_bound({link.index, Ip{}}), neighbours_.lower_bound({link.index + 1, Ip{}}));
    return {.routes = true, .neighbour = {}, .netdev = name};
}

Change KernelView::set(const Address& address) {
    auto& all = addresses_[address.index];
    const auto known = std::ranges::find_if(
        all, [&](const Address& a) { return a.ip == address.ip && a.prefix_length == address.prefix_length; });
    if (known != all.end()) {
        if (*known == address) return {};  // lifetimes are not kept
        *known = address;
    } else {
        all.push_back(address);
    }
    const Link* on = link(address.index);
    return {.routes = true, .neighbour = {}, .netdev = on != nullptr ? on->name : ""};
}

Change KernelView::remove(const Address& address) {
    const auto all = addresses_.find(address.index);
    if (all == addresses_.end()) return {};
    const auto removed = std::erase_if(
        all->second, [&](const Address& a) { return a.ip == address.ip && a.prefix_length == address.prefix_length; });
    if (removed == 0) return {};
    const Link* on = link(address.index);
    return {.routes = true, .neighbour = {}, .netdev = on != nullptr ? on->name : ""};
}

Change KernelView::set(const Neighbour& neighbour) {
    Neighbour& known = neighbours_[neighbour.key];
    if (known == neighbour) return {};
    known = neighbour;
    return {.routes = false, .neighbour = neighbour.key, .netdev = ""};
}

const Link* KernelView::link(int index) const {
    const auto found = links_.find(index);
    return found == links_.end() ? nullptr : &found->second;
}

const Link* KernelView::link(const std::string& name) const {
    const auto found = indices_.find(name);
    return found == indices_.end() ? nullptr : link(found->second);
}

std::vector<Address> KernelView::addresses(int index) const {
    std::vector<Address> usable;
    if (const auto all = addresses_.find(index); all != addresses_.end())
        std::ranges::copy_if(all->second, std::back_inserter(usable), &Address::usable);
    return usable;
}

const Neighbour* KernelView::neighbour(const NeighbourKey& key) const {
    const auto found = neighbours_.find(key);
    return found == neighbours_.end() ? nullptr : &found->second;
}

std::vector<Neighbour> KernelView::permanent() const {
    std::vector<Neighbour> all;
    for (const auto& [key, neighbour] : neighbours_)
        if (neighbour.permanent()) all.push_back(neighbour);
    return all;
}

void KernelView::delay(const NeighbourKey& key) {
    if (const auto found = neighbours_.find(key); found != neighbours_.end() && found->second.state == NUD_STALE)
        found->second.state = NUD_DELAY;
}

}  // namespace penstock::io
