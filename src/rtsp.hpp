#pragma once
// RTSP viewers and publishers: the protocol's server on TCP, and what it asks for done to the model. Node makes one if
// the configuration has `rtsp.listen` or `rtsp.tls`.
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "control/cli/show_rtsp.hpp"
#include "control/config/config.hpp"
#include "control/io/claimed_ports.hpp"
#include "control/io/event_loop.hpp"
#include "control/io/tcp_server.hpp"
#include "control/mesh/mesh.hpp"
#include "control/rtsp/groups.hpp"
#include "control/rtsp/port_pairs.hpp"
#include "control/rtsp/server.hpp"
#include "control/rtsp/tunnel.hpp"
#include "control/rtsp/voices.hpp"
#include "peer_log.hpp"
#include "publishers.hpp"
#include "viewers_over_tcp.hpp"

namespace penstock {

class Rtsp {
public:
    // `claim_ports`: a port where the kernel sees media, too, and must not answer "port unreachable".
    // `changed`: the model did; called after each change.
    struct Surroundings {
        io::EventLoop& loop;
        PeerLog log;
        mesh::Mesh& mesh;
        dataplane::Ingest& ingest;
        rtsp::PortPairs& ports;
        flow::TakeDiverted take_diverted;
        bool claim_ports = false;
        // Our address on the port of that name, or on the only one: what copies to a group leave from.
        std::function<std::optional<Ip>(const std::optional<std::string>& port, bool v4)> address_of;
        std::function<void()> changed;
        std::function<void()> streams_changed;  // more than viewers did
        // A stream without tracks is asked for: whether a camera is to bring them, which `told` tells of (Pulls::wake).
        std::function<bool(const std::string& stream, std::function<void(int status)> told)> wake;
    };
    static Result<std::unique_ptr<Rtsp>> open(const config::Config& config, Surroundings around);

    // TLS there, too.
    Result<void> listen(const Endpoint& at, io::ServerTls& tls) { return tcp_->listen(at, &tls); }

    void follow_model();                    // after streams changed: who watched what is gone is told
    void reload(const config::Rtsp& next);  // what it can take over while it runs, config::at_start() is the rest
    void stop();                            // ends all sessions
    // RTCP for the publisher whose own goes to this address of ours, by TCP; false: there is none, or it does
    // not read what it is sent.
    bool tell(const Endpoint& at, std::span<const std::byte> rtcp);
    cli::Report sessions() const;
    std::string metrics() const;

private:
    struct Watched {  // one track of a session
        uint64_t viewer = 0;
        uint16_t port = 0;  // ours; 0: it goes over TCP, on this channel of this connection
        rtsp::Pair channels{};
        rtsp::ConnectionId connection = 0;
        bool shared = false;  // by multicast: the viewer of the model is that of all who watch there
        bool ran = false;     // shared: its leg was sent before this session played
        uint64_t before = 0;  // shared: what the leg had sent by then
        Ip at{};              // shared: the viewer, whose RTCP is told by its address
        uint64_t heard = 0;   // Feedback::packets at the last look
    };
    using Tracks = std::map<std::string, Watched>;
    struct Starting {  // a PLAY that waits for its first packets
        rtsp::SessionId session = 0;
        Instant deadline{};
    };

    Rtsp(const config::Config& config, Surroundings around);
    static rtsp::ServerSettings settings_of(const config::Rtsp& rtsp);
    void drain();
    void drain_tunnels();
    void on(const rtsp::Send& send);
    void on(const rtsp::Close& close);
    void on(const rtsp::Tunnels::Bytes& said);
    void on(const rtsp::Tunnels::Joined& joined);
    void on(const rtsp::Describe& describe);
    rtsp::Answer description(const rtsp::Describe& describe);
    void on(const rtsp::Setup& setup);
    void on(const rtsp::Play& play);
    void on(const rtsp::Pause& pause);
    void on(const rtsp::Leave& leave);
    void on(const rtsp::Admit& admit);
    void on(const rtsp::Receive& receive);
    void on(const rtsp::Record& record);
    void on(const rtsp::Media& media) { publishers_.take(media); }
    void on(const rtsp::End& end);
    void on(const rtsp::Blocked& blocked);
    void on(const rtsp::Feedback& feedback);
    rtsp::Answer grant(const rtsp::Setup& setup);
    rtsp::Answer grant_unicast(const rtsp::Setup& setup, const mesh::Track& track);
    rtsp::Answer grant_by_multicast(const rtsp::Setup& setup, const mesh::Track& track);
    std::expected<uint64_t, rtsp::Refusal> open_group(const rtsp::Setup& setup, const mesh::Track& track);
    bool leave_group(rtsp::SessionId session, const Watched& watched);
    void listen_in_groups(Instant now);
    flow::Participant::Voice voice_of(rtsp::SessionId session, const Watched& watched) const;
    rtsp::Answer grant_over_tcp(const rtsp::Setup& setup, const mesh::Track& track);
    rtsp::Refusal refuse_ports(const rtsp::Setup& setup);
    rtsp::Refusal refuse_viewer(const rtsp::Setup& setup, const std::string& why, int status = 403);
    void prepare(rtsp::SessionId session, bool from_key_frame);
    std::optional<uint16_t> take_port(const Ip& local);
    void release(const Endpoint& rtp);
    std::vector<rtsp::SessionId> sessions_of(uint64_t viewer) const;
    void free(rtsp::SessionId session, const Watched& watched);
    void play(rtsp::SessionId session, bool playing);
    void look_for_first_packets();
    bool started(rtsp::SessionId session, const Tracks& tracks, rtsp::Playing& playing) const;
    void second();

    Surroundings around_;
    rtsp::Tunnels tunnels_;  // between tcp_ and server_
    rtsp::Server server_;
    rtsp::PortPairs& ports_;
    io::ClaimedPorts claimed_;
    Publishers publishers_;
    std::map<rtsp::SessionId, Tracks> watched_;
    std::map<uint64_t, rtsp::SessionId> sessions_of_;  // by viewer, of those that are one session's
    const std::optional<config::Multicast> multicast_;
    std::optional<rtsp::Groups> groups_;  // of multicast_
    struct Audience {                     // of one address in a group
        std::shared_ptr<const flow::Participant> is;
        rtsp::Voices voices;
    };
    std::map<std::pair<uint64_t, Ip>, Audience> audiences_;  // by viewer of the model and address
    std::map<rtsp::Ticket, Starting> starting_;
    bool draining_ = false;
    std::unique_ptr<io::TcpServer> tcp_;
    ViewersOverTcp over_tcp_;
    io::EventLoop::Timer second_, first_packets_;
};

}  // namespace penstock
