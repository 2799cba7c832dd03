#pragma once
// The RTSP 1.0 server (RFC 2326) without sockets, clock or randomness: bytes and times in, outputs out. What it cannot
// know (which streams there are, which ports are free) it asks by an output with a ticket; control answers, at once or
// later, and meanwhile further requests of that connection wait.
//
// Sessions are apart from connections: one over UDP lives on when its connection is closed, until its timeout.
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "base/address.hpp"
#include "base/time.hpp"
#include "control/rtsp/access.hpp"
#include "control/rtsp/limits.hpp"
#include "control/rtsp/message.hpp"
#include "control/rtsp/parser.hpp"
#include "control/rtsp/session.hpp"

namespace penstock::rtsp {

using Ticket = uint64_t;

struct PerAddress {  // what one address may have and do
    size_t connections = 128;
    size_t sessions = 256;
    unsigned requests = 200;  // a second; for twice as many there is credit
    size_t streams = 16;      // that it publishes
    unsigned failures = 10;   // wrong passwords a minute; then nobody there is let in for the rest of it
    bool operator==(const PerAddress&) const = default;
};

struct ServerSettings {
    std::string software;  // the Server header
    config::Access access;
    Duration session_timeout = std::chrono::seconds(60);
    PerAddress per_address;
    bool publish = false;    // whether anybody may
    bool multicast = false;  // whether who asks for it gets it
};

struct Peer {
    Endpoint remote, local;
};

// Outputs.
struct Send {
    ConnectionId to = 0;
    std::string bytes;
};
struct Close {  // when what was sent before is out
    ConnectionId connection = 0;
};
struct Describe {
    Ticket ticket = 0;
    std::string stream;
    Ip local;
    std::string agent;
};
struct Setup {
    Ticket ticket = 0;
    SessionId session = 0;
    std::string stream, track;  // track is empty when the client named the stream alone
    Endpoint viewer;            // its end of the connection
    Ip local;
    ConnectionId connection = 0;
    Transport wanted;  // of those that the client offers, the first that we can do
};
struct Admit {  // may the stream be published?
    Ticket ticket = 0;
    std::string stream;
    Ip publisher;
};
struct Receive {  // SETUP of a publisher: where the track comes in
    Ticket ticket = 0;
    SessionId session = 0;
    std::string stream;
    size_t order = 0;  // among the tracks that were announced
    AnnouncedTrack track;
    Endpoint publisher;
    Ip local;
    ConnectionId connection = 0;
    Transport wanted;
};
struct Record {
    Ticket ticket = 0;
    SessionId session = 0;
};
struct Media {  // RTP or RTCP, interleaved
    SessionId session = 0;
    std::string track;
    bool rtcp = false;
    std::vector<std::byte> bytes;
};
struct Feedback {  // RTCP of a viewer, interleaved
    SessionId session = 0;
    std::string track;
    std::vector<std::byte> bytes;
};
struct Play {
    Ticket ticket = 0;
    SessionId session = 0;
};
struct Pause {
    SessionId session = 0;
};
struct Leave {  // one track of several
    SessionId session = 0;
    std::string track;
};
struct Blocked {  // too many wrong passwords came from there
    Ip address;   // or the first of a /64
    Duration rest{};
};
struct End {  // all that was set up for it is free again
    Session session;
    EndReason reason{};
};
using Output = std::variant<Send, Close, Describe, Setup, Play, Pause, Leave, Admit, Receive, Record, Media, Feedback,
                            Blocked, End>;

// Answers; and Refusal.
struct Described {
    std::string sdp;
};
struct Granted {
    std::string track;
    Transport transport;  // as it goes into the answer
};
struct Admitted {};
struct Recording {};
struct Playing {
    struct First {  // the packet that is sent first
        std::string track;
        std::optional<uint16_t> sequence;
        std::optional<uint32_t> timestamp;
    };
    std::vector<First> tracks;
};
using Answer = std::variant<Refusal, Described, Granted, Playing, Admitted, Recording>;

// What was found of who asks; of each request but OPTIONS.
enum class Found : uint8_t { open, proven, challenged, wrong, stale, forbidden, blocked, count_ };
inline constexpr std::array<std::string_view, static_cast<size_t>(Found::count_)> kFound{
    "open", "proven", "challenged", "wrong", "stale", "forbidden", "blocked"};

struct ServerCounters {
    std::map<std::pair<Method, int>, uint64_t> requests;  // by method and status
    uint64_t malformed = 0;                               // that were no requests at all
    uint64_t connections = 0;
    std::map<std::string_view, uint64_t> refused;  // connections, by reason
    uint64_t stray_frames = 0;                     // interleaved ones that nobody waits for
    uint64_t sessions = 0;
    std::array<uint64_t, static_cast<size_t>(EndReason::count_)> ended{};
    std::array<uint64_t, static_cast<size_t>(Found::count_)> found{};
};

class Server {
public:
    // `random`: 64 bits that nobody can guess, a call.
    Server(ServerSettings settings, std::function<uint64_t()> random)
        : settings_(std::move(settings)), access_(settings_.access), random_(std::move(random)) {}

    // Sessions that are not allowed any more end; what is there beyond a limit stays.
    void replace(ServerSettings settings);

    bool connected(Instant now, ConnectionId id, const Peer& peer);  // false: refused, close it
    void receive(Instant now, ConnectionId id, std::span<const std::byte> bytes);
    void disconnected(ConnectionId id);
    void answer(Instant now, Ticket ticket, Answer answer);
    void heard(Instant now, SessionId session);  // RTCP of the viewer
    void end(SessionId session, EndReason reason);
    void expire(Instant now);  // every second or so
    std::optional<Output> poll();

    const std::map<SessionId, Session>& sessions() const noexcept { return sessions_; }
    size_t connections() const noexcept { return connections_.size(); }
    const ServerCounters& counters() const noexcept { return counters_; }

private:
    struct Claim {  // who wants what
        std::string user;
        Action action{};
        std::string stream;
    };
    struct Channel {
        SessionId session = 0;
        std::string track;
        bool rtcp = false;
    };
    struct Connection {
        ConnectionId id = 0;
        Peer peer;
        Parser parser;
        std::string agent;
        Nonce nonce;
        Claim claim;                           // of the request that is being worked on
        Instant active{};                      // the last whole message
        std::optional<Instant> begun;          // when the message began that is not complete
        bool waiting = false;                  // for an answer
        std::optional<Session> announced;      // what the session will be that SETUP makes
        std::map<uint16_t, Channel> channels;  // their sessions may be gone
        bool closing = false;
    };
    struct Address {
        size_t connections = 0, sessions = 0, streams = 0;
        double credit = 0;  // requests
        Instant filled{};
        unsigned failures = 0;  // wrong passwords, since
        Instant failed{};
    };
    struct Asked {  // what a ticket stands for
        ConnectionId connection = 0;
        Claim claim{};
        Ip address{};
        Method method{};
        Response response;  // as far as it is known
        SessionId session = 0;
        Session fresh;  // SETUP: what the session will be, when it is the first one
    };

    void work(Instant now, Connection& c);
    void handle(Instant now, Connection& c, const Request& request);
    Response dispatch(Instant now, Connection& c, const Request& request, Method method);
    Response setup(Instant now, Connection& c, const Request& request, Session* session, Response response);
    // Publishers: record.cpp.
    Response announce(Instant now, Connection& c, const Request& request, Session* session, Response response);
    Response receive(Instant now, Connection& c, const Request& request, Session* session, Response response,
                     const std::vector<Transport>& offered);
    Response record(Connection& c, Session* session, Response response);
    void take(Instant now, Connection& c, Frame frame);
    std::optional<Pair> free_channels(const Connection& c, const Transport& wanted, SessionId session,
                                      const std::string& track) const;
    bool room_for_session(Instant now, const Ip& who);
    void identify(Session& fresh, SessionId id, const Connection& c);
    Response play(Connection& c, const Request& request, Session* session, Response response);
    Response teardown(const Request& request, Session* session, Response response);
    // Who may what: permission.cpp.
    std::optional<Response> refused(Instant now, Connection& c, const Request& request, Method method,
                                    const Session* session, Response response);
    Response challenged(Instant now, Connection& c, Response response, Found found);
    Claim claim_of(const Request& request, Method method, const Session* session) const;
    bool allowed(const Claim& claim, const Ip& from) const;
    bool is_allowed(const Session& session) const;
    std::optional<Duration> locked_out(Instant now, const Connection& c, const Request& request);
    Answer revoked(const Asked& asked, Answer answer);
    void failed(Instant now, const Ip& who);
    void found(Found what) { counters_.found[static_cast<size_t>(what)]++; }
    Session* session_of(const Connection& c, const Request& request);
    Ticket ask(Connection& c, Asked asked);
    void send(Connection& c, Method method, const Response& response);
    void close(Connection& c);
    bool charge(Instant now, const Ip& who, double requests);
    Address& address(Instant now, const Ip& who);

    void finish(Asked& asked, const Refusal& refusal);
    void finish(Asked& asked, Described& described);
    void finish(Instant now, Asked& asked, const Granted& granted);
    void finish(Asked& asked, const Playing& playing);
    void finish(Asked& asked, const Admitted& admitted);
    void finish(Asked& asked, const Recording& recording);

    ServerSettings settings_;
    Access access_;
    const std::function<uint64_t()> random_;
    std::map<ConnectionId, Connection> connections_;
    std::map<SessionId, Session> sessions_;
    std::unordered_map<std::string, SessionId> tokens_;
    std::map<Ip, Address> addresses_;  // by counted_as()
    std::map<Ticket, Asked> asked_;
    std::deque<Output> outputs_;
    Ticket next_ticket_ = 1;
    SessionId next_session_ = 1;
    ServerCounters counters_;
};

}  // namespace penstock::rtsp
