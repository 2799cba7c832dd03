#include "control/io/tcp_client.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "control/io/socket_address.hpp"

namespace penstock::io {

void TcpClient::connect(const std::string& host, uint16_t port) {
    close();
    const bool asked = lookup_ && host_ == host && port_ == port;
    wanted_ = true;
    why_.clear();
    if (const auto ip = Ip::parse(host)) {
        addresses_ = {{*ip, port}};
        return try_next();
    }
    if (asked) return;  // the answer is still on its way
    host_ = host;
    port_ = port;
    lookup_ = std::make_unique<Lookup>(loop_, host, port, [this](Result<std::vector<Endpoint>> found) {
        // Ended from here it would end the callback that runs.
        soon_ = loop_.at(Clock::now(), [this, found = std::move(found)] {
            lookup_.reset();
            if (!wanted_) return;
            if (!found) return broken(found.error().text);
            addresses_ = *found;
            std::ranges::reverse(addresses_);
            try_next();
        });
    });
}

void TcpClient::try_next() {
    while (!addresses_.empty()) {
        remote_ = addresses_.back();
        addresses_.pop_back();
        fd_ = Fd{socket(remote_.ip.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
        const SocketAddress address = socket_address(remote_);
        if (fd_ && (::connect(fd_.get(), address.get(), address.size) == 0 || errno == EINPROGRESS)) {
            watch_ = loop_.watch_writable(fd_.get(), [this] { on_connected(); });
            return;
        }
        why_ = fmt::format("{}: {}", remote_.text(), std::strerror(errno));
        fd_ = Fd{};
    }
    broken(why_);
}

void TcpClient::on_connected() {
    watch_ = {};
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    if (error != 0) {
        why_ = fmt::format("{}: {}", remote_.text(), std::strerror(error));
        fd_ = Fd{};
        return try_next();
    }
    const int on = 1;
    setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_storage local{};
    size = sizeof local;
    getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&local), &size);
    up_ = true;
    watch_ = loop_.watch(fd_.get(), [this] { on_readable(); });
    events_.connected(remote_, endpoint_of(local));
}

void TcpClient::on_readable() {
    std::array<std::byte, 64 * 1024> buffer;
    const ssize_t size = recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size <= 0) return broken(size == 0 ? "it closed the connection" : std::strerror(errno));
    events_.received(std::span{buffer}.first(static_cast<size_t>(size)));
}

void TcpClient::send(std::string_view bytes) {
    if (!up_) return;
    const bool idle = out_.empty();
    if (out_.size() + bytes.size() > kMostUnsent) return broken("it does not read what it is sent");
    out_ += bytes;
    if (idle) flush();
}

void TcpClient::flush() {
    while (!out_.empty()) {
        const ssize_t sent = ::send(fd_.get(), out_.data(), out_.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno == EAGAIN) {
            watch_ = {};
            watch_ = loop_.watch_writable(fd_.get(), [this] { flush(); });
            return;
        }
        if (sent <= 0) return broken(std::strerror(errno));
        out_.erase(0, static_cast<size_t>(sent));
    }
    watch_ = {};
    watch_ = loop_.watch(fd_.get(), [this] { on_readable(); });
}

void TcpClient::close() {
    wanted_ = up_ = false;
    addresses_.clear();
    out_.clear();
    watch_ = {};
    if (!lookup_) soon_ = {};
    fd_ = Fd{};
}

// Told from the loop: who called us may be in the middle of something.
void TcpClient::broken(std::string why) {
    close();
    soon_ = loop_.at(Clock::now(), [this, why = std::move(why)] { events_.disconnected(why); });
}

}  // namespace penstock::io
