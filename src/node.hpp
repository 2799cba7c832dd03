#pragma once
// The running forwarder: everything that `penstock run` builds, wired together. main() makes one.
#include <memory>
#include <vector>

#include "base/log.hpp"
#include "base/result.hpp"
#include "control/config/config.hpp"
#include "control/io/claimed_ports.hpp"
#include "control/io/event_loop.hpp"
#include "control/io/memberships.hpp"
#include "control/io/next_hops.hpp"
#include "control/mesh/mesh.hpp"
#include "control/metrics/http.hpp"
#include "dataplane/dataplane.hpp"

namespace penstock {

class Node {
public:
    Node(const config::Config& config, Log& log) : config_(config), log_(log) {}

    Result<void> open();  // everything but the workers; a failure leaves nothing behind
    void run();           // until SIGTERM or SIGINT

private:
    Result<void> open_dataplane();
    Result<void> open_mesh();
    Result<void> open_metrics();
    void steer(uint16_t port);
    void join_groups();
    void claim_ports();
    void on_next_hop(const flow::Destination& to, const flow::Resolution& answer);
    void on_netdev(const std::string& netdev);
    void changed();
    void publish();
    void start_workers();
    metrics::Response answer(std::string_view path) const;

    const config::Config& config_;
    Log& log_;
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
    io::EventLoop::Timer publish_timer_, reclaim_timer_, start_timer_;
    size_t unresolved_ = 0;  // destinations that were not answered even once
    bool started_ = false;   // the workers
};

}  // namespace penstock
