#pragma once
// The two NETLINK_ROUTE sockets of the control thread. They are apart because notifications between the parts of an
// answer would have to be told from it, and because a burst of them must not make an answer overflow.
#include <linux/netlink.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/result.hpp"

struct mnl_socket;

namespace penstock::io {

using OnMessage = std::function<void(const nlmsghdr&)>;

class NetlinkSocket {
public:
    static Result<NetlinkSocket> open(int flags);  // SOCK_NONBLOCK or 0
    int fd() const;
    mnl_socket* get() const { return socket_.get(); }
    // The next datagram, into a buffer that the next call reuses; empty: see errno.
    std::span<const std::byte> receive();

private:
    struct Close {
        void operator()(mnl_socket* socket) const;
    };
    explicit NetlinkSocket(mnl_socket* socket);
    std::unique_ptr<mnl_socket, Close> socket_;
    std::vector<std::byte> buffer_;
};

// Questions and orders. rtnetlink works on them within sendto(), so the answer is there when it returns.
class NetlinkRequests {
public:
    static Result<NetlinkRequests> open();
    // Gives each message of the answer to `each`. Returns 0, an errno, or EINTR for a dump that changed under way.
    int ask(nlmsghdr& request, const OnMessage& each);

private:
    explicit NetlinkRequests(NetlinkSocket socket) : socket_(std::move(socket)) {}
    NetlinkSocket socket_;
    unsigned sequence_ = 0;
};

// Notifications of links, addresses, routes, rules and neighbours.
class NetlinkEvents {
public:
    static Result<NetlinkEvents> open();
    int fd() const { return socket_.fd(); }
    // Gives what has arrived to `each`. False: the kernel had to drop some, so ask for everything anew.
    bool receive(const OnMessage& each);

private:
    explicit NetlinkEvents(NetlinkSocket socket) : socket_(std::move(socket)) {}
    NetlinkSocket socket_;
    bool lost_ = false;
};

}  // namespace penstock::io
