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

void TcpClient::connect(const std::string& host, uint16_t port, std::shared_ptr<const Credentials> trust) {
    close();
    const bool asked = lookup_ && host_ == host && port_ == port;
    wanted_ = true;
    refused_by_tls_ = false;
    trust_ = std::move(trust);
    server_ = host;
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
    if (!trust_) {
        socket_ = std::make_shared<PlainSocket>(std::move(fd_));
        return on_ready();
    }
    tls_ = std::make_shared<TlsSocket>(std::move(fd_), std::make_unique<Tls>(trust_, server_));
    socket_ = tls_;
    watch_ = loop_.watch(socket_->descriptor(), [this] { on_readable(); });
    on_readable();  // the first word is ours
}

void TcpClient::on_ready() {
    tls_.reset();
    up_ = true;
    watch_ = {};
    watch_ = loop_.watch(socket_->descriptor(), [this] { on_readable(); });
    sockaddr_storage local{};
    socklen_t size = sizeof local;
    getsockname(socket_->descriptor(), reinterpret_cast<sockaddr*>(&local), &size);
    events_.connected(remote_, endpoint_of(local));
}

void TcpClient::on_readable() {
    const std::shared_ptr<StreamSocket> socket = socket_;  // what is said to the protocol may close it
    std::array<std::byte, 64 * 1024> buffer;
    do {
        const ssize_t size = socket->read(buffer);
        if (tls_ && socket->ready()) on_ready();
        if (size == -EAGAIN || socket_ != socket) return;
        if (size <= 0 && tls_) {
            refused_by_tls_ = true;
            return broken(
                fmt::format("TLS with {}: {}", remote_.text(), size == -EPROTO ? tls_->why() : "it ended it"));
        }
        if (size <= 0) return broken(size == 0 ? "it closed the connection" : std::strerror(static_cast<int>(-size)));
        events_.received(std::span{buffer}.first(static_cast<size_t>(size)));
    } while (socket_ == socket && socket->more());
}

void TcpClient::send(std::string_view bytes) {
    if (!up_) return;
    const bool idle = out_.empty();
    if (out_.size() + bytes.size() > kMostUnsent) return broken("it does not read what it is sent");
    out_ += bytes;
    if (idle) flush();
}

void TcpClient::flush() {
    for (;;) {
        const iovec rest{out_.data(), out_.size()};
        const ssize_t sent = socket_->write({&rest, rest.iov_len != 0 ? 1u : 0u});
        if (sent == -EAGAIN) {
            watch_ = {};
            watch_ = loop_.watch_writable(socket_->descriptor(), [this] { flush(); });
            return;
        }
        if (sent < 0) return broken(std::strerror(static_cast<int>(-sent)));
        if (rest.iov_len == 0) break;
        out_.erase(0, static_cast<size_t>(sent));
    }
    watch_ = {};
    watch_ = loop_.watch(socket_->descriptor(), [this] { on_readable(); });
}

void TcpClient::close() {
    wanted_ = up_ = false;
    addresses_.clear();
    out_.clear();
    watch_ = {};
    if (!lookup_) soon_ = {};
    fd_ = Fd{};
    tls_.reset();
    socket_.reset();
}

// Told from the loop: who called us may be in the middle of something.
void TcpClient::broken(std::string why) {
    close();
    soon_ = loop_.at(Clock::now(), [this, why = std::move(why)] { events_.disconnected(why); });
}

}  // namespace penstock::io
