#include "control/io/socket_address.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <span>

namespace penstock::io {

SocketAddress socket_address(const Endpoint& endpoint, unsigned scope) {
    SocketAddress address;
    const auto wire = endpoint.ip.wire();
    const auto fill = [&](const auto& in) {
        std::memcpy(&address.storage, &in, sizeof in);
        address.size = sizeof in;
    };
    if (endpoint.ip.is_v4()) {
        sockaddr_in in{};
        in.sin_family = AF_INET;
        in.sin_port = htons(endpoint.port);
        std::ranges::copy(wire, std::as_writable_bytes(std::span{&in.sin_addr, 1}).begin());
        fill(in);
    } else {
        sockaddr_in6 in{};
        in.sin6_family = AF_INET6;
        in.sin6_port = htons(endpoint.port);
        in.sin6_scope_id = scope;
        std::ranges::copy(wire, std::as_writable_bytes(std::span{&in.sin6_addr, 1}).begin());
        fill(in);
    }
    return address;
}

Endpoint endpoint_of(const sockaddr_storage& storage) {
    if (storage.ss_family == AF_INET) {
        sockaddr_in in;
        std::memcpy(&in, &storage, sizeof in);
        return {Ip::v4(std::as_bytes(std::span{&in.sin_addr, 1}).first<4>()), ntohs(in.sin_port)};
    }
    sockaddr_in6 in;
    std::memcpy(&in, &storage, sizeof in);
    // IPv4 on a socket of both kinds comes as IPv4-mapped, which is what Ip has inside.
    return {Ip::v6(std::as_bytes(std::span{&in.sin6_addr, 1}).first<16>()), ntohs(in.sin6_port)};
}

}  // namespace penstock::io
