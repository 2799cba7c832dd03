#include "control/io/way.hpp"

#include <fmt/format.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace penstock::io {
namespace {

using Ports = std::vector<flow::PortInfo>;

Way no_way(std::string why) { return {.hop = {}, .neighbour = std::nullopt, .why_not = std::move(why)}; }

const flow::PortInfo* find_port(const Ports& ports, auto&& matches) {
    const auto found = std::ranges::find_if(ports, matches);
    return found == ports.end() ? nullptr : &*found;
}

const flow::PortInfo* port_on(const Ports& ports, const Link* link) {
    if (link == nullptr) return nullptr;
    return find_port(ports, [&](const flow::PortInfo& port) { return port.netdev == link->name; });
}

const flow::PortInfo* only_twin(const Ports& ports) {
    const auto has_twin = [](const flow::PortInfo& port) { return !port.netdev.empty(); };
    return std::ranges::count_if(ports, has_twin) == 1 ? find_port(ports, has_twin) : nullptr;
}

bool is_link_local(const Ip& ip) {  // IPv6 unicast fe80::/10: a route lookup without an interface answers any
    return !ip.is_v4() && ip.bytes()[0] == std::byte{0xfe} && (ip.bytes()[1] & std::byte{0xc0}) == std::byte{0x80};
}

bool stays_on_link(const Ip& group) {  // RFC 4291 section 2.7: scope 1 or 2
    return !group.is_v4() && (group.bytes()[1] & std::byte{0x0f}) <= std::byte{2};
}

// Why packets cannot leave by the interface; empty: they can.
std::string why_not_by(const Link* link, const std::string& netdev) {
    if (link == nullptr) return fmt::format("{} does not exist", netdev);
    if (!link->up) return fmt::format("{} is down", netdev);
    if (!link->carrier) return fmt::format("{} has no carrier", netdev);
    return {};
}

std::string why_no_route(int error, const Ip& to, const Ports& ports, const KernelView& view) {
    switch (error) {
        case EACCES: return fmt::format("the route to {} is prohibited", to.text());
        case EINVAL: return fmt::format("the route to {} is a blackhole", to.text());
        case ENETUNREACH:
        case EHOSTUNREACH: break;
        default: return fmt::format("the kernel finds no route to {}: {}", to.text(), std::strerror(error));
    }
    // The kernel forgets the routes of an interface that goes down: that is then the likely reason.
    std::string why = fmt::format("no route to {}", to.text());
    for (const flow::PortInfo& port : ports) {
        if (port.netdev.empty()) continue;
        if (const auto down = why_not_by(view.link(port.netdev), port.netdev); !down.empty()) why += ", " + down;
    }
    return why;
}

uint16_t mtu_of(const Link& link, const std::optional<Route>& route) {
    uint32_t mtu = std::min(link.mtu, 65535u);
    if (route && route->mtu) mtu = std::min(mtu, *route->mtu);
    return static_cast<uint16_t>(mtu);
}

Way without_twin(const Ip& to, const flow::PortInfo& port) {
    const Prefix* source = nullptr;
    for (const Prefix& own : port.addresses) {
        if (own.ip == to) return no_way(fmt::format("{} is our own address on port {}", to.text(), port.name));
        if (own.ip.is_v4() != to.is_v4()) continue;
        const bool nearer =
            source != nullptr && own.contains(to) && (!source->contains(to) || own.length > source->length);
        if (source == nullptr || nearer) source = &own;
    }
    if (source == nullptr)
        return no_way(fmt::format("port {} has no {} address to send from", port.name, to.is_v4() ? "IPv4" : "IPv6"));
    const Mac mac = to.is_multicast() ? Mac::of_multicast(to) : port.peer_mac;
    return {.hop = {port.index, mac, source->ip, port.mtu}, .neighbour = std::nullopt, .why_not = ""};
}

std::optional<Ip> source_for_group(const Ip& group, const KernelView& view, const Link& link) {
    std::optional<Ip> other_scope;
    for (const Address& address : view.addresses(link.index)) {
        if (address.ip.is_v4() != group.is_v4()) continue;
        if (group.is_v4() || is_link_local(address.ip) == stays_on_link(group)) return address.ip;
        if (!other_scope) other_scope = address.ip;
    }
    return other_scope;
}

Way multicast(const Ip& group, const flow::PortInfo* port, const Ports& ports, const KernelView& view,
              const AskRoute& ask_route) {
    if (port == nullptr) {
        if (const auto route = ask_route(group, 0)) port = port_on(ports, view.link(route->index));
    }
    // A default route by some other interface is no decision about multicast; neither is IPv6's ff00::/8, which every
    // interface has.
    if (port == nullptr) port = only_twin(ports);
    if (port == nullptr)
        return no_way(fmt::format("no route to {} leaves by a port of penstock: name the port", group.text()));
    const Link* link = view.link(port->netdev);
    if (auto why = why_not_by(link, port->netdev); !why.empty()) return no_way(std::move(why));
    std::optional<Route> route;
    if (const auto answer = ask_route(group, link->index)) route = *answer;
    const auto source = route && route->source ? route->source : source_for_group(group, view, *link);
    if (!source)
        return no_way(fmt::format("{} has no {} address to send from", link->name, group.is_v4() ? "IPv4" : "IPv6"));
    const flow::NextHop hop{port->index, Mac::of_multicast(group), *source, mtu_of(*link, route)};
    return {.hop = hop, .neighbour = std::nullopt, .why_not = ""};
}

Way unicast(const Ip& to, const flow::PortInfo* port, const Ports& ports, const KernelView& view,
            const AskRoute& ask_route) {
    if (port == nullptr && is_link_local(to)) {
        port = only_twin(ports);
        if (port == nullptr) return no_way(fmt::format("{} is link-local: name the port", to.text()));
    }
    int by = 0;
    if (port != nullptr) {
        const Link* link = view.link(port->netdev);
        if (auto why = why_not_by(link, port->netdev); !why.empty()) return no_way(std::move(why));
        by = link->index;
    }
    const auto route = ask_route(to, by);
    if (!route) return no_way(why_no_route(route.error(), to, ports, view));
    if (route->type == RTN_LOCAL) return no_way(fmt::format("{} is an address of this node", to.text()));
    if (route->type == RTN_BROADCAST) return no_way(fmt::format("{} is a broadcast address", to.text()));
    if (route->type != RTN_UNICAST) return no_way(fmt::format("no route to {}", to.text()));
    const Link* link = view.link(route->index);
    const flow::PortInfo* out = port_on(ports, link);
    if (out == nullptr)
        return no_way(fmt::format("route to {} leaves by {}, which is no port of penstock", to.text(),
                                  link != nullptr ? link->name : fmt::format("interface {}", route->index)));
    if (auto why = why_not_by(link, out->netdev); !why.empty()) return no_way(std::move(why));
    if (!route->source || route->source->is_unspecified())
        return no_way(fmt::format("{} has no {} address to send from", link->name, to.is_v4() ? "IPv4" : "IPv6"));
    const flow::NextHop hop{out->index, Mac{}, *route->source, mtu_of(*link, *route)};
    return {.hop = hop, .neighbour = NeighbourKey{link->index, route->gateway.value_or(to)}, .why_not = ""};
}

}  // namespace

Way way_to(const flow::Destination& to, const Ports& ports, const KernelView& view, const AskRoute& ask_route) {
    const flow::PortInfo* port = nullptr;
    if (to.port) {
        port = find_port(ports, [&](const flow::PortInfo& p) { return p.index == *to.port; });
        if (port == nullptr) return no_way(fmt::format("there is no port {}", *to.port));
    } else {
        port = find_port(ports, [&](const flow::PortInfo& p) {
            return p.netdev.empty() &&
                   std::ranges::any_of(p.addresses, [&](const Prefix& n) { return n.contains(to.ip); });
        });
    }
    if (port != nullptr && port->netdev.empty()) return without_twin(to.ip, *port);
    return to.ip.is_multicast() ? multicast(to.ip, port, ports, view, ask_route)
                                : unicast(to.ip, port, ports, view, ask_route);
}

}  // namespace penstock::io
