#include "dataplane/packet_sockets.hpp"

#include <fmt/format.h>
#include <linux/if_packet.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/kernel.hpp"

namespace penstock::dataplane {
namespace {

// What may be on its way: a NIC that is slow for a moment holds hundreds of trains.
constexpr int kSendBuffer = 32 << 20;

}  // namespace

std::string why_no_segmentation() {
    utsname name{};
    uname(&name);
    if (kernel_version(name.release) >= kSegmentsPackets) return "";
    return fmt::format("Linux {} is older than {}.{}", name.release, kSegmentsPackets.first, kSegmentsPackets.second);
}

Result<PacketSockets> PacketSockets::open(unsigned netdev, unsigned number) {
    PacketSockets sockets;
    const int on = 1, size = kSendBuffer;
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_ifindex = static_cast<int>(netdev);
    for (unsigned i = 0; i < number; i++) {
        const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);  // 0: it receives nothing
        if (fd < 0) return fail(fmt::format("packet socket: {}", std::strerror(errno)));
        sockets.all_.push_back(fd);
        if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) != 0)
            return fail(fmt::format("PACKET_VNET_HDR: {}", std::strerror(errno)));
        if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
            return fail(fmt::format("packet socket: {}", std::strerror(errno)));
        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0)
            setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);  // as much as anyone may
    }
    return sockets;
}

PacketSockets::~PacketSockets() {
    for (const int fd : all_) close(fd);
}

}  // namespace penstock::dataplane
