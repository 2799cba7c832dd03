#include "control/io/memberships.hpp"

#include <fmt/format.h>
#include <net/if.h>
#include <netinet/in.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "control/io/socket_address.hpp"

namespace penstock::io {
namespace {

std::string why(int error) {
    switch (error) {
        // A socket has one membership only, so what is used up is the option memory (net.core.optmem_max).
        case ENOBUFS: return "no room for it, see the sysctl net.core.optmem_max";
        case ENODEV: return "the interface has no address family of that kind";
        default: return std::strerror(error);
    }
}

}  // namespace

Result<Memberships::Joined> Memberships::joined(const Key& key) {
    const auto& [netdev, group, source] = key;
    const auto failed = [&](const std::string& because) {
        return fail(fmt::format("cannot join {}{} on {}: {}", group.text(), source ? " from " + source->text() : "",
                                netdev, because));
    };
    if (!group.is_multicast()) return failed("it is no multicast address");
    if (source && (source->is_v4() != group.is_v4() || source->is_multicast()))
        return failed("the source is no unicast address of the group's family");
    const unsigned index = if_nametoindex(netdev.c_str());
    if (index == 0) return failed("there is no such interface");

    // One socket for each: a socket has at most igmp_max_memberships (20). It is never bound, so nothing is queued on
    // it; IP_MULTICAST_ALL off says the same to who reads this.
    Fd socket{::socket(group.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    if (!socket) return failed(std::strerror(errno));
    const int level = group.is_v4() ? IPPROTO_IP : IPPROTO_IPV6;
    const int off = 0;
    if (setsockopt(socket.get(), level, group.is_v4() ? IP_MULTICAST_ALL : IPV6_MULTICAST_ALL, &off, sizeof off) != 0)
        return failed(std::strerror(errno));
    int error = 0;
    if (source) {
        group_source_req request{};
        request.gsr_interface = index;
        request.gsr_group = socket_address({group, 0}, index).storage;
        request.gsr_source = socket_address({*source, 0}, index).storage;
        error = setsockopt(socket.get(), level, MCAST_JOIN_SOURCE_GROUP, &request, sizeof request);
    } else {
        group_req request{};
        request.gr_interface = index;
        request.gr_group = socket_address({group, 0}, index).storage;
        error = setsockopt(socket.get(), level, MCAST_JOIN_GROUP, &request, sizeof request);
    }
    if (error != 0) return failed(why(errno));
    return Joined{std::move(socket), index, 1};
}

Result<void> Memberships::join(const Ip& group, const std::optional<Ip>& source, const std::string& netdev) {
    const Key key{netdev, group, source};
    if (const auto known = memberships_.find(key); known != memberships_.end()) {
        known->second.references++;
        return {};
    }
    auto made = joined(key);
    if (!made) return std::unexpected(made.error());
    memberships_.emplace(key, std::move(*made));
    return {};
}

void Memberships::leave(const Ip& group, const std::optional<Ip>& source, const std::string& netdev) {
    const auto known = memberships_.find({netdev, group, source});
    if (known != memberships_.end() && --known->second.references == 0) memberships_.erase(known);
}

Result<void> Memberships::rejoin(const std::string& netdev) {
    const unsigned index = if_nametoindex(netdev.c_str());
    Result<void> result;
    for (auto& [key, membership] : memberships_) {
        if (std::get<std::string>(key) != netdev || (membership.index == index && index != 0)) continue;
        membership.socket = Fd{};
        membership.index = 0;
        auto made = joined(key);
        if (made) {
            membership.socket = std::move(made->socket);
            membership.index = made->index;
        } else if (result) {
            result = std::unexpected(made.error());
        }
    }
    return result;
}

}  // namespace penstock::io
