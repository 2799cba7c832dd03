#pragma once
// A stream that is wanted from a camera for as long as it is wanted: one Client after another, with growing pauses
// between them, by UDP or TCP, whichever comes through. Without sockets, clock or randomness, as Client.
#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "control/config/config.hpp"
#include "control/rtsp/client.hpp"

namespace penstock::rtsp {

// Between one try and the next: twice as long each time, and as much as half of it left out by chance, so that a
// hundred cameras behind one switch are not all called in the same moment.
inline constexpr Duration kFirstPause = std::chrono::milliseconds(500);
inline constexpr Duration kLongestPause = std::chrono::seconds(30);
// A password that was refused: cameras lock the account, or the address, of who tries again and again.
inline constexpr Duration kFirstRefusedPause = std::chrono::minutes(2);
inline constexpr Duration kLongestRefusedPause = std::chrono::minutes(16);
inline constexpr Duration kLongestWish = std::chrono::minutes(5);  // of a server that says Retry-After
inline constexpr Duration kSettled = std::chrono::seconds(10);     // playing so long, the pauses begin anew
// UDP that has not arrived by then does not: a firewall, or an address that is not ours.
inline constexpr Duration kFirstPacketTime = std::chrono::seconds(3);
inline constexpr Duration kSilence = std::chrono::seconds(10);  // a source that stopped
inline constexpr Duration kTcpRemembered = std::chrono::minutes(10);

using config::Reach;

struct PullSettings {
    Location location;
    Reach reach = Reach::automatic;
    std::string software;
};

struct PullFacts {
    std::string_view state = "idle";  // idle, waiting, stopping, or how far it has got: a Step
    Way way = Way::udp;
    Instant since{};  // of the state, as far as idle, waiting, playing and the rest of them go
    uint64_t connects = 0;
    uint64_t tries = 0;                                                     // that failed since it last played
    std::array<uint64_t, static_cast<size_t>(Failure::count_)> failures{};  // all of them
    std::optional<Failure> failure;                                         // the last one
    std::string why;
    std::optional<Instant> next;  // waiting: the next try
};

class Pull {
public:
    Pull(PullSettings settings, std::function<uint64_t()> random)
        : settings_(std::move(settings)), random_(std::move(random)) {}

    void start(Instant now);
    void stop(Instant now);
    void connected(Instant now, const Ip& server);
    void disconnected(Instant now, std::string_view why);
    void receive(Instant now, std::span<const std::byte> bytes);
    void set_up(Instant now, std::vector<Wanted> tracks);
    void play(Instant now);
    void give_up(Instant now, Failure failure, std::string why);
    void media(Instant now);   // some has arrived since the last call
    void expire(Instant now);  // several times a second
    // Those of the client; Over says that it ended, and facts() whether there will be another.
    std::optional<client::Output> poll(Instant now);

    bool wanted() const noexcept { return wanted_; }
    bool idle() const noexcept { return !client_ && !next_; }
    bool playing() const noexcept { return client_ && client_->step() == Step::playing; }
    Way way() const noexcept { return way_; }
    const PullFacts& facts() const noexcept { return facts_; }

private:
    void attempt(Instant now);
    void look(Instant now);
    void ended(Instant now, const client::Over& over);
    Duration pause(Failure failure);
    void note(Instant now);

    const PullSettings settings_;
    const std::function<uint64_t()> random_;
    std::unique_ptr<Client> client_;
    bool wanted_ = false;
    Way way_ = Way::udp;
    std::optional<Instant> next_;       // the next try
    std::optional<Instant> refused_;    // our password was: no try before then, whoever wants it
    std::optional<Instant> tcp_until_;  // UDP did not arrive: not tried again before
    std::optional<Instant> played_;     // since when it plays
    std::optional<Instant> heard_;      // when media came last
    unsigned failed_ = 0;               // tries since the pauses began anew
    unsigned refusals_ = 0;             // of the password, since it last played
    PullFacts facts_;
};

}  // namespace penstock::rtsp
