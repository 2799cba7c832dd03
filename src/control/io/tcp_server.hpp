#pragma once
// TCP for a protocol that knows no sockets: listens, takes connections, hands on what arrives and writes what it is
// given, through TLS where a listener has it. A peer that does not read costs a bounded amount of memory and is let go.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/byte_sink.hpp"
#include "base/result.hpp"
#include "control/io/event_loop.hpp"
#include "control/io/fd.hpp"
#include "control/io/server_tls.hpp"
#include "control/io/stream_socket.hpp"

namespace penstock::io {

class TcpServer {
public:
    static constexpr size_t kMostUnsent = 256 * 1024;            // bytes for one connection that it has not read
    static constexpr int kMostInKernel = 128 * 1024;             // bytes of media that were not sent yet
    static constexpr Duration kDead = std::chrono::seconds(60);  // media that nobody takes: the peer is not there
    static constexpr int kIdle = 60, kProbeEvery = 10;  // seconds until the kernel asks whether it is still there
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
    // `tls`: what the connections of this address begin with. It must not go before us.
    Result<void> listen(const Endpoint& at, ServerTls* tls = nullptr);

    void send(Id id, std::string bytes);
    void close(Id id);  // when what was given before is out
    // Whether the peer reads what it is sent. From one that does not we stop reading, too, once a send() has to wait.
    bool keeps_up(Id id) const;

    // From now on another thread writes to the connection; we read it, and end it: close() waits for written().
    struct HandedOver {
        std::shared_ptr<ByteSink> sink;
        std::string unsent;  // goes out first
    };
    std::optional<HandedOver> hand_over(Id id);
    void written(Id id);  // what was to go out before close() is out, or nothing can be sent any more

private:
    struct Shaking {
        ServerTls& tls;
        std::shared_ptr<TlsSocket> socket;
        EventLoop::Timer deadline;
    };
    struct Connection {
        std::shared_ptr<StreamSocket> socket;
        std::optional<Shaking> shaking;  // until the handshake is done
        std::string out;
        size_t sent = 0;
        bool closing = false;
        bool handed_over = false;
        bool blocked = false;    // waits until it can write; nothing is read meanwhile
        EventLoop::Watch watch;  // goes before the descriptor
        EventLoop::Timer linger;
    };
    struct Listener {
        Fd fd;
        EventLoop::Watch watch;
        ServerTls* tls = nullptr;
    };

    TcpServer(EventLoop& loop, Events events) : loop_(loop), events_(std::move(events)) {}
    void watch(size_t listener);
    void accept(size_t listener);
    void on_readable(Id id);
    void shaken(Connection& c, Handshake how);
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
