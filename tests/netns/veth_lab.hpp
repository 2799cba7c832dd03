#pragma once
// A veth pair between two network namespaces of this test, ordinary sockets on both ends, and a bare AF_XDP socket.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

namespace penstock::steer_test {

struct Fd {
    int fd;
    explicit Fd(int opened) : fd(opened) { REQUIRE(fd >= 0); }
    Fd(Fd&& other) noexcept : fd(std::exchange(other.fd, -1)) {}
    ~Fd() { close(fd); }
};

inline void run(const std::string& command) {
    INFO(command);
    REQUIRE(std::system(command.c_str()) == 0);
}

// This thread in the node's namespace, with d0 (10.0.0.1, fd00::1); behind it a peer with g0 (10.0.0.9, fd00::9).
class Lab {
public:
    explicit Lab(const std::string& d0_options = "")
        : home_(open("/proc/self/ns/net", O_RDONLY)), peer_(fresh()), node_(fresh()) {
        run("ip link set lo up && ip link add d0 " + d0_options + " type veth peer name g0 " + d0_options +
            " netns /proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(peer_.fd));
        run("ip address add 10.0.0.1/24 dev d0 && ip address add fd00::1/64 dev d0 nodad && ip link set d0 up");
        in_peer([] {
            run("ip address add 10.0.0.9/24 dev g0 && ip address add fd00::9/64 dev g0 nodad && ip link set g0 up");
        });
    }
    ~Lab() { setns(home_.fd, CLONE_NEWNET); }

    template <class Work>
    std::invoke_result_t<Work> in_peer(Work work) const {
        struct Back {
            int fd;
            ~Back() { setns(fd, CLONE_NEWNET); }
        } back{node_.fd};
        REQUIRE(setns(peer_.fd, CLONE_NEWNET) == 0);
        return work();
    }

private:
    static Fd fresh() {
        REQUIRE(unshare(CLONE_NEWNET) == 0);
        return Fd{open("/proc/self/ns/net", O_RDONLY)};
    }
    Fd home_, peer_, node_;
};

inline sockaddr_in at(const char* ip, uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    inet_pton(AF_INET, ip, &address.sin_addr);
    return address;
}

inline Fd bound(int type, const char* ip, uint16_t port) {
    Fd socket{::socket(AF_INET, type, 0)};
    const timeval patience{2, 0};
    setsockopt(socket.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(socket.fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    const auto address = at(ip, port);
    REQUIRE(bind(socket.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    return socket;
}

inline void send_udp(const Lab& lab, uint16_t port, int count) {
    const Fd from = lab.in_peer([] { return bound(SOCK_DGRAM, "10.0.0.9", 0); });
    const auto to = at("10.0.0.1", port);
    for (int i = 0; i < count; i++)
        REQUIRE(sendto(from.fd, "media", 5, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 5);
}

inline bool udp_reaches_kernel(const Lab& lab, uint16_t port) {
    const Fd receiver = bound(SOCK_DGRAM, "10.0.0.1", port);
    send_udp(lab, port, 1);
    char text[8];
    return recv(receiver.fd, text, sizeof text, 0) == 5;
}

inline bool tcp_reaches_kernel(const Lab& lab, uint16_t port) {
    const Fd listener = bound(SOCK_STREAM, "10.0.0.1", port);
    REQUIRE(listen(listener.fd, 1) == 0);
    const Fd client = lab.in_peer([] { return bound(SOCK_STREAM, "10.0.0.9", 0); });
    const auto to = at("10.0.0.1", port);
    return connect(client.fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
}

inline bool pings(const Lab& lab) {
    return lab.in_peer([] {
        return std::system("ping -q -c 1 -W 2 10.0.0.1 >/dev/null && ping -q -c 1 -W 2 fd00::1 >/dev/null") == 0;
    });
}

// An AF_XDP socket of one queue with a UMEM of 64 frames; it counts what arrives and gives no frame back.
class XskSocket {
public:
    XskSocket(const char* interface, unsigned queue) : socket_(::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0)) {
        umem_ = mmap(nullptr, kFrames * kFrame, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        xdp_umem_reg area{};
        area.addr = reinterpret_cast<uintptr_t>(umem_);
        area.len = kFrames * kFrame;
        area.chunk_size = kFrame;
        set(XDP_UMEM_REG, area);
        for (const int ring : {XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING}) set(ring, kFrames);
        xdp_mmap_offsets offsets{};
        socklen_t size = sizeof offsets;
        REQUIRE(getsockopt(fd(), SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &size) == 0);
        rx_ = map(offsets.rx.desc + kFrames * sizeof(xdp_desc), XDP_PGOFF_RX_RING);
        fill_ = map(offsets.fr.desc + kFrames * sizeof(uint64_t), XDP_UMEM_PGOFF_FILL_RING);
        for (unsigned i = 0; i < kFrames; i++) reinterpret_cast<uint64_t*>(fill_ + offsets.fr.desc)[i] = i * kFrame;
        std::atomic_ref{*reinterpret_cast<uint32_t*>(fill_ + offsets.fr.producer)}.store(kFrames);
        received_ = reinterpret_cast<uint32_t*>(rx_ + offsets.rx.producer);
        sockaddr_xdp address{};
        address.sxdp_family = AF_XDP;
        address.sxdp_flags = XDP_COPY;
        address.sxdp_ifindex = if_nametoindex(interface);
        address.sxdp_queue_id = queue;
        REQUIRE(bind(fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    }
    ~XskSocket() {
        munmap(umem_, kFrames * kFrame);
        munmap(rx_, 1);
        munmap(fill_, 1);
    }
    int fd() const { return socket_.fd; }
    unsigned received() const { return std::atomic_ref{*received_}.load(); }
    bool receives(unsigned count) const {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{2};
        while (received() < count && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
        return received() == count;
    }

private:
    static constexpr uint32_t kFrames = 64, kFrame = 2048;
    template <class Value>
    void set(int option, const Value& value) {
        REQUIRE(setsockopt(fd(), SOL_XDP, option, &value, sizeof value) == 0);
    }
    char* map(size_t size, off_t ring) {
        void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd(), ring);
        REQUIRE(memory != MAP_FAILED);
        return static_cast<char*>(memory);
    }
    Fd socket_;
    void* umem_;
    char *rx_, *fill_;
    uint32_t* received_;
};

}  // namespace penstock::steer_test
