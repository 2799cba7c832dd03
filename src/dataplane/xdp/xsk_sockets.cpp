#include "dataplane/xdp/xsk_sockets.hpp"

#include <linux/if_xdp.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <system_error>

namespace penstock::dataplane {

std::vector<int> af_xdp_sockets() {
    std::vector<int> found;
    std::error_code gone;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", gone)) {
        const std::string name = entry.path().filename();
        int fd = -1;
        std::from_chars(name.data(), name.data() + name.size(), fd);
        int domain = 0;
        socklen_t size = sizeof domain;
        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_XDP) found.push_back(fd);
    }
    std::ranges::sort(found);
    return found;
}

uint64_t found_ring_full(int af_xdp_fd) {
    xdp_statistics counts{};
    socklen_t size = sizeof counts;
    return getsockopt(af_xdp_fd, SOL_XDP, XDP_STATISTICS, &counts, &size) == 0 ? counts.rx_ring_full : 0;
}

std::optional<bool> zero_copy(int af_xdp_fd) {
    xdp_options options{};
    socklen_t size = sizeof options;
    if (getsockopt(af_xdp_fd, SOL_XDP, XDP_OPTIONS, &options, &size) != 0) return std::nullopt;
    return (options.flags & XDP_OPTIONS_ZEROCOPY) != 0;
}

}  // namespace penstock::dataplane
