// The running forwarder watched: metrics and readiness, the balance of the ledgers, the pulse and the load of the
// workers.
#include <fmt/format.h>

#include "control/metrics/text.hpp"
#include "node.hpp"
#include "version.hpp"

namespace penstock {
namespace {

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace

Result<void> Node::open_metrics() {
    if (!config_.metrics.listen) return {};
    auto server = metrics::HttpServer::open(loop_, *config_.metrics.listen,
                                            [this](std::string_view path) { return answer(path); });
    if (!server) return fail(server.error().text);
    http_ = std::move(*server);
    return {};
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
        if (pulse.stalled()) worker->wake();  // it may be asleep because its core's timer was lost
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
    const auto& in = dataplane_->ingest().counters();
    view.ingest = {in.packets, in.bytes, in.too_long, in.no_buffer, in.ring_full, replies_.told, replies_.gone};
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
            metrics::render(view()) + (rtsp_ ? rtsp_->metrics() : std::string()) +
                (rtsps_ ? rtsps_->metrics() : std::string()) + (pulls_ ? pulls_->metrics() : std::string())};
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

}  // namespace penstock
