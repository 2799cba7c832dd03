#pragma once
// One session at a camera or another RTSP server (RFC 2326), from connecting to the end, without sockets, clock or
// randomness: bytes and times in, outputs out. It does not try again: Pull does, with another one of these.
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/address.hpp"
#include "base/time.hpp"
#include "control/config/location.hpp"
#include "control/rtsp/client_session.hpp"
#include "control/rtsp/digest.hpp"
#include "control/rtsp/limits.hpp"
#include "control/rtsp/message.hpp"
#include "control/rtsp/parser.hpp"
#include "control/rtsp/transport.hpp"
#include "control/sdp/description.hpp"

namespace penstock::rtsp {

using config::Location;

enum class Way : uint8_t { udp, tcp, multicast };
constexpr std::string_view name(Way way) { return way == Way::udp ? "udp" : way == Way::tcp ? "tcp" : "multicast"; }

// One of the tracks of a description to set up.
struct Wanted {
    size_t media = 0;                 // which of Description::media
    std::optional<Pair> client_port;  // Way::udp
};

struct ClientSettings {
    Location location;
    Way way = Way::udp;
    std::string software;  // the User-Agent header
};

namespace client {

// Outputs.
struct Connect {  // anew, after what there is was closed
    std::string host;
    uint16_t port = 554;
    bool tls = false;
};
struct Send {
    std::string bytes;
};
struct Close {};
struct Described {  // to be answered by set_up()
    sdp::Description description;
};
struct Granted {  // to be answered by play(), when packets may come
    struct Track {
        size_t media = 0;
        Transport transport;  // with what the server left out filled in: who sends, which channels
    };
    std::vector<Track> tracks;
};
struct Playing {};
struct Received {  // an interleaved packet
    size_t media = 0;
    bool rtcp = false;
    std::vector<std::byte> packet;
};
struct Over {  // nothing comes after it; no failure: as asked by stop()
    std::optional<Failure> failure;
    std::string why;
    std::optional<Duration> retry_after;  // the server's wish
};
using Output = std::variant<Connect, Send, Close, Described, Granted, Playing, Received, Over>;

}  // namespace client

class Client {
public:
    // `random`: 64 bits that nobody can guess, a call.
    Client(ClientSettings settings, std::function<uint64_t()> random)
        : settings_(std::move(settings)), location_(settings_.location), random_(std::move(random)) {}

    void start(Instant now);
    void connected(Instant now, const Ip& server);  // the address that was connected to
    void disconnected(Instant now, std::string_view why);
    void receive(Instant now, std::span<const std::byte> bytes);
    void set_up(Instant now, std::vector<Wanted> tracks);  // none: there is nothing that we can forward
    void play(Instant now);
    void stop(Instant now);                                       // with a TEARDOWN when there is a session
    void give_up(Instant now, Failure failure, std::string why);  // the same, for a reason that the caller knows
    void expire(Instant now);
    std::optional<client::Output> poll();

    Step step() const noexcept { return step_; }
    const Location& location() const noexcept { return location_; }  // as redirected
    Duration keepalive() const noexcept { return keepalive_; }

private:
    void work(Instant now);
    void on(Instant now, const Response& response);
    void on(Instant now, const Request& request);
    void on(const Frame& frame);
    void on_error(Instant now, const Response& response);
    void on_described(const Response& response);
    void on_set_up(Instant now, const Response& response);
    void redirect(Instant now, std::string_view to);
    bool take_challenge(const Response& response);
    bool take_session(const Response& response);
    void learn(const Response& response);
    std::optional<Transport> settled(Transport granted, size_t track) const;
    bool takes_channels(const Pair& channels) const;
    void next_track(Instant now);
    void request(Instant now, Method method, const std::string& url, Headers headers = {});
    void repeat(Instant now);
    std::string authorization();
    void over(std::optional<Failure> failure, std::string why, std::optional<Duration> retry_after = {});
    void forget_connection();
    bool ended() const noexcept { return step_ == Step::over; }

    const ClientSettings settings_;
    Location location_;
    const std::function<uint64_t()> random_;
    Step step_ = Step::over;
    std::deque<client::Output> outputs_;
    std::optional<client::Over> verdict_;  // of a session that is being torn down for a reason

    // The connection.
    bool connected_ = false;
    Ip server_;
    Parser parser_;
    std::optional<Instant> deadline_;  // of connecting, or of the answer

    // The request that waits for its answer; one at a time.
    struct Asked {
        Method method{};
        std::string url;
        Headers headers;
        unsigned cseq = 0;
        unsigned proofs = 0;  // of our password, that it came with
    };
    std::optional<Asked> asked_;
    unsigned cseq_ = 0;
    unsigned redirects_ = 0;

    // Who we are.
    std::optional<Challenge> challenge_;
    bool basic_ = false;
    unsigned nonce_count_ = 0;

    // What there is.
    std::string base_;   // what the URLs of tracks are relative to
    std::string whole_;  // the URL for all tracks together
    sdp::Description description_;
    std::vector<Wanted> wanted_;
    std::vector<client::Granted::Track> granted_;
    std::string session_;
    Method keepalive_by_ = Method::options;
    Duration keepalive_ = kDefaultTimeout / 2;
    std::optional<Instant> next_keepalive_;
};

// The URL of a track: `control` of its description, if it has one.
std::string control_of(const sdp::Description& description, std::string_view base, size_t media);

}  // namespace penstock::rtsp
