#pragma once
// Sockets by which workers send whole frames on an interface, one each, so that none waits for another. Before each
// frame stands a virtio_net_hdr, which may ask for its segmentation.
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace penstock::dataplane {

// Why the running kernel cannot cut UDP that comes by such a socket; empty: it can.
std::string why_no_segmentation();

class PacketSockets {
public:
    static Result<PacketSockets> open(unsigned netdev, unsigned number);
    ~PacketSockets();
    PacketSockets(PacketSockets&& other) noexcept : all_(std::exchange(other.all_, {})) {}
    PacketSockets& operator=(PacketSockets&&) = delete;

    const std::vector<int>& all() const noexcept { return all_; }

private:
    PacketSockets() = default;
    std::vector<int> all_;
};

}  // namespace penstock::dataplane
