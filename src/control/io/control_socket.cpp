#include "control/io/control_socket.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>

namespace penstock::io {
namespace {

std::optional<sockaddr_un> address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) return std::nullopt;
    path.copy(address.sun_path, path.size());
    return address;
}

// Raises the number of descriptors that this process may have as far as it can; returns it.
size_t allow_descriptors() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

const sockaddr* generic(const sockaddr_un& address) { return reinterpret_cast<const sockaddr*>(&address); }

}  // namespace

Result<std::unique_ptr<ControlSocket>> ControlSocket::open(EventLoop& loop, const std::string& path, Answer answer) {
    const auto wrong = [&](const char* what) {
        return fail(fmt::format("control.socket {}: {}: {}", path, what, std::strerror(errno)));
    };
    const auto address = address_of(path);
    if (!address) return fail(fmt::format("control.socket {}: a path of 1-107 characters is allowed", path));
    std::error_code ignored;  // bind() tells if the directory is missing after all
    std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);

    std::unique_ptr<ControlSocket> self(new ControlSocket(loop, std::move(answer)));
    self->max_clients_ = std::min(kMaxClients, allow_descriptors() / 2);
    self->fd_ = Fd{socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (!self->fd_) return wrong("no socket");
    const Fd probe{socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (connect(probe.get(), generic(*address), sizeof *address) == 0 || errno == EAGAIN)
        return fail(fmt::format(
            "control.socket {}: another penstock serves it; stop that one or set control.socket to another path",
            path));
    struct stat found {};  // a file that is no socket refuses, too
    if (errno == ECONNREFUSED && stat(path.c_str(), &found) == 0 && S_ISSOCK(found.st_mode))
        unlink(path.c_str());  // left by a killed one
    if (bind(self->fd_.get(), generic(*address), sizeof *address) != 0) return wrong("cannot be made");
    self->path_ = path;
    struct stat made {};
    if (chmod(path.c_str(), 0660) != 0 || stat(path.c_str(), &made) != 0) return wrong("cannot be restricted to 0660");
    self->inode_ = made.st_ino;
    if (listen(self->fd_.get(), 128) != 0) return wrong("cannot listen");
    self->listen_again();
    return self;
}

ControlSocket::~ControlSocket() {
    struct stat now {};
    if (!path_.empty() && stat(path_.c_str(), &now) == 0 && now.st_ino == inode_) unlink(path_.c_str());
}

void ControlSocket::listen_again() {
    watch_ = loop_.watch(fd_.get(), [this] { accept(); });
}

void ControlSocket::accept() {
    const int fd = accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        // No descriptors are left: the client goes on waiting, and we must not turn round and round meanwhile.
        if (errno == EMFILE || errno == ENFILE) {
            watch_ = {};
            retry_ = loop_.at(Clock::now() + std::chrono::milliseconds{100}, [this] { listen_again(); });
        }
        return;
    }
    if (clients_.size() >= max_clients_) make_room();
    Client& client = clients_[fd];
    client.fd = Fd{fd};
    client.heard = heard_++;
    client.watch = loop_.watch(fd, [this, fd] { on_readable(fd); });
}

void ControlSocket::make_room() {
    end(std::ranges::min_element(clients_, {}, [](const auto& client) { return client.second.heard; })->first);
}

void ControlSocket::end(int fd) {
    Client& client = clients_.at(fd);
    unsent_ -= client.out.size() - client.sent;
    client.watch = {};  // before the descriptor goes
    clients_.erase(fd);
}

void ControlSocket::on_readable(int fd) {
    Client& client = clients_.at(fd);
    std::array<char, 4096> buffer;
    const ssize_t size = recv(fd, buffer.data(), buffer.size(), 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size <= 0) return end(fd);
    client.heard = heard_++;
    client.in.append(buffer.data(), static_cast<size_t>(size));
    serve(fd);
}

// Answers what was asked and sends what can be sent, in turns; waits for the one or the other.
void ControlSocket::serve(int fd) {
    Client& client = clients_.at(fd);
    for (;;) {
        while (client.sent < client.out.size()) {
            const ssize_t sent = send(fd, &client.out[client.sent], client.out.size() - client.sent, MSG_NOSIGNAL);
            if (sent < 0 && errno == EAGAIN) {
                client.watch = {};
                client.watch = loop_.watch_writable(fd, [this, fd] { serve(fd); });
                return;
            }
            if (sent <= 0) return end(fd);
            client.sent += static_cast<size_t>(sent);
            unsent_ -= static_cast<size_t>(sent);
        }
        client.out.clear();
        client.sent = 0;
        const size_t newline = client.in.find('\n');
        if (newline == std::string::npos) {
            if (client.in.size() > kLongestLine) return end(fd);
            client.watch = {};
            client.watch = loop_.watch(fd, [this, fd] { on_readable(fd); });
            return;
        }
        std::string line = client.in.substr(0, newline);
        client.in.erase(0, newline + 1);
        if (!line.empty() && line.back() == '\r') line.pop_back();
        const Reply reply = reply_to(line);
        client.out = fmt::format("{} {}\n{}", reply.ok ? "ok" : "error", reply.body.size(), reply.body);
        unsent_ += client.out.size();
    }
}

ControlSocket::Reply ControlSocket::reply_to(std::string_view line) {
    if (unsent_ > kMaxUnsent) return {false, "too many replies are waiting to be read by other clients; try again\n"};
    return answer_(line);
}

}  // namespace penstock::io
