#pragma once
// TCP for a protocol that knows no sockets: listens, takes connections, hands on what arrives and writes what it is
// given. A peer that does not read costs a bounded amount of memory and is let go.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "control/io/event_loop.hpp"
#include "control/io/fd.hpp"

namespace penstock::io {

class TcpServer {
public:
    static constexpr size_t kMostUnsent = 256 * 1024;             // bytes for one connection that it has not read
    static constexpr Duration kLinger = std::chrono::seconds(5);  // for who does not read the last words

    using Id = uint64_t;
    struct Events {
        // False: it is closed at once.
        std::function<bool(Id, const Endpoint& remote, const Endpoint& local)> connected;
        std::function<void(Id, std::span<const std::byte>)> received;
        std::function<void(Id)> disconnected;  // by the peer or by us; not within send()
    };

    // An unspecified IPv6 address takes IPv4 as well.
    static Result<std::unique_ptr<TcpServer>> open(EventLoop& loop, const std::vector<Endpoint>& listen, Events events);

    void send(Id id, std::string bytes);
    void close(Id id);  // when what was given before is out

private:
    struct Connection {
        Fd fd;
        std::string out;
        size_t sent = 0;
        bool closing = false;
        bool blocked = false;    // waits until it can write; nothing is read meanwhile
        EventLoop::Watch watch;  // goes before the descriptor
        EventLoop::Timer linger;
    };
    struct Listener {
        Fd fd;
        EventLoop::Watch watch;
    };

    TcpServer(EventLoop& loop, Events events) : loop_(loop), events_(std::move(events)) {}
    Result<void> listen(const Endpoint& at);
    void watch(size_t listener);
    void accept(size_t listener);
    void on_readable(Id id);
    void flush(Id id);
    void end(Id id);

    EventLoop& loop_;
    const Events events_;
    std::vector<Listener> listeners_;
    std::map<Id, Connection> connections_;
    Id next_ = 1;
    EventLoop::Timer retry_;
};

}  // namespace penstock::io
