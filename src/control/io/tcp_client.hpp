#pragma once
// One TCP connection at a time to a server, for a protocol that knows no sockets. Nothing in it waits.
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

namespace penstock::io {

class TcpClient {
public:
    static constexpr size_t kMostUnsent = 64 * 1024;  // bytes that the server has not read

    struct Events {
        std::function<void(const Endpoint& remote, const Endpoint& local)> connected;
        std::function<void(std::span<const std::byte>)> received;
        std::function<void(std::string_view why)> disconnected;  // not by close(), and never within a call
    };
    TcpClient(EventLoop& loop, Events events) : loop_(loop), events_(std::move(events)) {}

    void connect(const std::string& host, uint16_t port);  // what there was is closed
    void send(std::string_view bytes);
    void close();  // what the kernel has not taken by then is lost

private:
    void try_next();
    void on_connected();
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
    std::string why_;  // the last one was not reached
    Fd fd_;
    std::string out_;
    bool up_ = false;
    EventLoop::Watch watch_;  // goes before the descriptor
    EventLoop::Timer soon_;
};

}  // namespace penstock::io
