#include "control/io/tcp_server.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "control/io/socket_address.hpp"

namespace penstock::io {
namespace {

template <class Get>
Endpoint name_of(int fd, Get get) {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    if (get(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
    return endpoint_of(storage);
}

}  // namespace

Result<std::unique_ptr<TcpServer>> TcpServer::open(EventLoop& loop, const std::vector<Endpoint>& listen,
                                                   Events events) {
    std::unique_ptr<TcpServer> self(new TcpServer(loop, std::move(events)));
    for (const Endpoint& at : listen)
        if (auto done = self->listen(at); !done) return fail(done.error().text);
    return self;
}

Result<void> TcpServer::listen(const Endpoint& at, ServerTls* tls) {
    const auto wrong = [&] {
        const char* hint = errno == EADDRINUSE ? "; another program listens there"
                           : errno == EACCES   ? "; ports below 1024 need the capability NET_BIND_SERVICE"
                                               : "";
        return fail(fmt::format("cannot listen on {}: {}{}", at.text(), std::strerror(errno), hint));
    };
    Fd fd{socket(at.ip.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (!fd) return wrong();
    const int on = 1, v6_only = at.ip == Ip{} ? 0 : 1;
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (!at.ip.is_v4() && setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only) != 0)
        return wrong();
    const SocketAddress address = socket_address(at);
    if (bind(fd.get(), address.get(), address.size) != 0 || ::listen(fd.get(), 1024) != 0) return wrong();
    listeners_.push_back({std::move(fd), {}, tls});
    watch(listeners_.size() - 1);
    return {};
}

void TcpServer::watch(size_t listener) {
    listeners_[listener].watch = loop_.watch(listeners_[listener].fd.get(), [this, listener] { accept(listener); });
}

void TcpServer::accept(size_t listener) {
    const int fd = accept4(listeners_[listener].fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        // No descriptors or memory are left: clients go on waiting, and we must not turn round and round meanwhile.
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            for (Listener& l : listeners_) l.watch = {};
            retry_ = loop_.at(Clock::now() + std::chrono::milliseconds{100}, [this] {
                for (size_t l = 0; l < listeners_.size(); l++) watch(l);
            });
        }
        return;
    }
    Fd owned{fd};
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    // A peer that vanished without a word is noticed by the kernel: no request may come for hours.
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    const int idle = kIdle, every = kProbeEvery;
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
    const Id id = next_++;
    if (!events_.connected(id, name_of(fd, getpeername), name_of(fd, getsockname))) return;
    Connection& c = connections_[id];
    if (ServerTls* tls = listeners_[listener].tls) {
        auto socket = tls->above(std::move(owned));
        c.socket = socket;
        c.shaking.emplace(*tls, std::move(socket), loop_.at(Clock::now() + tls->patience(), [this, id] {
            shaken(connections_.at(id), Handshake::timeout);
            end(id);
        }));
    } else {
        c.socket = std::make_shared<PlainSocket>(std::move(owned));
    }
    c.watch = loop_.watch(fd, [this, id] { on_readable(id); });
}

// All that came in one piece, so that nothing waits in the socket's TLS while the descriptor is silent.
void TcpServer::on_readable(Id id) {
    const std::shared_ptr<StreamSocket> socket = connections_.at(id).socket;
    std::array<std::byte, 16 * 1024> buffer;
    do {
        const ssize_t size = socket->read(buffer);
        if (socket->ready()) shaken(connections_.at(id), Handshake::done);
        if (size == -EAGAIN) break;
        if (size <= 0) return end(id);
        events_.received(id, std::span{buffer}.first(static_cast<size_t>(size)));
        if (const auto c = connections_.find(id); c == connections_.end() || c->second.closing) return;
    } while (socket->more());
    if (const Connection& c = connections_.at(id); c.out.empty() && !c.handed_over) flush(id);  // what TLS itself says
}

void TcpServer::shaken(Connection& c, Handshake how) {
    if (!c.shaking) return;
    c.shaking->tls.count(how);
    c.shaking.reset();
}

void TcpServer::send(Id id, std::string bytes) {
    const auto found = connections_.find(id);
    if (found == connections_.end() || found->second.closing) return;
    Connection& c = found->second;
    if (c.out.size() - c.sent + bytes.size() > kMostUnsent) {
        c.out.clear();
        c.sent = 0;
        c.blocked = false;  // nor for what the socket has taken is it waited
        return close(id);
    }
    const bool idle = c.out.empty();
    c.out += bytes;
    if (idle) flush(id);
}

bool TcpServer::keeps_up(Id id) const {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return false;
    const Connection& c = found->second;
    return !c.closing && c.out.empty() && c.socket->keeps_up();
}

void TcpServer::close(Id id) {
    const auto found = connections_.find(id);
    if (found == connections_.end() || std::exchange(found->second.closing, true)) return;
    Connection& c = found->second;
    // Ended from the loop, not from within a call of the protocol.
    const bool out = c.out.empty() && !c.blocked && !c.handed_over;
    c.linger = loop_.at(Clock::now() + (out ? Duration::zero() : kLinger), [this, id] { end(id); });
    if (out) c.watch = {};
}

std::optional<TcpServer::HandedOver> TcpServer::hand_over(Id id) {
    const auto found = connections_.find(id);
    if (found == connections_.end() || found->second.closing) return std::nullopt;
    Connection& c = found->second;
    const int fd = c.socket->descriptor();
    // There is media now, without pause: a peer that acknowledges nothing is not there any more.
    const auto dead = static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(kDead).count());
    const int idle = dead / 1000;
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead, sizeof dead);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    // What a slow one has not taken waits in a ring that all share, not in a buffer of its own.
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kMostInKernel, sizeof kMostInKernel);
    c.handed_over = true;
    HandedOver out{c.socket, c.out.substr(c.sent)};
    c.out.clear();
    c.sent = 0;
    if (std::exchange(c.blocked, false)) {
        c.watch = {};
        c.watch = loop_.watch(fd, [this, id] { on_readable(id); });
    }
    return out;
}

void TcpServer::written(Id id) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    found->second.closing = true;
    found->second.watch = {};
    found->second.linger = loop_.at(Clock::now(), [this, id] { end(id); });
}

void TcpServer::flush(Id id) {
    Connection& c = connections_.at(id);
    for (;;) {
        const iovec rest{c.out.data() + c.sent, c.out.size() - c.sent};
        const ssize_t sent = c.socket->write({&rest, rest.iov_len != 0 ? 1u : 0u});
        if (sent == -EAGAIN) {  // who does not listen need not talk
            if (std::exchange(c.blocked, true)) return;
            c.watch = {};
            c.watch = loop_.watch_writable(c.socket->descriptor(), [this, id] { flush(id); });
            return;
        }
        if (sent < 0) {
            c.out.clear();
            c.sent = 0;
            c.blocked = false;
            return close(id);
        }
        if (rest.iov_len == 0) break;
        c.sent += static_cast<size_t>(sent);
    }
    c.out.clear();
    c.sent = 0;
    if (c.closing) {
        c.watch = {};
        c.linger = loop_.at(Clock::now(), [this, id] { end(id); });
    } else if (std::exchange(c.blocked, false)) {
        c.watch = {};
        c.watch = loop_.watch(c.socket->descriptor(), [this, id] { on_readable(id); });
    }
}

void TcpServer::end(Id id) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    Connection& c = found->second;
    c.watch = {};
    if (c.shaking) shaken(c, c.shaking->socket->fault());
    connections_.erase(found);
    events_.disconnected(id);
}

}  // namespace penstock::io
