#include "node.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "control/io/kept_neighbours.hpp"
#include "cores.hpp"
#include "doctor/read.hpp"
#include "random_bits.hpp"
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

dataplane::Segmentation of(config::Segmentation wanted) {
    switch (wanted) {
        case config::Segmentation::on: return dataplane::Segmentation::on;
        case config::Segmentation::off: return dataplane::Segmentation::off;
        case config::Segmentation::automatic: break;
    }
    return dataplane::Segmentation::automatic;
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
            .segmentation = of(port.segmentation),
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
    for (const auto step : {&Node::open_dataplane, &Node::address_twins, &Node::open_mesh, &Node::open_metrics,
                            &Node::open_control, &Node::open_telemetry, &Node::open_rtsp, &Node::open_pulls})
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
                           .memory = dataplane::memory_of(config::packet_buffers(config_)),
                           .free_hugepages = machine.hugepages_within_reach(),
                           .pci_devices = {},
                           .telemetry = true,
                           .verbose = log_.enabled(Level::debug)};
    dataplane::DataplanePlan plan{.ports = {},
                                  .workers = static_cast<unsigned>(cores->workers.size()),
                                  .mbufs = config::packet_buffers(config_),
                                  .sleep_when_idle = config_.workers.idle == config::Idle::sleep};
    for (const config::Port& port : config_.ports) {
        plan.ports.push_back(of(port));
        plan.ports.back().vlans = vlans_of(config_, port.name);
        if (port.driver == flow::Driver::pci) eal.pci_devices.push_back(port.device);
    }
    auto started = dataplane::Eal::start(eal, log_);
    if (!started) return fail(started.error().text);
    eal_ = std::move(*started);
    auto opened = [&] {
        const io::KeptNeighbours kept;
        return dataplane::Dataplane::open(plan, *eal_, log_);
    }();
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
    if (config_.rtsp.on()) mesh_->keep_history(config_.rtsp.late_join);
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

Result<void> Node::open_control() {
    auto socket =
        io::ControlSocket::open(loop_, config_.control.socket, [this](std::string_view line) { return request(line); });
    if (!socket) return fail(socket.error().text);
    control_ = std::move(*socket);
    return {};
}

// Streams of cameras: of the file, and those that operators add.
Result<void> Node::open_pulls() {
    pulls_ =
        std::make_unique<Pulls>(Pulled::Surroundings{.loop = loop_,
                                                     .log = log_,
                                                     .mesh = *mesh_,
                                                     .ingest = dataplane_->ingest(),
                                                     .ports = *port_pairs_,
                                                     .trusts = trusts_,
                                                     .port_of = [this](const Ip& local) { return port_of(local); },
                                                     .changed =
                                                         [this] {
                                                             follow_changes();
                                                             publish();  // at once: a camera sends as soon as it is
                                                                         // asked to, beginning with the key frame
                                                         }});
    pulls_->follow_model();
    return {};
}

Result<void> Node::open_rtsp() {
    port_pairs_.emplace(config_.media.first_port, config_.media.last_port, random_bits());
    if (!config_.rtsp.on()) return {};
    auto rtsp =
        Rtsp::open(config_, {.loop = loop_,
                             .log = log_,
                             .mesh = *mesh_,
                             .ingest = dataplane_->ingest(),
                             .ports = *port_pairs_,
                             .take_diverted = [this](const auto& visit) { return dataplane_->diversion().take(visit); },
                             .claim_ports = std::ranges::any_of(
                                 ports_, [](const flow::PortInfo& p) { return p.driver == flow::Driver::af_packet; }),
                             .address_of = [this](const auto& port, bool v4) { return address_of(port, v4); },
                             .changed =
                                 [this] {
                                     follow_destinations();
                                     follow_sources();  // groups whose receivers are heard
                                     changed();
                                 },
                             .streams_changed =
                                 [this] {
                                     follow_changes();
                                     publish();  // at once: a publisher sends as soon as it is told that it may
                                 },
                             .wake = [this](const std::string& stream,
                                            Pulled::Told told) { return pulls_->wake(stream, std::move(told)); }});
    if (!rtsp) return fail(rtsp.error().text);
    rtsp_ = std::move(*rtsp);
    for (const Endpoint& at : config_.rtsp.listen) log_.info("RTSP: listening on {}", at.text());
    return config_.rtsp.tls ? open_rtsps(*config_.rtsp.tls) : Result<void>{};
}

Result<void> Node::open_rtsps(const config::Tls& tls) {
    auto opened = Rtsps::open(tls);
    if (!opened) return fail(opened.error().text);
    rtsps_ = std::move(*opened);
    for (const Endpoint& at : tls.listen) {
        if (auto done = rtsp_->listen(at, rtsps_->tls()); !done)
            return fail(fmt::format("rtsp.tls.listen: {}", done.error().text));
        log_.info("RTSPS: listening on {}", at.text());
    }
    const auto objection = io::objection_to(rtsps_->tls().certificate(), std::time(nullptr));
    if (objection.empty())
        log_.info("RTSPS: certificate {}", rtsps_->text());
    else
        log_.warning("RTSPS: the certificate {} {}: players will refuse it", tls.certificate, objection);
    return {};
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

void Node::run() {
    audit_timer_ = loop_.every(1s, [this] {
        audit();
        measure();
        follow_groups();
    });
    reclaim_timer_ = loop_.every(100ms, [this] {
        follow_capture();
        dataplane_->reclaim();
        follow_nics();
        tell_sources();
    });
    running_ = true;
    start_timer_ = loop_.at(Clock::now() + kWaitForNextHops, [this] { start_workers(); });
    if (unanswered_.empty()) start_workers();
    loop_.run();
    say_goodbye();
    tell_sources();
    if (rtsp_) rtsp_->stop();
    pulls_->stop();
}

// RTCP of the workers for sources whose media comes by TCP: with whom the connection is. One that is gone hears
// nothing.
void Node::tell_sources() {
    dataplane_->replies().take([this](const Endpoint& at, std::span<const std::byte> rtcp) {
        const bool told = (rtsp_ && rtsp_->tell(at, rtcp)) || pulls_->tell(at, rtcp);
        (told ? replies_.told : replies_.gone)++;
    });
}

// Receivers and sources are told that all ends; a worker that does not take its turn is not waited for.
void Node::say_goodbye() {
    if (!started_) return;
    std::vector<uint64_t> before;
    for (const auto& worker : dataplane_->workers()) before.push_back(worker->turns());
    dataplane_->publish(mesh_->last_table());
    // Of two turns that have begun since, one is over that had this table. (One that sleeps holds no table at all.)
    const auto said = [&] {
        return std::ranges::equal(dataplane_->workers(), before,
                                  [](const auto& worker, uint64_t turns) { return worker->turns() >= turns + 2; });
    };
    const auto deadline = Clock::now() + 100ms;
    while ((dataplane_->reclaim() != 0 || !said()) && Clock::now() < deadline) std::this_thread::sleep_for(1ms);
}

}  // namespace penstock
