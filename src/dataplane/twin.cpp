#include "dataplane/twin.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace penstock::dataplane {
namespace {

constexpr unsigned kRing = 1024;
constexpr int kBatch = 64;
// How long the thread may sleep while a worker has put something into a ring: no wake-up call, so that workers stay out
// of the kernel. Long enough to cost nothing when idle, short enough for TCP.
constexpr long kNap = 100'000;  // ns

Result<void> configure(int fd, const std::string& netdev, const Mac& mac, uint16_t mtu) {
    ifreq request{};
    netdev.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    if (ioctl(fd, TUNSETIFF, &request) != 0)
        return fail(
            fmt::format("cannot make the TAP netdev '{}': {} (CAP_NET_ADMIN is needed)", netdev, std::strerror(errno)));
    const int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    std::memcpy(request.ifr_hwaddr.sa_data, mac.bytes.data(), 6);
    bool done = ioctl(control, SIOCSIFHWADDR, &request) == 0;
    request.ifr_mtu = mtu;
    done = done && ioctl(control, SIOCSIFMTU, &request) == 0;
    done = done && ioctl(control, SIOCGIFFLAGS, &request) == 0;
    request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
    done = done && ioctl(control, SIOCSIFFLAGS, &request) == 0;
    const int error = errno;
    close(control);
    if (!done) return fail(fmt::format("cannot set up the TAP netdev '{}': {}", netdev, std::strerror(error)));
    return {};
}

}  // namespace

Result<std::unique_ptr<TapTwin>> TapTwin::make(const std::string& netdev, const Mac& mac, uint16_t mtu,
                                               rte_mempool* pool) {
    std::unique_ptr<TapTwin> twin(new TapTwin);
    twin->pool_ = pool;
    twin->fd_ = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (twin->fd_ < 0) return fail(fmt::format("cannot open /dev/net/tun: {}", std::strerror(errno)));
    if (auto configured = configure(twin->fd_, netdev, mac, mtu); !configured) return fail(configured.error().text);
    // Several workers may punt; the other ends are one thread each.
    twin->to_kernel_ = rte_ring_create(fmt::format("to-{}", netdev).c_str(), kRing, SOCKET_ID_ANY, RING_F_SC_DEQ);
    twin->from_kernel_ =
        rte_ring_create(fmt::format("from-{}", netdev).c_str(), kRing, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    if (twin->to_kernel_ == nullptr || twin->from_kernel_ == nullptr)
        return fail(fmt::format("rings of the TAP netdev '{}': {}", netdev, rte_strerror(rte_errno)));
    return twin;
}

void TapTwin::set_mac(const Mac& mac) noexcept {
    ifreq request{};
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    std::memcpy(request.ifr_hwaddr.sa_data, mac.bytes.data(), 6);
    ioctl(fd_, SIOCSIFHWADDR, &request);
}

void TapTwin::set_carrier(bool on) noexcept {
    const int carrier = on ? 1 : 0;
    ioctl(fd_, TUNSETCARRIER, &carrier);
}

TapTwin::~TapTwin() {
    for (rte_ring* ring : {to_kernel_, from_kernel_}) {
        void* m = nullptr;
        while (ring != nullptr && rte_ring_sc_dequeue(ring, &m) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(m));
        rte_ring_free(ring);
    }
    if (fd_ >= 0) close(fd_);
}

bool TapTwin::carry() noexcept {
    const bool wrote = write_some();
    return read_some() || wrote;
}

bool TapTwin::write_some() noexcept {
    std::array<rte_mbuf*, kBatch> batch;
    const unsigned n = rte_ring_sc_dequeue_burst(to_kernel_, reinterpret_cast<void**>(batch.data()), kBatch, nullptr);
    for (unsigned i = 0; i < n; i++) {
        if (write(fd_, rte_pktmbuf_mtod(batch[i], const void*), batch[i]->data_len) != batch[i]->data_len)
            lost_to_kernel.add();
    }
    rte_pktmbuf_free_bulk(batch.data(), n);
    return n != 0;
}

bool TapTwin::read_some() noexcept {
    for (int i = 0; i < kBatch; i++) {
        rte_mbuf* m = rte_pktmbuf_alloc(pool_);
        if (m == nullptr) {  // take the packet off the TAP all the same: it would wait there for ever
            std::byte lost;
            if (read(fd_, &lost, sizeof lost) < 0) return i != 0;
            lost_from_kernel.add();
            continue;
        }
        const ssize_t size = read(fd_, rte_pktmbuf_mtod(m, void*), rte_pktmbuf_tailroom(m));
        if (size <= 0) {
            rte_pktmbuf_free(m);
            return i != 0;
        }
        rte_pktmbuf_append(m, static_cast<uint16_t>(size));
        if (rte_ring_sp_enqueue(from_kernel_, m) != 0) {
            rte_pktmbuf_free(m);
            lost_from_kernel.add();
        }
    }
    return true;
}

TwinThread::TwinThread(std::vector<TapTwin*> twins) : twins_(std::move(twins)), thread_([this] { run(); }) {}

TwinThread::~TwinThread() {
    stop_.store(true, std::memory_order_relaxed);
    thread_.join();
}

void TwinThread::run() {
    std::vector<pollfd> fds;
    for (const TapTwin* twin : twins_) fds.push_back({twin->fd(), POLLIN, 0});
    while (!stop_.load(std::memory_order_relaxed)) {
        bool moved = false;
        for (TapTwin* twin : twins_) moved |= twin->carry();
        if (moved) continue;
        const timespec nap{0, kNap};
        ppoll(fds.data(), fds.size(), &nap, nullptr);
    }
}

}  // namespace penstock::dataplane
