#include "control/io/claimed_ports.hpp"

#include <fmt/format.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "control/io/socket_address.hpp"

namespace penstock::io {
namespace {

std::string why(int error, const Endpoint& endpoint) {
    switch (error) {
        case EADDRNOTAVAIL: return fmt::format("{} is no address of this node", endpoint.ip.text());
        case EADDRINUSE: return "another program has the port";
        case EACCES: return "ports below 1024 need the capability NET_BIND_SERVICE";
        case EINVAL: return fmt::format("{} means nothing without an interface", endpoint.ip.text());
        default: return std::strerror(error);
    }
}

}  // namespace

Result<void> ClaimedPorts::claim(const Endpoint& endpoint, const std::string& netdev) {
    if (const auto known = claimed_.find(endpoint); known != claimed_.end()) {
        known->second.references++;
        return {};
    }
    const auto failed = [&](int error) {
        return fail(fmt::format("cannot claim UDP {}: {}", endpoint.text(), why(error, endpoint)));
    };
    const bool v4 = endpoint.ip.is_v4();
    Fd socket{::socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    if (!socket) return failed(errno);
    const int on = 1;
    if (!v4 && setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0) return failed(errno);
    // Of a group on this node there may be other receivers, who take nothing away from us.
    if (endpoint.ip.is_multicast() && setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
        return failed(errno);
    // Accept 0 bytes of every packet, before the first one can arrive: dropped without ICMP and without being queued.
    sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    const sock_fprog program{.len = 1, .filter = nothing};
    if (setsockopt(socket.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0) return failed(errno);
    const auto address = socket_address(endpoint, netdev.empty() ? 0 : if_nametoindex(netdev.c_str()));
    if (bind(socket.get(), address.get(), address.size) != 0) return failed(errno);
    claimed_.emplace(endpoint, Claimed{std::move(socket), 1});
    return {};
}

void ClaimedPorts::release(const Endpoint& endpoint) {
    const auto known = claimed_.find(endpoint);
    if (known != claimed_.end() && --known->second.references == 0) claimed_.erase(known);
}

}  // namespace penstock::io
