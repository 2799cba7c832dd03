#pragma once
// A relay on kernel sockets: recvmmsg, then a copy of every packet to every receiver by sendmmsg. With UDP_SEGMENT what
// came in one burst goes to a receiver as one large packet, which the kernel leaves whole over veth: as a NIC that
// segments would have it, and only where a receiver is due several packets of one size at once.
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace penstock::bench {

constexpr size_t kBurst = 32;

[[noreturn]] void die(const char* what);
sockaddr_in address(const char* ip, uint16_t port);
int socket_in(const char* netns);  // UDP; leaves the caller in that network namespace

struct Packets {
    explicit Packets(size_t size);
    std::array<std::array<char, 2048>, kBurst> bytes{};
    std::array<iovec, kBurst> parts{};
    std::array<mmsghdr, kBurst> messages{};
};

class KernelRelay {
public:
    // `segment`: the size of the packets, for UDP_SEGMENT; 0: without it.
    KernelRelay(int in, int out, const char* receiver, uint32_t fanout, uint32_t segment);
    // One burst in, every packet out to every receiver; how many left. `flags` of recvmmsg(2).
    size_t turn(int flags);

private:
    size_t copy(size_t packets);
    size_t in_segments(size_t packets);

    const int in_, out_;
    const bool segments_;
    Packets packets_{2048};
    std::vector<sockaddr_in> receivers_;
    std::vector<mmsghdr> copies_;
};

}  // namespace penstock::bench
