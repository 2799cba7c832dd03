#pragma once
// The running forwarder: everything that `penstock run` builds, wired together. main() makes one.
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "base/log.hpp"
#include "base/result.hpp"
#include "control/capture/writer.hpp"
#include "control/cli/command.hpp"
#include "control/cli/show.hpp"
#include "control/config/config.hpp"
#include "control/io/claimed_ports.hpp"
#include "control/io/control_socket.hpp"
#include "control/io/event_loop.hpp"
#include "control/io/memberships.hpp"
#include "control/io/next_hops.hpp"
#include "control/mesh/mesh.hpp"
#include "control/metrics/health.hpp"
#include "control/metrics/http.hpp"
#include "control/metrics/text.hpp"
#include "dataplane/dataplane.hpp"
#include "dataplane/telemetry.hpp"
#include "pulls.hpp"
#include "rtsp.hpp"
#include "rtsps.hpp"

namespace penstock {

class Node {
public:
    // `reread` loads the configuration file again, or says with FILE:LINE:COLUMN what is wrong with it.
    using Reread = std::function<Result<config::Config>()>;
    Node(config::Config config, Log& log, Reread reread)
        : config_(std::move(config)), log_(log), reread_(std::move(reread)) {}

    Result<void> open();  // everything but the workers; a failure leaves nothing behind
    void run();           // until SIGTERM or SIGINT

private:
    Result<void> open_dataplane();
    Result<void> address_twins();
    Result<void> open_mesh();
    Result<void> open_metrics();
    Result<void> open_control();
    Result<void> open_telemetry();
    Result<void> open_rtsp();
    Result<void> open_rtsps(const config::Tls& tls);
    Result<void> open_pulls();
    std::optional<std::string> port_of(const Ip& local) const;
    std::optional<Ip> address_of(const std::optional<std::string>& port, bool v4) const;
    struct Claim {
        int wanted = 0;  // sources
        bool held = false;
    };
    using Claimed = std::pair<Endpoint, std::string>;  // where, on which netdev

    void note_steering(uint16_t port, const Result<void>& done);
    void steer(uint16_t port);
    void guide(uint16_t port, const mesh::Mesh::Keys& keys);
    void steer_addresses(uint16_t port);
    void follow_changes();
    void follow_destinations();
    void follow_sources();
    void follow(const config::Source& source, bool added);
    void follow_groups();
    void claim_port(const Claimed& what, Claim& claim);
    void on_next_hop(const flow::Destination& to, const flow::Resolution& answer);
    void on_netdev(const std::string& netdev);
    // Ports whose netdev or NIC goes and comes back: node_ports.cpp.
    void follow_ports();
    void follow_nics();
    void tell_sources();
    bool follow_port(const flow::PortInfo& port);
    void port_gone(const flow::PortInfo& port, const std::string& why);
    bool port_back(const flow::PortInfo& port);
    void changed();
    void publish();
    void start_workers();
    void say_goodbye();
    void audit();
    void measure();
    void feel_pulses();
    std::vector<metrics::PortHealth> port_health() const;
    metrics::View view() const;
    metrics::Response answer(std::string_view path) const;

    // What operators ask for: node_commands.cpp.
    io::ControlSocket::Reply request(std::string_view line);
    io::ControlSocket::Reply execute(const cli::Command& command, bool json);
    io::ControlSocket::Reply show(const cli::Command& command, bool json) const;
    io::ControlSocket::Reply show_sdp(const cli::Command& command, bool json) const;
    io::ControlSocket::Reply reload(bool json);
    io::ControlSocket::Reply forward(bool on, bool json);
    Result<std::string> edit(const cli::Command& command);
    std::vector<cli::WorkerFacts> worker_facts() const;
    std::vector<cli::PortFacts> port_facts(const std::string& name) const;
    std::vector<std::string> names(std::string_view placeholder, std::span<const std::string> before) const;
    std::optional<dataplane::Telemetry::Told> tell(dataplane::Telemetry::About what, std::string_view of) const;

    // Captures: node_capture.cpp.
    Result<std::string> start_capture(const cli::Command& command);
    Result<std::string> stop_capture();
    void follow_capture();
    io::ControlSocket::Reply capture_progress() const;

    config::Config config_;  // as it was started with, but for what RTSP took over since; the streams are the model's
    Log& log_;
    const Reread reread_;
    io::EventLoop loop_;
    io::EventLoop::Watch signals_;
    std::unique_ptr<dataplane::Eal> eal_;
    std::unique_ptr<dataplane::Dataplane> dataplane_;
    std::vector<flow::PortInfo> ports_;
    std::unique_ptr<mesh::Mesh> mesh_;
    io::Memberships memberships_;
    io::ClaimedPorts claimed_;
    std::unique_ptr<io::NextHops> next_hops_;
    std::unique_ptr<metrics::HttpServer> http_;
    std::unique_ptr<io::ControlSocket> control_;
    std::unique_ptr<dataplane::Telemetry> telemetry_;
    io::EventLoop::Watch telemetry_watch_;
    std::optional<rtsp::PortPairs> port_pairs_;  // of media.ports, for all that RTSP sets up
    io::Trusts trusts_;                          // of those that are pulled from by TLS
    std::unique_ptr<Pulls> pulls_;
    struct {
        uint64_t told = 0, gone = 0;
    } replies_;                          // to sources whose media comes by TCP
    std::unique_ptr<Rtsps> rtsps_;       // null: the configuration has no rtsp.tls
    std::unique_ptr<Rtsp> rtsp_;         // null: the configuration does not listen for it
    std::map<uint16_t, uint64_t> done_;  // packets and copies by worker, a second ago
    std::vector<unsigned> cores_;        // by worker
    std::map<std::pair<std::string, std::string>, uint64_t> stats_from_;  // (port, counter) at `clear port stats`
    std::vector<metrics::Pulse> pulses_;                                  // by worker
    io::EventLoop::Timer publish_timer_, reclaim_timer_, start_timer_, audit_timer_, pulse_timer_, ports_timer_;
    std::set<flow::Destination> unanswered_;  // at start: next hops that are not known yet
    std::map<Claimed, Claim> claims_;
    std::set<uint16_t> unguided_;               // ports that took no flow rule: said once
    std::set<uint16_t> unbalanced_;             // workers whose ledger did not balance: said once
    std::unique_ptr<capture::Writer> capture_;  // the one that runs, or the last one
    uint64_t captures_ = 0;                     // Capture::number of the last that was published
    std::map<uint16_t, std::string> down_;      // ports without a netdev or NIC, and why they are still down
    std::set<uint16_t> unlinked_;               // pci: ports whose NIC has no link
    bool running_ = false;
    bool started_ = false;  // the workers
};

}  // namespace penstock
