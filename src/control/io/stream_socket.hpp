#pragma once
// The end of a TCP connection: its bytes as they are, or TLS above them. One thread reads, one writes; both may be the
// same, and another one may write later. Closed when nobody has it any more.
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "base/byte_sink.hpp"
#include "control/io/fd.hpp"
#include "control/io/tls.hpp"

namespace penstock::io {

class StreamSocket : public ByteSink {
public:
    explicit StreamSocket(Fd fd) : fd_(std::move(fd)) {}
    int descriptor() const noexcept final { return fd_.get(); }
    // How many bytes came; 0: the peer says no more; -EAGAIN: none now; another negative errno: there is no going on.
    virtual ssize_t read(std::span<std::byte> into) = 0;
    virtual bool more() const { return false; }  // read() has some though the descriptor is not readable
    virtual bool ready() const { return true; }  // write() may be called
    // Whether the peer's kernel has taken nearly all that it was sent: then some more will not have to wait.
    bool keeps_up() const noexcept;

protected:
    ssize_t send(std::span<const iovec> parts) noexcept;
    ssize_t receive(std::span<std::byte> into) noexcept;

private:
    const Fd fd_;
};

class PlainSocket final : public StreamSocket {
public:
    using StreamSocket::StreamSocket;
    ssize_t read(std::span<std::byte> into) override { return receive(into); }
    ssize_t write(std::span<const iovec> parts) noexcept override { return parts.empty() ? 0 : send(parts); }
};

// What both threads use is the session: a mutex for as long as a record takes.
class TlsSocket final : public StreamSocket {
public:
    TlsSocket(Fd fd, std::unique_ptr<Tls> tls) : StreamSocket(std::move(fd)), tls_(std::move(tls)) {}
    ~TlsSocket() override;
    ssize_t read(std::span<std::byte> into) override;
    ssize_t write(std::span<const iovec> parts) noexcept override;
    bool more() const override;
    bool ready() const override;
    Handshake fault() const;
    std::string why() const;

private:
    ssize_t push() noexcept;  // 0: all is out; or a negative errno

    mutable std::mutex mutex_;
    const std::unique_ptr<Tls> tls_;
    size_t sent_ = 0;  // of tls_->out()
};

}  // namespace penstock::io
