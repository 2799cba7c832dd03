#include "dataplane/stale_socket.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace penstock::dataplane {

void remove_stale_socket(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::error_code none;
    if (path.size() >= sizeof address.sun_path || !std::filesystem::is_socket(path, none)) return;
    path.copy(address.sun_path, path.size());
    const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const bool served = connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    if (!served && errno == ECONNREFUSED) unlink(path.c_str());
    close(probe);
}

}  // namespace penstock::dataplane
