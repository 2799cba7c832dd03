#include "kernel_relay.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/udp.h>
#include <sched.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace penstock::bench {

void die(const char* what) {
    std::perror(what);
    std::exit(1);
}

sockaddr_in address(const char* ip, uint16_t port) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(port);
    inet_pton(AF_INET, ip, &a.sin_addr);
    return a;
}

int socket_in(const char* netns) {
    const int ns = open((std::string("/run/netns/") + netns).c_str(), O_RDONLY | O_CLOEXEC);
    if (ns < 0 || setns(ns, CLONE_NEWNET) != 0) die(netns);
    close(ns);
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int size = 4 << 20;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) != 0) die("socket");
    return fd;
}

Packets::Packets(size_t size) {
    for (size_t i = 0; i < kBurst; i++) {
        parts[i] = {bytes[i].data(), size};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
}

KernelRelay::KernelRelay(int in, int out, const char* receiver, uint32_t fanout, uint32_t segment)
    : in_(in), out_(out), segments_(segment != 0) {
    const int size = static_cast<int>(segment);
    if (segments_ && setsockopt(out_, SOL_UDP, UDP_SEGMENT, &size, sizeof size) != 0) die("UDP_SEGMENT");
    for (uint32_t leg = 0; leg < fanout; leg++)
        receivers_.push_back(address(receiver, static_cast<uint16_t>(6000 + 2 * leg)));
    copies_.reserve(kBurst * fanout);
}

size_t KernelRelay::turn(int flags) {
    for (iovec& part : packets_.parts) part.iov_len = packets_.bytes[0].size();
    const int got = recvmmsg(in_, packets_.messages.data(), kBurst, flags, nullptr);
    if (got <= 0) return 0;
    const auto packets = static_cast<size_t>(got);
    for (size_t i = 0; i < packets; i++) packets_.parts[i].iov_len = packets_.messages[i].msg_len;
    copies_.clear();
    const size_t left = segments_ ? in_segments(packets) : copy(packets);
    for (size_t sent = 0; sent < copies_.size();) {  // the kernel takes 1024 at most
        const int n = sendmmsg(out_, &copies_[sent], static_cast<unsigned>(copies_.size() - sent), 0);
        if (n <= 0) die("sendmmsg");
        sent += static_cast<size_t>(n);
    }
    return left;
}

size_t KernelRelay::copy(size_t packets) {
    for (size_t i = 0; i < packets; i++) {
        for (sockaddr_in& to : receivers_) {
            mmsghdr& copy = copies_.emplace_back();
            copy.msg_hdr.msg_name = &to;
            copy.msg_hdr.msg_namelen = sizeof to;
            copy.msg_hdr.msg_iov = &packets_.parts[i];
            copy.msg_hdr.msg_iovlen = 1;
        }
    }
    return copies_.size();
}

// The burst as one packet a receiver that is cut by the kernel or beneath it.
size_t KernelRelay::in_segments(size_t packets) {
    for (sockaddr_in& to : receivers_) {
        mmsghdr& copy = copies_.emplace_back();
        copy.msg_hdr.msg_name = &to;
        copy.msg_hdr.msg_namelen = sizeof to;
        copy.msg_hdr.msg_iov = packets_.parts.data();
        copy.msg_hdr.msg_iovlen = packets;
    }
    return copies_.size() * packets;
}

}  // namespace penstock::bench
