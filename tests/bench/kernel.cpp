// bench-kernel: what the same relay costs on kernel sockets, over veth, with recvmmsg and sendmmsg. It runs in three
// network namespaces that tools/bench made; one thread plays the source, not measured, and the relay in turn, so that
// nothing else than the relay's system calls is in its CPU time. In the kernel's favour: what the source's packets cost
// until they lie in the socket's queue is the source's, and the receiver's namespace drops the copies by their MAC.
// With UDP_SEGMENT what came in one burst goes to a receiver as one large packet, which the kernel leaves whole over
// veth: as a NIC that segments would have it, and only where a receiver is due several packets of one size at once.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/udp.h>
#include <sched.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include <array>
#include <charconv>
#include <cstring>
#include <string>

#include "samples.hpp"

namespace {

using namespace penstock::bench;

constexpr size_t kBurst = 32;

[[noreturn]] void die(const char* what) {
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

double seconds(clockid_t clock) {
    timespec t{};
    clock_gettime(clock, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

double measure_tsc_hz() {
    const double start = seconds(CLOCK_MONOTONIC_RAW);
    const uint64_t from = __rdtsc();
    while (seconds(CLOCK_MONOTONIC_RAW) < start + 0.05) continue;
    return static_cast<double>(__rdtsc() - from) / (seconds(CLOCK_MONOTONIC_RAW) - start);
}

struct Packets {
    explicit Packets(size_t size) {
        for (size_t i = 0; i < kBurst; i++) {
            parts[i] = {bytes[i].data(), size};
            messages[i].msg_hdr.msg_iov = &parts[i];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
    }
    std::array<std::array<char, 2048>, kBurst> bytes{};
    std::array<iovec, kBurst> parts{};
    std::array<mmsghdr, kBurst> messages{};
};

// One burst in, every packet out to every receiver; how many left.
size_t relay(int in, int out, Packets& packets, std::vector<sockaddr_in>& receivers, std::vector<mmsghdr>& copies) {
    for (iovec& part : packets.parts) part.iov_len = packets.bytes[0].size();
    const int got = recvmmsg(in, packets.messages.data(), kBurst, MSG_DONTWAIT, nullptr);
    copies.clear();
    for (int i = 0; i < got; i++) {
        packets.parts[static_cast<size_t>(i)].iov_len = packets.messages[static_cast<size_t>(i)].msg_len;
        for (sockaddr_in& to : receivers) {
            mmsghdr& copy = copies.emplace_back();
            copy.msg_hdr.msg_name = &to;
            copy.msg_hdr.msg_namelen = sizeof to;
            copy.msg_hdr.msg_iov = &packets.parts[static_cast<size_t>(i)];
            copy.msg_hdr.msg_iovlen = 1;
        }
    }
    for (size_t sent = 0; sent < copies.size();) {  // the kernel takes 1024 at most
        const int n = sendmmsg(out, &copies[sent], static_cast<unsigned>(copies.size() - sent), 0);
        if (n <= 0) die("sendmmsg");
        sent += static_cast<size_t>(n);
    }
    return copies.size();
}

// The same, the burst as one packet a receiver that is cut by the kernel or beneath it.
size_t relay_in_segments(int in, int out, Packets& packets, std::vector<sockaddr_in>& receivers,
                         std::vector<mmsghdr>& copies) {
    for (iovec& part : packets.parts) part.iov_len = packets.bytes[0].size();
    const int got = recvmmsg(in, packets.messages.data(), kBurst, MSG_DONTWAIT, nullptr);
    if (got <= 0) return 0;
    for (int i = 0; i < got; i++)
        packets.parts[static_cast<size_t>(i)].iov_len = packets.messages[static_cast<size_t>(i)].msg_len;
    copies.clear();
    for (sockaddr_in& to : receivers) {
        mmsghdr& copy = copies.emplace_back();
        copy.msg_hdr.msg_name = &to;
        copy.msg_hdr.msg_namelen = sizeof to;
        copy.msg_hdr.msg_iov = packets.parts.data();
        copy.msg_hdr.msg_iovlen = static_cast<size_t>(got);
    }
    for (size_t sent = 0; sent < copies.size();) {
        const int n = sendmmsg(out, &copies[sent], static_cast<unsigned>(copies.size() - sent), 0);
        if (n <= 0) die("sendmmsg with UDP_SEGMENT");
        sent += static_cast<size_t>(n);
    }
    return copies.size() * static_cast<size_t>(got);
}

}  // namespace

int main(int argc, char** argv) {
    const bool segments = argc == 9 && std::string_view(argv[8]) == "gso";
    if (argc != 8 && !segments) {
        fmt::print(stderr,
                   "usage: bench-kernel SOURCE-NETNS NODE-NETNS NODE-ADDRESS RECEIVER-ADDRESS SIZE FANOUT SECONDS "
                   "[gso]\n");
        return 2;
    }
    const auto size = static_cast<uint32_t>(std::stoul(argv[5])), fanout = static_cast<uint32_t>(std::stoul(argv[6]));
    const int source = socket_in(argv[1]);
    const int in = socket_in(argv[2]), out = socket_in(argv[2]);
    const sockaddr_in node = address(argv[3], 20000);
    const int segment = static_cast<int>(size);
    if (segments && setsockopt(out, SOL_UDP, UDP_SEGMENT, &segment, sizeof segment) != 0) die("UDP_SEGMENT");
    if (bind(in, reinterpret_cast<const sockaddr*>(&node), sizeof node) != 0) die("bind");
    if (connect(source, reinterpret_cast<const sockaddr*>(&node), sizeof node) != 0) die("connect");
    std::vector<sockaddr_in> receivers;
    for (uint32_t leg = 0; leg < fanout; leg++)
        receivers.push_back(address(argv[4], static_cast<uint16_t>(6000 + 2 * leg)));

    Packets sent(size), received(size);
    std::vector<mmsghdr> copies;
    copies.reserve(kBurst * fanout);
    Samples cycles;
    const double hz = measure_tsc_hz();
    const double end = seconds(CLOCK_MONOTONIC) + std::stod(argv[7]);
    uint64_t all = 0;
    while (seconds(CLOCK_MONOTONIC) < end) {
        if (sendmmsg(source, sent.messages.data(), kBurst, 0) != static_cast<int>(kBurst)) die("sendmmsg");
        const double start = seconds(CLOCK_THREAD_CPUTIME_ID);
        const size_t count = (segments ? relay_in_segments : relay)(in, out, received, receivers, copies);
        const double took = seconds(CLOCK_THREAD_CPUTIME_ID) - start;
        if (count == kBurst * fanout) cycles.add(took * hz / static_cast<double>(count));  // whole bursts only
        all += count;
    }
    if (cycles.count() == 0) {
        fmt::print(stderr, "bench-kernel: no whole burst arrived; {} packets in all\n", all);
        return 1;
    }
    print({"relay", segments ? "kernel-gso" : "kernel", size, fanout, 1, "hot"}, cycles);
    return 0;
}
