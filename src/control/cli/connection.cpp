#include "control/cli/connection.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace penstock::cli {
namespace {

constexpr timeval kPatience{10, 0};  // control answers in milliseconds; this long it is stuck

}  // namespace

Result<Connection> Connection::open(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return fail(fmt::format("{}: a path of 1-107 characters is allowed", path));
    path.copy(address.sun_path, path.size());
    io::Fd fd{socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
    if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
        return Connection{std::move(fd)};
    switch (errno) {
        case ENOENT:
        case ECONNREFUSED:
            return fail(
                fmt::format("no penstock serves {}: is it running? -s SOCKET names another control.socket", path));
        case EACCES: return fail(fmt::format("{}: permission denied: it is for root and the socket's group", path));
        default: return fail(fmt::format("{}: {}", path, std::strerror(errno)));
    }
}

Result<Connection::Reply> Connection::ask(std::string_view verb, std::string_view text) {
    if (text.find('\n') != std::string_view::npos) return fail("a command is one line");
    const std::string request = fmt::format("{} {}\n", verb, text);
    for (size_t sent = 0; sent < request.size();) {
        const ssize_t n = send(fd_.get(), &request[sent], request.size() - sent, MSG_NOSIGNAL);
        if (n <= 0) return fail("penstock has gone");
        sent += static_cast<size_t>(n);
    }
    for (size_t head = 0, size = 0;;) {
        if (head == 0) {
            if (const size_t newline = in_.find('\n'); newline != std::string::npos) {
                head = newline + 1;
                const size_t space = in_.find(' ');
                std::from_chars(in_.data() + std::min(space, newline) + 1, in_.data() + newline, size);
            }
        }
        if (head != 0 && in_.size() >= head + size) {
            Reply reply{in_.starts_with("ok "), in_.substr(head, size)};
            in_.erase(0, head + size);
            return reply;
        }
        std::array<char, 65536> buffer;
        const ssize_t n = recv(fd_.get(), buffer.data(), buffer.size(), 0);
        if (n < 0 && errno == EAGAIN) return fail("penstock does not answer");
        if (n <= 0) return fail("penstock has gone");
        in_.append(buffer.data(), static_cast<size_t>(n));
    }
}

}  // namespace penstock::cli
