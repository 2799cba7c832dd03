#include "control/io/netlink.hpp"

#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "control/io/messages.hpp"

namespace penstock::io {
namespace {

constexpr size_t kBufferSize = 65536;  // the kernel makes dump messages of up to 32 KiB
constexpr int kEventQueueSize = 2 << 20;
constexpr int kDatagramsPerTurn = 256;  // a flood of notifications must not stop the other work of the loop

std::unexpected<Error> failed(const char* what) {
    return fail(fmt::format("cannot talk to the kernel's routing (netlink): {}: {}", what, std::strerror(errno)));
}

}  // namespace

void NetlinkSocket::Close::operator()(mnl_socket* socket) const { mnl_socket_close(socket); }

NetlinkSocket::NetlinkSocket(mnl_socket* socket) : socket_(socket), buffer_(kBufferSize) {}

Result<NetlinkSocket> NetlinkSocket::open(int flags) {
    NetlinkSocket socket{mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | flags)};
    if (!socket.socket_) return failed("socket");
    if (mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0) return failed("bind");
    return socket;
}

int NetlinkSocket::fd() const { return mnl_socket_get_fd(socket_.get()); }

std::span<const std::byte> NetlinkSocket::receive() {
    ssize_t size = 0;
    do size = mnl_socket_recvfrom(socket_.get(), buffer_.data(), buffer_.size());
    while (size < 0 && errno == EINTR);
    return size <= 0 ? std::span<const std::byte>{} : std::span{buffer_}.first(static_cast<size_t>(size));
}

Result<NetlinkRequests> NetlinkRequests::open() {
    auto socket = NetlinkSocket::open(0);
    if (!socket) return std::unexpected(socket.error());
    // An answer that the kernel lost for want of memory must not stop the control thread for ever.
    const timeval limit{.tv_sec = 1, .tv_usec = 0};
    if (setsockopt(socket->fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0) return failed("SO_RCVTIMEO");
    return NetlinkRequests{std::move(*socket)};
}

int NetlinkRequests::ask(nlmsghdr& request, const OnMessage& each) {
    request.nlmsg_seq = ++sequence_;
    if (mnl_socket_sendto(socket_.get(), &request, request.nlmsg_len) < 0) return errno;
    bool interrupted = false;
    std::optional<int> result;
    while (!result) {
        const auto bytes = socket_.receive();
        if (bytes.empty()) return errno;
        for_each_message(bytes, [&](const nlmsghdr& message) {
            if (message.nlmsg_seq != sequence_ || result) return;  // the rest of an answer that was given up
            if ((message.nlmsg_flags & NLM_F_DUMP_INTR) != 0) interrupted = true;
            if (message.nlmsg_type == NLMSG_ERROR || message.nlmsg_type == NLMSG_DONE) {
                result = parse_error(message);
            } else {
                each(message);
                if ((message.nlmsg_flags & NLM_F_MULTI) == 0) result = 0;
            }
        });
    }
    return *result == 0 && interrupted ? EINTR : *result;
}

Result<NetlinkEvents> NetlinkEvents::open() {
    auto socket = NetlinkSocket::open(SOCK_NONBLOCK);
    if (!socket) return std::unexpected(socket.error());
    // BUFFORCE needs CAP_NET_ADMIN; without it the system's limit holds and a lost notification costs a new dump.
    if (setsockopt(socket->fd(), SOL_SOCKET, SO_RCVBUFFORCE, &kEventQueueSize, sizeof kEventQueueSize) != 0)
        setsockopt(socket->fd(), SOL_SOCKET, SO_RCVBUF, &kEventQueueSize, sizeof kEventQueueSize);
    for (int group : {RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
                      RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_NEXTHOP})
        if (mnl_socket_setsockopt(socket->get(), NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0)
            return failed("cannot subscribe to notifications");
    return NetlinkEvents{std::move(*socket)};
}

bool NetlinkEvents::receive(const OnMessage& each) {
    for (int i = 0; i < kDatagramsPerTurn; i++) {
        const auto bytes = socket_.receive();
        if (!bytes.empty()) {
            for_each_message(bytes, each);
        } else if (errno == EAGAIN) {
            // After an overrun the kernel drops on until the queue was emptied once: only now is a new dump complete.
            return !std::exchange(lost_, false);
        } else {
            lost_ = true;  // ENOBUFS: overrun; ENOSPC: longer than the buffer
        }
    }
    return true;
}

}  // namespace penstock::io
