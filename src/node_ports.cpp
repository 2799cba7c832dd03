// The running forwarder's third part: a port whose netdev is removed (a pod's veth, a driver that is loaded again) goes
// down, and comes up by itself on the netdev that has the name next. Other ports do not notice.
//
// An AF_XDP or packet socket belongs to the interface it was opened on, not to the name: when that is gone, so is it.
#include <fmt/format.h>

#include <algorithm>

#include "node.hpp"
#include "privileges.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;

// How often a port that is down is looked at: until the workers have left it, and until it can be opened. Netlink says
// when the netdev is back, but not when an address or another program no longer is in the way.
constexpr auto kLookAgain = 50ms, kTryAgain = 500ms;

}  // namespace

void Node::follow_ports() {
    bool waiting = false;
    for (const flow::PortInfo& port : ports_)
        if (flow::lives_on_netdev(port)) waiting |= !follow_port(port);
    ports_timer_ = {};
    if (!waiting) return;
    // What was tried in vain is tried less often.
    const bool tried = std::ranges::all_of(down_, [&](const auto& down) {
        return !dataplane_->ports()[down.first]->is_open() && next_hops_->index(ports_[down.first].netdev) != 0;
    });
    ports_timer_ = loop_.at(Clock::now() + (tried ? kTryAgain : kLookAgain), [this] { follow_ports(); });
}

// Whether the port is up, with nothing more to do.
bool Node::follow_port(const flow::PortInfo& port) {
    const unsigned there = next_hops_->index(port.netdev);
    const dataplane::Port& opened = *dataplane_->ports()[port.index];
    if (!down_.contains(port.index)) {
        if (opened.netdev_index() == there) return true;
        port_gone(port);
    }
    dataplane_->reclaim();
    return !opened.is_open() && there != 0 && port_back(port);
}

void Node::port_gone(const flow::PortInfo& port) {
    const std::string why = fmt::format("interface {} is gone", port.netdev);
    down_[port.index] = why;
    log_.warning("port '{}': down, {}; it comes up again with the interface", port.name, why);
    dataplane_->leave(port.index);
    // A claimed port may be bound to the interface that is gone.
    for (auto& [what, claim] : claims_) {
        if (what.second != port.netdev || !claim.held) continue;
        claimed_.release(what.first);
        claim.held = false;
    }
}

bool Node::port_back(const flow::PortInfo& port) {
    const Raised raised;  // opening takes capabilities that are not in effect otherwise
    if (auto opened = dataplane_->rejoin(port.index, log_); !opened) {
        std::string& why = down_[port.index];
        if (why != opened.error().text) log_.warning("port '{}': still down: {}", port.name, opened.error().text);
        why = opened.error().text;
        return false;
    }
    down_.erase(port.index);
    flow::PortInfo& known = ports_[port.index];
    auto workers = std::move(known.rx_workers);
    known = dataplane_->ports()[port.index]->info();
    known.rx_workers = std::move(workers);
    mesh_->set_port(known);
    steer(port.index);
    changed();
    return true;
}

}  // namespace penstock
