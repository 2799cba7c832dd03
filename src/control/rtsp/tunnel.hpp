#pragma once
// RTSP in HTTP, as QuickTime began it and cameras, VLC, ffmpeg and GStreamer do: a GET whose answer never ends carries
// what the server says, frames included; a POST whose body never ends carries what the client says, in base64. A cookie
// joins the two. This stands between TCP and the server: bytes of connections in, RTSP of connections out. For the
// server a tunnel is one connection, the one of its GET.
//
//     GET /camera-1 HTTP/1.0             POST /camera-1 HTTP/1.0
//     x-sessioncookie: AbC               x-sessioncookie: AbC
//                                        Content-Length: 32767          (means nothing; clients write beyond it)
//
//                                        T1BUSU9OUyBydHNw...==REVTQ1JJQkUg...
#include <nettle/base64.h>

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/address.hpp"
#include "base/time.hpp"
#include "control/rtsp/server.hpp"

namespace penstock::rtsp {

struct TunnelCounters {
    uint64_t tunnels = 0;                          // joined: GET and POST
    uint64_t tls = 0;                              // connections that spoke TLS where none is
    std::map<std::string_view, uint64_t> refused;  // HTTP that became no tunnel, or ended one, by reason
};

class Tunnels {
public:
    struct Bytes {  // RTSP of a connection; good until the next call of receive()
        ConnectionId connection = 0;
        std::span<const std::byte> bytes;
    };
    struct Joined {  // it carries what another one says, and is none of its own any more
        ConnectionId connection = 0;
    };
    using Output = std::variant<Send, Close, Bytes, Joined>;

    explicit Tunnels(std::string software) : software_(std::move(software)) {}

    void connected(Instant now, ConnectionId id, const Ip& remote);
    void receive(Instant now, ConnectionId id, std::span<const std::byte> bytes);
    void disconnected(Instant now, ConnectionId id);
    void expire(Instant now);  // every second or so
    std::optional<Output> poll();

    size_t open() const noexcept;  // tunnels that have a POST
    const TunnelCounters& counters() const noexcept { return counters_; }

private:
    enum class Kind : uint8_t { unknown, http, rtsp, get, post, closing };
    struct Connection {
        ConnectionId id = 0;
        Ip remote;
        Kind kind = Kind::unknown;
        Instant since{};         // its first byte; of a GET: when it began to wait for a POST
        std::string head;        // what came of it while it is unknown or http
        std::string cookie;      // get
        ConnectionId other = 0;  // get: its POST, post: its GET; 0: none
        bool joined = false;     // get: it had a POST
        base64_decode_ctx decoder{};
    };

    void classify(Instant now, Connection& c, std::span<const std::byte> bytes);
    void take_head(Instant now, Connection& c, std::string_view text);
    void take_body(Connection& c, std::string_view text);
    void request(Instant now, Connection& c, std::string_view head, std::string_view rest);
    void get(Instant now, Connection& c, std::string cookie);
    void post(Connection& c, const std::string& cookie, std::string_view rest);
    void refuse(Connection& c, int status, std::string_view why);
    void close(Connection& c);

    const std::string software_;
    std::map<ConnectionId, Connection> connections_;
    std::map<std::pair<Ip, std::string>, ConnectionId> gets_;  // by who has which cookie
    std::deque<Output> outputs_;
    std::string scratch_;  // what an output refers to
    TunnelCounters counters_;
};

}  // namespace penstock::rtsp
