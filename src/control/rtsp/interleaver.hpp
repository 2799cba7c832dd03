#pragma once
// Media and RTSP words on the connections of viewers over TCP: what the sender thread does, without the thread, its
// sockets and its clock. Packets come in once a track and go out once a viewer, as frames that are never torn: who does
// not keep up loses whole ones. Words go between frames, in the order in which they were given.
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/byte_sink.hpp"
#include "base/counter.hpp"
#include "control/rtsp/rendition.hpp"
#include "control/rtsp/session.hpp"
#include "flow/state.hpp"

namespace penstock::rtsp {

// Written by the sender thread, read by control.
struct InterleaverCounters {
    Counter packets, bytes;                       // taken from the workers
    Counter unwanted;                             // of them, those of tracks that nobody watches over TCP (any more)
    Counter frames, writes;                       // frames sent, and the system calls for them
    Counter renditions, ring_bytes, connections;  // gauges
};

class Interleaver {
public:
    static constexpr size_t kMostUnsent = 256 * 1024;  // bytes of words that a peer has not read
    static constexpr size_t kMostAtOnce = 256 * 1024;  // bytes a system call
    // Renditions that may grow; more of them than this are of one who tries what we can bear.
    static constexpr size_t kMostLarge = 32;
    // What came in is sent when a picture is complete, and no later than this.
    static constexpr Duration kGather = std::chrono::milliseconds(10);
    // Some video never has a key frame (intra refresh): who lost something goes on without one after this.
    static constexpr Duration kWaitForKeyFrame = std::chrono::seconds(10);

    using Leg = std::shared_ptr<flow::LegState>;  // its counters
    struct Plan {
        SessionId session = 0;
        ConnectionId connection = 0;
        std::vector<std::pair<Lane, Leg>> lanes;
        bool from_key_frame = true;
    };
    struct First {  // the packet of a lane that is sent first
        SessionId session = 0;
        uint64_t feed = 0;
        uint16_t sequence = 0;
        uint32_t timestamp = 0;
    };
    struct Broken {  // nothing more can be sent
        ConnectionId connection = 0;
    };
    struct Flushed {  // it was to be closed, and all is out
        ConnectionId connection = 0;
    };
    using Event = std::variant<First, Broken, Flushed>;

    explicit Interleaver(FrameRing::Limits limits = {}) : limits_(limits) {}

    // Connections. From adopt() to forget() nobody else writes to `sink`; `unsent` goes out first.
    void adopt(ConnectionId id, std::shared_ptr<ByteSink> sink, std::string unsent);
    void send(ConnectionId id, std::string_view words);
    void close(ConnectionId id);  // no frames any more; Flushed when the words are out
    void forget(ConnectionId id);
    void writable(Instant now, ConnectionId id);  // after -EAGAIN

    // Sessions. prepare() decides where it begins, which First tells; begin() lets frames follow the next words sent on
    // its connection, which are the answer to PLAY; halt() ends them before what is said next.
    void prepare(Instant now, Plan plan);
    void begin(SessionId session);
    void halt(SessionId session);
    void leave(SessionId session);

    void take(Instant now, uint64_t feed, bool rtcp, std::span<const std::byte> packet, uint64_t restarts = 0);
    void flush(Instant now);                             // sends what is due
    bool busy() const noexcept { return wanted_ != 0; }  // packets may come: flush() has to be called again soon

    std::optional<Event> poll();
    const InterleaverCounters& counters() const noexcept { return counters_; }

private:
    struct Player;
    struct Connection {
        ConnectionId id = 0;
        std::shared_ptr<ByteSink> sink;
        std::string out;  // words, and what is left of a frame that was begun
        size_t sent = 0;  // of them
        bool blocked = false, closing = false, broken = false;
        std::vector<Player*> players;
    };
    struct Shared {  // a rendition and who watches it
        explicit Shared(std::vector<Lane> lanes, FrameRing::Limits limits) : rendition(std::move(lanes), limits) {}
        Rendition rendition;
        std::vector<Player*> players;
        std::optional<Instant> waiting_since;  // what came and was not sent
        bool due = false;
        size_t preparing = 0;  // players in that phase
        size_t active = 0;     // players that are not halted
    };
    using Key = std::vector<Lane>;
    enum class Phase : uint8_t { halted, prepared, armed, running };
    struct Player {
        SessionId session = 0;
        Connection* connection = nullptr;
        Key key;
        Shared* of = nullptr;
        std::vector<Leg> legs;            // by lane
        std::vector<uint64_t> positions;  // by row: how many frames of it were before `next`
        std::vector<bool> told;           // by lane: First
        uint64_t next = 0;                // the frame to send next
        std::optional<Instant> lost_at;   // waits for a key frame since
        Phase phase = Phase::halted;
    };

    Shared& rendition_of(Instant now, const Key& key, bool with_key_frame);
    void fill(Instant now, Shared& to);
    void go_on(Player& before, const Key& with);
    void set_phase(Player& player, Phase phase);
    void place(Player& player, uint64_t number);
    void tell_firsts(Player& player);
    void tell_first(Player& player, size_t lane, uint64_t number);
    void pump(Instant now, Connection& c);
    bool send_words(Connection& c);
    bool send_frames(Instant now, Connection& c, Player& player);
    bool catch_up(Instant now, Player& player);
    void account(Player& player, uint64_t number);
    void note_sent(Connection& c, Player& player, size_t bytes);
    static void keep_rest(Connection& c, const Player& player, size_t skip);
    void break_off(Connection& c);
    void retire(Player& player);

    const FrameRing::Limits limits_;
    std::map<ConnectionId, Connection> connections_;
    std::map<SessionId, Player> players_;
    std::map<Key, Shared> shared_;
    std::map<uint64_t, std::vector<std::pair<Shared*, size_t>>> feeds_;  // which lanes take a track
    size_t wanted_ = 0;                                                  // players that are not halted
    std::deque<Event> events_;
    InterleaverCounters counters_;
};

}  // namespace penstock::rtsp
