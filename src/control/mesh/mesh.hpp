#pragma once
// The model: which streams there are, by which paths their tracks arrive and to whom they go. Pure: changes in, tables
// out. Control owns the one Mesh; the states in it are written by workers and read here.
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/boxed.hpp"
#include "base/result.hpp"
#include "control/config/config.hpp"
#include "control/config/planned.hpp"
#include "control/mesh/way.hpp"
#include "flow/fec.hpp"
#include "flow/late.hpp"
#include "flow/next_hop.hpp"
#include "flow/path.hpp"
#include "flow/port.hpp"
#include "flow/reorder.hpp"
#include "flow/retransmission.hpp"
#include "flow/state.hpp"
#include "flow/table.hpp"
#include "rtp/continuity.hpp"

namespace penstock::mesh {

struct Path {
    const config::Source& source;  // of Track::config
    bool second = false;           // of a live-live track
    std::shared_ptr<flow::PathState> state;

    std::string name() const { return second ? "2" : "1"; }
};

// Where a viewer's copies come from and its RTCP goes: an output of the file has neither.
struct Agreed {
    Endpoint from;           // our end of RTP; of RTCP, the next port
    uint16_t rtcp_port = 0;  // its end of RTCP
};

struct Track;

struct Output {
    struct Extras {  // what few have
        // Of repair, which the track's owner sends; null: none is sent. Of ST 2022-1: of columns, and of rows.
        std::shared_ptr<flow::LegState> repair, rows;
        std::shared_ptr<flow::LegState> repeated;  // of copies that are sent once more, by the owner; null: none are
        std::shared_ptr<flow::Feedback> feedback;  // of a receiver that is heard; a viewer has its own
    };

    const config::Output& to;  // of Track::config, or the viewer's
    uint16_t worker = 0;       // who makes the copies; for good, since that worker writes the states
    bool over_tcp = false;     // a viewer's: the sender thread writes it to a connection; it has no destination
    uint8_t channel = 0;       // of that connection
    std::shared_ptr<flow::LegState> state{};
    // While it is in use, and not over TCP: whose it is, the way it takes, and its neighbours among those that take it.
    Track* track = nullptr;
    Ways::value_type* way = nullptr;
    Output *next = nullptr, *previous = nullptr;
    Boxed<Agreed> agreed{};  // a viewer's
    Boxed<Extras> more{};

    std::string name() const;                                    // "10.0.1.20:6000"
    bool ready() const { return over_tcp || hop() != nullptr; }  // whether it is known how to reach the receiver
    const flow::NextHop* hop() const { return way != nullptr && way->second.hop ? &*way->second.hop : nullptr; }
    const Extras& extras() const;
    uint64_t rtcp_packets() const;  // of both, where packets are sent once more
};

// The first packets under one table after another, for the legs that came with each.
struct FirstPackets {
    flow::FirstPacket packet;
    std::shared_ptr<FirstPackets> later;
};

// One who watches one track: came at run time by a protocol, and goes by it. The file knows nothing of viewers.
struct Viewer {
    uint64_t id = 0;
    Track* track = nullptr;  // null: it is gone
    config::Output to;
    Output leg{.to = to};
    bool playing = false;
    std::shared_ptr<flow::Feedback> feedback;
    bool wants_first = false;             // it is asked what left first
    std::shared_ptr<FirstPackets> first;  // wants_first: since its leg is in a table; null before
    std::shared_ptr<flow::Join> join;     // since it plays, where the track has a history; over TCP one of them all
    bool joining = false;                 // by the last table: it is served by its join
    flow::Flows flows;                    // on which its feedback arrives
    struct Audience {                     // at one address
        std::shared_ptr<flow::Participant> is;
        size_t players = 0;
    };
    std::map<Ip, Audience> audience;  // of a group

    Viewer() = default;
    Viewer(const Viewer&) = delete;  // its leg points at it
    Viewer& operator=(const Viewer&) = delete;

    bool is_group() const { return to.rtp.ip.is_multicast(); }
};

// What makes the repair for all outputs that have this code, whatever the port.
struct Encoding {
    rtp::fec::Code code;
    std::shared_ptr<rtp::fec::Encoder> encoder;
    std::shared_ptr<flow::Sent> sent;  // by those whom it numbers anew; null: it does not
};

struct Track {
    struct Extras {                                  // what most tracks are without
        std::vector<Viewer*> viewers;                // in the order they came
        std::shared_ptr<FirstPackets> first;         // of the last table that brought a viewer's leg
        std::shared_ptr<flow::MergeState> merge;     // two paths, or a source with `nack`
        std::shared_ptr<flow::Sent> sent;            // for its sender reports; null: what arrives leaves as it is
        std::shared_ptr<rtp::fec::Decoder> decoder;  // null: no path brings repair
        std::vector<Encoding> encodings;
        std::shared_ptr<flow::History> history;         // video that can be watched
        std::shared_ptr<flow::Repeat> repeat;           // an output gets packets once more
        std::shared_ptr<rtp::Continuity> continuity;    // what viewers see; null: it has no history, nor had it viewers
        std::shared_ptr<flow::PacketRing> ring;         // `feedback`: of packets that are sent again
        std::shared_ptr<rtp::Asking> asking;            // a source with `nack`
        std::shared_ptr<flow::Reorder> reorder;         // `delay`
        std::shared_ptr<flow::Reorder> former_reorder;  // of the track that it was, with another delay
    };

    explicit Track(const std::string& of) : stream(of) {}
    Track(const Track&) = delete;  // legs point at it
    Track& operator=(const Track&) = delete;

    const std::string& stream;  // its name
    std::string name;           // "video", or "video-2" for the second video track of a stream
    config::Track config;
    uint16_t owner = 0;  // the worker
    uint64_t feed = 0;   // what the sender thread knows it by; another one whenever the first comes to watch over TCP
    std::vector<Path> paths;
    std::vector<Output> outputs;  // of the file and of operators
    std::shared_ptr<flow::SampledLatency> latency;
    flow::Flows flows;   // as in the last table; null: it is in none
    bool dirty = false;  // they differ from what the model says by now
    Boxed<Extras> more;

    const Extras& extras() const;
    Extras& make_extras() { return more ? *more : more.emplace(); }
    const Viewer* over_tcp() const;           // one who watches it over TCP just now; null: nobody does
    std::vector<const Output*> legs() const;  // outputs, and viewers whether they play or not
    bool two_paths() const { return paths.size() > 1; }
    bool told_by_ssrc() const;                         // its two paths are at one address
    bool constant_rate() const;                        // as its encoding has it
    std::optional<uint32_t> ssrc() const;              // of what leaves; none: nothing came yet
    std::optional<uint32_t> seen_ssrc() const;         // that viewers see; none: nothing came yet
    uint64_t unrecovered() const;                      // packets that nothing brought, where something could have
    const Output* other_leg(const Output& leg) const;  // of a live-live output; null: it is none
};

struct Stream {
    // Of the file or of operators. Tracks are in it of a pulled one only, and want those that are brought: others have
    // their configuration with them.
    config::Stream settings;
    bool of_protocol = false;  // neither has it: it goes with the tracks that were brought
    std::vector<std::unique_ptr<Track>> tracks;
    struct OfCamera {
        std::vector<config::Track> brought;  // by a protocol: what a publisher announced, what a camera described
        std::vector<std::string>
            unmet;  // of a pulled one: entries of its configuration that the camera's tracks do not meet
    };
    Boxed<OfCamera> of_camera{};  // or of a publisher

    const std::vector<config::Track>& brought() const;
    const std::vector<std::string>& unmet() const;
    bool pulled() const { return settings.rtsp.has_value(); }
    config::Stream running() const;     // with the tracks that it has now, whoever they are of
    config::Stream configured() const;  // with those of the file or of operators
    config::Stream editable() const;    // what operators change: as it runs, or what is wanted of a camera's tracks
};

// What a worker was given to do.
struct Placement {
    size_t tracks = 0;   // that it owns
    size_t outputs = 0;  // that it makes the copies for
    double load = 0;     // as measured: packets taken and copies made a second
};

class Mesh {
public:
    // A track with more outputs than this is spread: the owner makes the copies for some of them, other workers for the
    // rest. Below it, telling another worker (a buffer, a ring entry, a look-up) would not pay.
    static constexpr size_t kSpreadFrom = 64;

    enum class What : uint8_t { rtp, repair, rows };  // that a leg is for

    Mesh(std::vector<flow::PortInfo> ports, flow::PortRange media, uint16_t workers);

    // From now on tracks of video keep the packets since the last key frame, in so many bytes, for viewers to begin
    // with. 0: they do not.
    void keep_history(size_t bytes) { history_bytes_ = bytes; }

    // Adds the stream, or makes the one of that name be like this: what stays keeps its state. Refused, with nothing
    // changed, when it collides with another stream or feeds itself; what else is wrong with it alone, config has told.
    Result<void> put(config::Stream stream);
    bool remove(const std::string& name);  // whether there was one
    // Makes the streams be exactly these, which config::load has found right together; says what that came to.
    struct Touched {
        std::string stream;
        std::vector<std::string> how;  // config::differences
    };
    struct Changes {
        std::vector<std::string> added, removed;  // names of streams
        std::vector<Touched> touched;
    };
    Changes replace(const std::vector<config::Stream>& streams);

    // Tracks that a protocol brings at run time, for a stream of the file that has none of its own, or for one that is
    // made for them. Once more for the same stream: they become like this. Outputs and settings of a camera's are those
    // of the configuration, at any time. A reload leaves them alone, unless its file has other tracks for that name.
    // Refused, with nothing changed, as put() is, or when the stream has tracks already.
    Result<void> bring(const std::string& stream, std::vector<config::Track> tracks);
    void withdraw(const std::string& stream);  // they go, and with them a stream that was made for them
    // Streams whose brought tracks went by other hands since the last call: deleted, or replaced by the file.
    std::vector<std::string> take_displaced() { return std::exchange(displaced_, {}); }

    // Whom copies go to. `wanted` and `forgotten` tell what changed since the last call: control asks the kernel for
    // the ways and hands the answers to resolve().
    struct Destinations {
        std::vector<flow::Destination> wanted, forgotten;
    };
    Destinations take_destinations();
    // Which sources came and went since the last call: groups to join and leave, ports to claim. One that stays while
    // its track is made anew is in both, first among the added.
    struct Sources {
        std::vector<config::Source> added, removed;
    };
    Sources take_sources() { return std::exchange(changed_sources_, {}); }
    void resolve(const flow::Destination& destination, const flow::Resolution& answer);
    // A port was opened anew, or its MAC changed: the legs that leave by it are compiled again.
    void set_port(const flow::PortInfo& port);
    flow::Resolution resolution(const flow::Destination& destination) const;  // must be that of an output

    // Viewers: adding one touches its track and nothing else. Refused when there is no such track, when one of the
    // ports is taken by a source, or when a copy would feed a source.
    struct ViewerPlan {
        std::string stream, track;
        Agreed agreed;
        Endpoint to;
        std::optional<uint8_t> channel{};  // over TCP: `to` is the connection's far end, and nothing else is agreed
        struct Group {                     // `to` is one, for whoever watches there: participate() tells who does
            std::optional<uint16_t> port;  // that copies leave by
            uint8_t ttl = 0;
        };
        std::optional<Group> group{};
        std::optional<rtp::RtxStream> rtx{};  // what it asks for again goes in such a stream
    };
    Result<uint64_t> add_viewer(const ViewerPlan& plan);
    // Of a group: somebody at this address watches there, and is heard from now on; of as many as said so until as many
    // have gone.
    std::shared_ptr<const flow::Participant> participate(uint64_t viewer, const Ip& address);
    void depart(uint64_t viewer, const Ip& address);
    void play(uint64_t viewer, bool playing);
    void remove_viewer(uint64_t viewer);
    const Viewer* viewer(uint64_t id) const;
    // The packet that left first since it plays; nothing before that. To be asked until it answers or it is given up.
    std::optional<flow::FirstPacket::Values> first_packet(uint64_t viewer) const;
    void give_up_first_packet(uint64_t viewer);
    // Those who came late and have caught up get legs as all others have, with the next table. Whether there were any.
    bool settle_viewers();
    std::vector<uint64_t> take_orphans();    // viewers whose track is gone or is another by now, since the last call
    bool takes(const flow::Key& key) const;  // whether a source or a viewer has the port

    // What each worker is doing just now, in packets taken and copies made a second: where the next tracks are placed.
    void measured(std::span<const double> load);
    const std::vector<Placement>& placed() const noexcept { return placed_; }

    // The table of all changes since the last call; null when there are none.
    std::unique_ptr<const flow::Table> compile();

    // The last one, with which all tracks end.
    std::unique_ptr<const flow::Table> last_table();

    // Whether the flows of the tables are forwarded, or held back.
    void set_forwarding(bool on);
    bool forwarding() const noexcept { return !current_.stopped(); }

    const std::map<std::string, Stream>& streams() const noexcept { return streams_; }
    const Stream* stream(const std::string& name) const;
    std::vector<const Track*> tracks() const;
    // The keys that arrive on a port by the last table: what has to be steered there. All of them, which takes its
    // time.
    std::vector<flow::Key> keys(uint16_t port) const;
    // The same as changes since the last call: of the keys that a source of any port gained or lost, those that arrive
    // on the port by now and those that do not. A key that several sources share stays wanted until the last one goes.
    struct Keys {
        std::vector<flow::Key> wanted, unwanted;
    };
    std::vector<Keys> take_keys();  // by port
    // The worker of all tracks that have the key; none when they have several.
    std::optional<uint16_t> owner(const flow::Key& key) const;
    std::optional<uint16_t> port_index(const config::PortName& name) const;
    const std::string& port_name(uint16_t index) const { return ports_[index].name; }

private:
    struct Part {  // the outputs of one worker, as flow::Shard has their legs
        uint16_t worker;
        std::vector<const Output*> shareable, others;
    };
    struct HashKey {
        size_t operator()(const flow::Key& key) const noexcept { return flow::hash(key); }
    };

    std::optional<std::string> objection(const config::Stream& stream) const;
    void set(config::Stream stream);
    void run_brought(Stream& now, const config::Planned& planned);
    void run(Stream& now, config::Stream stream, bool ends = true);
    std::unique_ptr<Track> make_track(const std::string& stream, const std::string& name, config::Track of,
                                      const Track* before);
    void use(Track& track);
    void disuse(Track& track);
    void use(Track& track, Output& output);
    void disuse(Output& output);
    void touch_those_taking(const Way& way);
    const Track* one_that_feeds(const config::Source& source, const std::string& stream) const;
    Viewer& make_viewer(const ViewerPlan& plan);
    uint64_t add_over_tcp(const ViewerPlan& plan, Track& track);
    void play_over_tcp(Viewer& viewer, bool playing);
    void attach(Viewer& viewer, Track& track);
    void detach(Viewer& viewer);
    void hand_on_viewers(Track& from, Track* to);
    flow::Flows feedback_of(const Viewer& viewer) const;
    void renew_feedback(Viewer& viewer);
    void listen_in_group(const Viewer& viewer, bool on);
    void retire(std::unique_ptr<Track> track, bool ends);
    void add_ending(const Track& track);
    bool arrives(const flow::Key& key, const flow::PortInfo& port) const;
    bool any_source(const flow::Key& key, const std::function<bool(const Track&, const Path&)>& is) const;
    bool is_source(const flow::Key& key) const;
    uint16_t choose_owner(const config::Track& track) const;
    size_t largest_packet() const;
    void take_outputs(Track& track, const Track* before, std::shared_ptr<flow::LegState> for_one) const;
    void take_merge(Track& track, const Track* before) const;
    void take_repeat(Track& track, const Track* before) const;
    void take_fec(Track& track, const Track* before) const;
    void take_history(Track& track, const Track* before) const;
    void take_retransmission(Track& track, const Track* before) const;
    void take_reorder(Track& track, const Track* before) const;
    void take_sent(Track& track, const Track* before) const;
    std::shared_ptr<const flow::Delay> delay_of(const Track& track) const;
    void place(Track& track, std::span<const size_t> fresh) const;
    uint16_t choose_server(const Track& track) const;
    void account(const Track& track, bool added);
    void touch(Track& track);
    std::vector<Part> parts_of(const Track& track) const;
    void note_first(Track& track) const;
    flow::LegPlan leg_to(const Track& track, const Output& output, What what) const;
    flow::OwnRendition rendition_of(const Track& track, flow::Held& held) const;
    std::shared_ptr<const flow::Fec> fec_of(const Track& track) const;
    void note_joining(Track& track) const;
    std::shared_ptr<const flow::Late> late_of(const Track& track) const;
    std::shared_ptr<const flow::Repetition> repetition_of(const Track& track) const;
    std::shared_ptr<const flow::Retransmission> retransmission_of(const Track& track) const;
    void add_feedback(const Track& track, std::vector<flow::Flow>& flows) const;
    flow::Flows flows_of(const Track& track) const;

    std::vector<flow::PortInfo> ports_;
    std::map<std::string, Stream> streams_;
    Ways ways_;
    std::vector<flow::Destination> perhaps_wanted_, perhaps_forgotten_;  // since take_destinations()
    Sources changed_sources_;
    std::vector<std::string> displaced_;
    std::vector<flow::Key> changed_keys_;  // of sources that came or went since take_keys()
    std::unordered_multimap<flow::Key, const Track*, HashKey> sources_;  // by noted_keys_of: whose sources are there
    std::vector<Track*> dirty_;
    std::map<uint64_t, Viewer> viewers_;
    std::unordered_set<flow::Key, HashKey> viewer_keys_;  // on which their feedback arrives
    // Of groups, the ports that it arrives by.
    std::unordered_map<flow::Key, std::optional<uint16_t>, HashKey> group_keys_;
    std::vector<uint64_t> orphans_;
    uint64_t next_viewer_ = 1, next_feed_ = 1;
    size_t history_bytes_ = 0;
    std::vector<flow::FlowPtr> added_;    // of viewers that came
    std::vector<flow::FlowPtr> removed_;  // of tracks and viewers that are gone
    std::vector<flow::FlowPtr> ending_;   // of RTP, of tracks that nothing follows
    std::vector<Placement> placed_;       // by worker
    flow::Table current_;                 // what was compiled last; shares its shards with the published one
    bool compiled_ = false;
};

}  // namespace penstock::mesh
