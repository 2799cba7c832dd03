#include "dataplane/runtime_dir.hpp"

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <system_error>

namespace penstock::dataplane {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "penstock-";

// A process of another PID namespace may share the directory, where its number means nothing: its socket answers, or
// is about to be made.
bool alive(const fs::path& directory) {
    const std::string path = directory / "dpdk_telemetry.v2";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return true;
    std::memcpy(address.sun_path, path.data(), path.size());
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return true;
    const int error = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
    close(fd);
    if (error != ENOENT) return error != ECONNREFUSED;
    std::error_code failed;
    const auto made = fs::last_write_time(directory, failed);
    return !failed && fs::file_time_type::clock::now() - made < std::chrono::minutes(1);
}

}  // namespace

void remove_runtime_directory(const std::string& ours) {
    std::error_code ignored;  // there is nobody to tell by now, and nothing to do about it
    fs::remove_all(ours, ignored);
}

void remove_stale_siblings(const std::string& ours) {
    std::error_code ignored;
    for (const fs::directory_entry& entry : fs::directory_iterator(fs::path(ours).parent_path(), ignored)) {
        const std::string name = entry.path().filename();
        if (!name.starts_with(kPrefix)) continue;
        pid_t pid = 0;
        const char* const end = name.data() + name.size();
        if (std::from_chars(name.data() + kPrefix.size(), end, pid).ptr != end || pid <= 0) continue;
        if (kill(pid, 0) == 0 || errno != ESRCH) continue;
        if (!alive(entry.path())) remove_runtime_directory(entry.path());
    }
}

}  // namespace penstock::dataplane
