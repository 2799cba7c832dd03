#pragma once
// Addresses as the socket calls want them.
#include <sys/socket.h>

#include "base/address.hpp"

namespace penstock::io {

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// `scope`: the index of the interface, for IPv6 addresses that mean nothing without one (link-local); else ignored.
SocketAddress socket_address(const Endpoint& endpoint, unsigned scope = 0);

Endpoint endpoint_of(const sockaddr_storage& storage);  // of IPv4 or IPv6

}  // namespace penstock::io
