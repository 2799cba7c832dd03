#include "control/io/stream_socket.hpp"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace penstock::io {

bool StreamSocket::keeps_up() const noexcept {
    constexpr int kBehind = 16 * 1024;  // bytes
    int waiting = 0;
    return ioctl(descriptor(), SIOCOUTQ, &waiting) == 0 && waiting < kBehind;
}

ssize_t StreamSocket::send(std::span<const iovec> parts) noexcept {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts.data());  // which sendmsg() only reads
    message.msg_iovlen = parts.size();
    for (;;) {
        const ssize_t n = sendmsg(fd_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0 || errno != EINTR) return n >= 0 ? n : -errno;
    }
}

ssize_t StreamSocket::receive(std::span<std::byte> into) noexcept {
    for (;;) {
        const ssize_t n = recv(fd_.get(), into.data(), into.size(), MSG_DONTWAIT);
        if (n >= 0 || errno != EINTR) return n >= 0 ? n : -errno;
    }
}

TlsSocket::~TlsSocket() {
    tls_->bye();
    push();
}

ssize_t TlsSocket::read(std::span<std::byte> into) {
    const std::lock_guard lock(mutex_);
    ssize_t n = tls_->read(into);
    if (n == -EAGAIN) {
        std::array<std::byte, 16 * 1024> buffer;
        const ssize_t came = receive(buffer);
        if (came > 0) {
            tls_->receive(std::span{buffer}.first(static_cast<size_t>(came)));
            n = tls_->read(into);
        } else {
            n = came;
        }
    }
    push();  // of the handshake, and answers to new keys; what the kernel does not take now goes with the next write()
    return n;
}

ssize_t TlsSocket::write(std::span<const iovec> parts) noexcept {
    const std::lock_guard lock(mutex_);
    ssize_t pushed = push();
    ssize_t taken = 0;
    for (const iovec& part : parts) {
        std::span rest{static_cast<const std::byte*>(part.iov_base), part.iov_len};
        while (pushed == 0 && !rest.empty()) {
            const size_t n = tls_->write(rest);
            if (n == 0) return -EPIPE;
            taken += static_cast<ssize_t>(n);
            rest = rest.subspan(n);
            pushed = push();
        }
    }
    return pushed == 0 || (pushed == -EAGAIN && taken != 0) ? taken : pushed;
}

bool TlsSocket::more() const {
    const std::lock_guard lock(mutex_);
    return tls_->more();
}

bool TlsSocket::ready() const {
    const std::lock_guard lock(mutex_);
    return tls_->done();
}

Handshake TlsSocket::fault() const {
    const std::lock_guard lock(mutex_);
    return tls_->fault();
}

std::string TlsSocket::why() const {
    const std::lock_guard lock(mutex_);
    return tls_->why();
}

ssize_t TlsSocket::push() noexcept {
    std::string& out = tls_->out();
    while (sent_ < out.size()) {
        const iovec part{&out[sent_], out.size() - sent_};
        const ssize_t n = send({&part, 1});
        if (n < 0) return n;
        sent_ += static_cast<size_t>(n);
    }
    out.clear();
    sent_ = 0;
    return 0;
}

}  // namespace penstock::io
