#pragma once
// One TCP connection at a time to a server, with TLS or without, for a protocol that knows no sockets. Nothing in it
// waits.
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "control/io/event_loop.hpp"
#include "control/io/fd.hpp"
#include "control/io/lookup.hpp"
#include "control/io/stream_socket.hpp"

namespace penstock::io {

class TcpClient {
public:
    static constexpr size_t kMostUnsent = 64 * 1024;  // bytes that the server has not read

    struct Events {
        std::function<void(const Endpoint& remote, const Endpoint& local)> connected;  // and the handshake is done
        std::function<void(std::span<const std::byte>)> received;
        std::function<void(std::string_view why)> disconnected;  // not by close(), and never within a call
    };
    TcpClient(EventLoop& loop, Events events) : loop_(loop), events_(std::move(events)) {}

    // What there was is closed. `trust`: by TLS, with whom that trusts; null: without.
    void connect(const std::string& host, uint16_t port, std::shared_ptr<const Credentials> trust = nullptr);
    void send(std::string_view bytes);
    bool keeps_up() const noexcept { return up_ && out_.empty() && socket_->keeps_up(); }  // it reads what it is sent
    void close();                                                     // what the kernel has not taken by then is lost
    bool refused_by_tls() const noexcept { return refused_by_tls_; }  // the last connection: it ended in the handshake

private:
    void try_next();
    void on_connected();
    void on_ready();
    void on_readable();
    void flush();
    void broken(std::string why);

    EventLoop& loop_;
    const Events events_;
    // A name that was asked for and is not answered yet: no second thread is started before.
    std::unique_ptr<Lookup> lookup_;
    std::string host_;
    uint16_t port_ = 0;
    bool wanted_ = false;
    std::vector<Endpoint> addresses_;  // to be tried, the last one first
    Endpoint remote_;
    std::string why_;     // the last one was not reached
    Fd fd_;               // until it is connected
    std::string server_;  // whose name the certificate has to have
    std::shared_ptr<const Credentials> trust_;
    std::shared_ptr<TlsSocket> tls_;  // until the handshake is done
    std::shared_ptr<StreamSocket> socket_;
    std::string out_;
    bool up_ = false, refused_by_tls_ = false;
    EventLoop::Watch watch_;  // goes before the descriptor
    EventLoop::Timer soon_;
};

}  // namespace penstock::io
