#include "node.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "cores.hpp"
#include "doctor/read.hpp"
#include "version.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;

constexpr auto kCoalesce = 5ms;  // changes within it become one table
// The workers start when every leg's next hop was looked up, so that a source that is already sending loses nothing it
// need not; but they do not wait longer than this.
constexpr auto kWaitForNextHops = 500ms;

dataplane::Hugepages of(config::Hugepages wanted) {
    switch (wanted) {
        case config::Hugepages::on: return dataplane::Hugepages::on;
        case config::Hugepages::off: return dataplane::Hugepages::off;
        case config::Hugepages::automatic: break;
    }
    return dataplane::Hugepages::automatic;
}

dataplane::Attach of(config::XdpMode mode) {
    switch (mode) {
        case config::XdpMode::native: return dataplane::Attach::native;
        case config::XdpMode::generic: return dataplane::Attach::generic;
        case config::XdpMode::automatic: break;
    }
    return dataplane::Attach::automatic;
}

dataplane::ZeroCopy of(config::ZeroCopy wanted) {
    switch (wanted) {
        case config::ZeroCopy::on: return dataplane::ZeroCopy::on;
        case config::ZeroCopy::off: return dataplane::ZeroCopy::off;
        case config::ZeroCopy::automatic: break;
    }
    return dataplane::ZeroCopy::automatic;
}

dataplane::PortPlan of(const config::Port& port) {
    return {.name = port.name,
            .driver = port.driver,
            .queues = static_cast<uint16_t>(port.queues),
            .interface = port.interface,
            .device = port.device,
            .socket = port.socket,
            .read = port.read,
            .write = port.write,
            .attach = of(port.mode),
            .zero_copy = of(port.zero_copy),
            .twin = port.twin,
            .addresses = port.addresses,
            .peer_mac = port.peer_mac,
            .vlans = {}};
}

// The VLANs by which sources may arrive on the port.
std::vector<uint16_t> vlans_of(const config::Config& config, const std::string& port) {
    std::set<uint16_t> vlans;
    for (const config::Stream& stream : config.streams)
        for (const config::Track& track : stream.tracks)
            for (const config::Source& source : track.sources)
                if (source.vlan != 0 && source.port.value_or(port) == port) vlans.insert(source.vlan);
    return {vlans.begin(), vlans.end()};
}

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace

Result<void> Node::open() {
    // First of all: threads that are started later inherit the blocked signals.
    signals_ = loop_.on_signal({SIGTERM, SIGINT, SIGHUP}, [this](int signal) {
        if (signal == SIGHUP) {
            const auto reply = reload(false);
            return reply.ok ? log_.info("SIGHUP: {}", reply.body) : log_.error("SIGHUP: {}", reply.body);
        }
        log_.info("{}: stopping", signal == SIGTERM ? "SIGTERM" : "SIGINT");
        loop_.stop();
    });
    for (const auto step : {&Node::open_dataplane, &Node::open_mesh, &Node::open_metrics, &Node::open_control,
                            &Node::open_telemetry, &Node::open_rtsp})
        if (auto done = (this->*step)(); !done) return done;
    return {};
}

Result<void> Node::open_dataplane() {
    const auto cores = choose_cores(config_.workers.cores, allowed_cores());
    if (!cores) return fail(cores.error().text);
    doctor::Facts machine;
    doctor::read_machine("", machine);
    dataplane::EalPlan eal{.control_core = cores->control,
                           .worker_cores = cores->workers,
                           .hugepages = of(config_.memory.hugepages),
                           .memory = dataplane::memory_of(config_.memory.mbufs),
                           .free_hugepages = machine.hugepages_within_reach(),
                           .pci_devices = {},
                           .telemetry = true,
                           .verbose = log_.enabled(Level::debug)};
    dataplane::DataplanePlan plan{.ports = {},
                                  .workers = static_cast<unsigned>(cores->workers.size()),
                                  .mbufs = config_.memory.mbufs,
                                  .sleep_when_idle = config_.workers.idle == config::Idle::sleep};
    for (const config::Port& port : config_.ports) {
        plan.ports.push_back(of(port));
        plan.ports.back().vlans = vlans_of(config_, port.name);
        if (port.driver == flow::Driver::pci) eal.pci_devices.push_back(port.device);
    }
    auto started = dataplane::Eal::start(eal, log_);
    if (!started) return fail(started.error().text);
    eal_ = std::move(*started);
    auto opened = dataplane::Dataplane::open(plan, *eal_, log_);
    if (!opened) return fail(opened.error().text);
    dataplane_ = std::move(*opened);
    cores_ = cores->workers;
    pulses_.resize(cores_.size());
    for (const auto& port : dataplane_->ports()) ports_.push_back(port->info());
    for (const auto& worker : dataplane_->workers()) {
        std::string queues;
        for (const dataplane::RxQueue& q : worker->rx()) {
            auto& polled_by = ports_[q.port].rx_workers;
            if (polled_by.empty() || polled_by.back() != worker->id()) polled_by.push_back(worker->id());
            queues += fmt::format("{}{}/{}", queues.empty() ? "" : ", ", ports_[q.port].name, q.number);
        }
        log_.info("worker {}: core {}, rx queues {}, {} when idle", worker->id(), cores->workers[worker->id()],
                  queues.empty() ? "none" : queues, plan.sleep_when_idle ? "sleeps" : "polls");
    }
    return {};
}

Result<void> Node::open_mesh() {
    mesh_ = std::make_unique<mesh::Mesh>(ports_, flow::PortRange{config_.media.first_port, config_.media.last_port},
                                         static_cast<uint16_t>(cores_.size()));
    mesh_->replace(config_.streams);
    auto hops = io::NextHops::open(
        loop_, log_, ports_,
        [this](const flow::Destination& to, const flow::Resolution& answer) { on_next_hop(to, answer); },
        [this](const std::string& netdev) { on_netdev(netdev); });
    if (!hops) return fail(hops.error().text);
    next_hops_ = std::move(*hops);
    follow_changes();
    mesh_->take_keys();  // steered as a whole, below
    publish();
    for (const flow::PortInfo& port : ports_) {
        steer(port.index);
        guide(port.index, {mesh_->keys(port.index), {}});
    }
    return {};
}

Result<void> Node::open_metrics() {
    if (!config_.metrics.listen) return {};
    auto server = metrics::HttpServer::open(loop_, *config_.metrics.listen,
                                            [this](std::string_view path) { return answer(path); });
    if (!server) return fail(server.error().text);
    http_ = std::move(*server);
    return {};
}

Result<void> Node::open_control() {
    auto socket =
        io::ControlSocket::open(loop_, config_.control.socket, [this](std::string_view line) { return request(line); });
    if (!socket) return fail(socket.error().text);
    control_ = std::move(*socket);
    return {};
}

void Node::note_steering(uint16_t port, const Result<void>& done) {
    if (!done) log_.error("port '{}': XDP steering: {}", ports_[port].name, done.error().text);
}

Result<void> Node::open_rtsp() {
    if (config_.rtsp.listen.empty()) return {};
    auto rtsp =
        Rtsp::open(config_, {.loop = loop_,
                             .log = log_,
                             .mesh = *mesh_,
                             .claim_ports = std::ranges::any_of(
                                 ports_, [](const flow::PortInfo& p) { return p.driver == flow::Driver::af_packet; }),
                             .changed = [this] {
                                 follow_destinations();
                                 changed();
                             }});
    if (!rtsp) return fail(rtsp.error().text);
    rtsp_ = std::move(*rtsp);
    for (const Endpoint& at : config_.rtsp.listen) log_.info("RTSP: listening on {}", at.text());
    return {};
}

// Tells the port's XDP program all that is media; publish() tells what changes.
void Node::steer(uint16_t port) {
    dataplane::Steering* steering = dataplane_->ports()[port]->steering();
    if (steering == nullptr) return;
    steer_addresses(port);
    note_steering(port, steering->set_flows(mesh_->keys(port)));
    note_steering(port, steering->set_media_ports(config_.media.first_port, config_.media.last_port));
}

// Tells a NIC that can be told which queue is polled by the worker that owns a flow's track.
void Node::guide(uint16_t port, const mesh::Mesh::Keys& keys) {
    dataplane::FlowRules* rules = dataplane_->ports()[port]->flow_rules();
    if (rules == nullptr) return;
    for (const flow::Key& key : keys.unwanted) rules->remove(key);
    for (const flow::Key& key : keys.wanted) {
        const auto owner = mesh_->owner(key);
        const auto queue = owner ? dataplane_->queue_of(port, *owner) : std::nullopt;
        if (!queue) {  // the tracks of several workers, told apart by sender
            rules->remove(key);
            continue;
        }
        if (auto set = rules->set(key, *queue); !set && unguided_.insert(port).second)
            log_.info(
                "port '{}': the driver does not take a flow to a queue ({}): what arrives at another worker than "
                "its track's is handed over",
                ports_[port].name, set.error().text);
    }
}

void Node::steer_addresses(uint16_t port) {
    if (dataplane::Steering* steering = dataplane_->ports()[port]->steering())
        note_steering(port, steering->set_addresses(next_hops_->addresses(ports_[port].netdev)));
}

// What the model wants of the kernel since it changed. What is added comes first: a group, port or next hop that is in
// use before and after is not given up between.
void Node::follow_changes() {
    follow_destinations();
    const auto sources = mesh_->take_sources();
    for (const config::Source& source : sources.added) follow(source, true);
    for (const config::Source& source : sources.removed) follow(source, false);
    const auto is_group = [](const config::Source& source) { return source.rtp.ip.is_multicast(); };
    if (std::ranges::any_of(sources.added, is_group) || std::ranges::any_of(sources.removed, is_group)) follow_groups();
    if (rtsp_) rtsp_->follow_model();
    changed();
}

void Node::follow_destinations() {
    const auto destinations = mesh_->take_destinations();
    for (const flow::Destination& to : destinations.wanted) {
        next_hops_->want(to);
        if (!started_) unanswered_.insert(to);
    }
    for (const flow::Destination& to : destinations.forgotten) {
        next_hops_->forget(to);
        unanswered_.erase(to);  // deleted before the workers started
    }
}

// What a kernel twin listens to, a NIC of our own must let in; of joins by others on the twin nobody tells.
void Node::follow_groups() {
    for (const auto& port : dataplane_->ports())
        if (auto followed = port->follow_groups(); !followed) log_.warning("{}", followed.error().text);
}

void Node::follow(const config::Source& source, bool added) {
    if (source.rtp.ip.is_multicast()) {
        const std::string& netdev = ports_[mesh_->port_index(source.port).value_or(0)].netdev;
        if (netdev.empty()) return;  // no kernel twin, nobody to join with
        const auto sender = source.ssm ? source.from : std::nullopt;
        if (!added) return memberships_.leave(source.rtp.ip, sender, netdev);
        if (auto joined = memberships_.join(source.rtp.ip, sender, netdev); !joined)
            log_.error("{}", joined.error().text);
        return;
    }
    // Where the kernel sees media too it must not answer "port unreachable".
    for (const flow::PortInfo& port : ports_) {
        if (port.driver != flow::Driver::af_packet || source.vlan != 0) continue;
        if (source.port && *source.port != port.name) continue;
        std::vector<uint16_t> further = config::further_ports(source);
        further.push_back(0);
        for (const uint16_t beyond : further) {
            const auto udp = static_cast<uint16_t>(source.rtp.port + beyond);
            const auto claim = claims_.try_emplace({{source.rtp.ip, udp}, port.netdev}).first;
            claim->second.wanted += added ? 1 : -1;
            if (claim->second.wanted != 0) {
                if (added) claim_port(claim->first, claim->second);
                continue;
            }
            if (claim->second.held) claimed_.release(claim->first.first);
            claims_.erase(claim);
        }
    }
}

// If it is possible by now: the address may come to the interface later.
void Node::claim_port(const Claimed& what, Claim& claim) {
    const auto& [endpoint, netdev] = what;
    if (claim.held) return;
    const auto local = next_hops_->addresses(netdev);
    if (std::ranges::find(local, endpoint.ip) == local.end()) return;
    if (auto claimed = claimed_.claim(endpoint, netdev)) {
        claim.held = true;
    } else {
        log_.warning("{}", claimed.error().text);
    }
}

void Node::on_next_hop(const flow::Destination& to, const flow::Resolution& answer) {
    if (answer.hop) unanswered_.erase(to);
    mesh_->resolve(to, answer);
    if (answer.hop) {
        log_.info("{}: next hop {} by port '{}', from {}, mtu {}", to.ip.text(), answer.hop->mac.text(),
                  ports_[answer.hop->port].name, answer.hop->source.text(), answer.hop->mtu);
    } else if (started_) {  // before, the neighbour has hardly been asked
        log_.warning("{}: no next hop: {}", to.ip.text(), answer.why_not);
    }
    changed();
}

void Node::on_netdev(const std::string& netdev) {
    follow_ports();
    for (flow::PortInfo& port : ports_) {
        if (port.netdev != netdev) continue;
        steer_addresses(port.index);
        const auto mac = next_hops_->mac(netdev);
        if (!flow::lives_on_netdev(port) || !mac || *mac == port.mac) continue;
        log_.info("port '{}': mac {} by now", port.name, mac->text());
        port.mac = *mac;  // what copies carry as their sender
        mesh_->set_port(port);
        changed();
    }
    for (auto& [what, claim] : claims_)
        if (what.second == netdev) claim_port(what, claim);
    if (auto joined = memberships_.rejoin(netdev); !joined) log_.error("{}", joined.error().text);
}

void Node::changed() {
    if (!publish_timer_) publish_timer_ = loop_.at(Clock::now() + kCoalesce, [this] { publish(); });
}

void Node::publish() {
    publish_timer_ = {};
    if (dataplane_->reclaim() >= flow::Publisher::kMaxPending) return changed();  // a worker is slow: collect on
    // A new flow is steered before its table is in force, one that is gone after it: neither is missed between.
    const auto keys = mesh_->take_keys();
    const auto& ports = dataplane_->ports();
    for (uint16_t p = 0; p < ports.size(); p++)
        if (auto* steering = ports[p]->steering()) note_steering(p, steering->add_flows(keys[p].wanted));
    if (auto table = mesh_->compile()) dataplane_->publish(std::move(table));
    for (uint16_t p = 0; p < ports.size(); p++)
        if (auto* steering = ports[p]->steering()) steering->remove_flows(keys[p].unwanted);
    for (uint16_t p = 0; p < ports.size(); p++) guide(p, keys[p]);
    if (running_ && unanswered_.empty()) start_workers();
}

void Node::start_workers() {
    start_timer_ = {};
    if (std::exchange(started_, true)) return;
    dataplane_->start();
    pulse_timer_ = loop_.every(metrics::Pulse::kLook, [this] { feel_pulses(); });
    for (const flow::Destination& to : std::exchange(unanswered_, {}))
        log_.warning("{}: no next hop: {}", to.ip.text(), mesh_->resolution(to).why_not);
    log_.info("node '{}': forwarding {} tracks, {} workers", config_.node, mesh_->tracks().size(),
              dataplane_->workers().size());
}

// Every packet must be accounted for. That it is not is a bug of ours: said once, and shown in the metrics.
void Node::audit() {
    for (const auto& worker : dataplane_->workers()) {
        const flow::Ledger ledger = worker->ledger().read();
        if (ledger.balanced() || !unbalanced_.insert(worker->id()).second) continue;
        log_.error(
            "worker {}: the ledger does not balance: rx {} is not forwarded {} + consumed {} + drops {}, or tx wanted "
            "{} is not "
            "sent {} + drops {}",
            worker->id(), ledger.rx, ledger.forwarded, ledger.consumed(), ledger.rx_drops(), ledger.tx_wanted,
            ledger.sent, ledger.tx_drops());
    }
}

// A worker that does not turn forwards nothing and keeps replaced tables from being freed. Control does not wait for
// it.
void Node::feel_pulses() {
    for (const auto& worker : dataplane_->workers()) {
        metrics::Pulse& pulse = pulses_[worker->id()];
        switch (pulse.look(worker->turns(), Clock::now())) {
            case metrics::Pulse::News::none: break;
            case metrics::Pulse::News::stalled:
                log_.error(
                    "worker {} on core {} has not turned for {:.1f} s: it forwards nothing; is its core taken away?",
                    worker->id(), cores_[worker->id()], seconds(pulse.still()));
                break;
            case metrics::Pulse::News::recovered:
                log_.info("worker {} turns again, after {:.1f} s", worker->id(), seconds(pulse.pause()));
                break;
        }
    }
}

std::vector<metrics::PortHealth> Node::port_health() const {
    std::vector<metrics::PortHealth> all;
    for (const auto& port : dataplane_->ports()) {
        const flow::PortInfo& info = port->info();
        if (const auto down = down_.find(info.index); down != down_.end()) {
            all.push_back({info.name, down->second});
        } else if (flow::lives_on_netdev(info)) {
            all.push_back({info.name, next_hops_->why_down(info.netdev)});
        } else {
            all.push_back({info.name, port->link_up() ? "" : "the NIC has no link"});
        }
    }
    return all;
}

metrics::View Node::view() const {
    metrics::View view{.version = kVersion,
                       .node = config_.node,
                       .mesh = *mesh_,
                       .now = dataplane::clock_now(),
                       .table_pending = dataplane_->reclaim()};
    for (const auto& worker : dataplane_->workers())
        view.workers.push_back({worker->ledger().read(), flow::Latency::of(worker->latency()), worker->turns(),
                                pulses_[worker->id()].stalled()});
    const auto health = port_health();
    for (size_t p = 0; p < ports_.size(); p++) {
        view.ports.push_back({ports_[p].name, health[p].why_not.empty(), dataplane_->ports()[p]->counters()});
        if (const auto& twin = dataplane_->twins()[p])
            view.twins.push_back({ports_[p].name, twin->lost_to_kernel.read(), twin->lost_from_kernel.read()});
    }
    for (const auto& pool : dataplane_->pools()) view.pools.push_back({pool.name, pool.free, pool.size});
    return view;
}

metrics::Response Node::answer(std::string_view path) const {
    if (path == "/healthz") return {200, "text/plain", "ok\n"};
    if (path == "/readyz") {
        auto readiness = metrics::readiness(started_, port_health(), pulses_);
        return {readiness.ready ? 200u : 503u, "text/plain", std::move(readiness.text)};
    }
    if (path != "/metrics") return {404, "text/plain", "/metrics, /healthz or /readyz\n"};
    return {200, "text/plain; version=0.0.4; charset=utf-8",
            metrics::render(view()) + (rtsp_ ? rtsp_->metrics() : std::string())};
}

// How much each worker does, smoothed over some seconds: new tracks go where there is least to do.
void Node::measure() {
    constexpr double kSmoothing = 0.3;  // of each new second
    std::vector<double> load;
    for (const auto& worker : dataplane_->workers()) {
        const flow::Ledger ledger = worker->ledger().read();
        const uint64_t done = ledger.rx + ledger.tx_wanted;
        const auto now = static_cast<double>(done - std::exchange(done_[worker->id()], done));
        const double before = mesh_->placed()[worker->id()].load;
        load.push_back(before + kSmoothing * (now - before));
    }
    mesh_->measured(load);
}

void Node::run() {
    audit_timer_ = loop_.every(1s, [this] {
        audit();
        measure();
        follow_groups();
    });
    reclaim_timer_ = loop_.every(100ms, [this] {
        follow_capture();
        dataplane_->reclaim();
    });
    running_ = true;
    start_timer_ = loop_.at(Clock::now() + kWaitForNextHops, [this] { start_workers(); });
    if (unanswered_.empty()) start_workers();
    loop_.run();
    if (rtsp_) rtsp_->stop();
}

}  // namespace penstock
