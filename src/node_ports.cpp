// The running forwarder's third part: a port whose netdev is removed (a pod's veth, a driver that is loaded again) goes
// down, and comes up by itself on the netdev that has the name next; so does one whose virtual function is reset or
// taken away. Other ports do not notice.
//
// An AF_XDP or packet socket belongs to the interface it was opened on, not to the name: when that is gone, so is it.
#include <fmt/format.h>

#include <algorithm>

#include "control/io/kept_neighbours.hpp"
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
    for (const flow::PortInfo& port : ports_) waiting |= !follow_port(port);
    ports_timer_ = {};
    if (!waiting) return;
    // What was tried in vain is tried less often.
    const bool tried = std::ranges::all_of(down_, [&](const auto& down) {
        return !dataplane_->ports()[down.first]->is_open() && next_hops_->index(ports_[down.first].netdev) != 0;
    });
    ports_timer_ = loop_.at(Clock::now() + (tried ? kTryAgain : kLookAgain), [this] { follow_ports(); });
}

// NICs of our own tell nobody but DPDK that they were reset, or have no link. Asked ten times a second: why that is
// often enough for a link that is away for a moment is in docs/decisions/0033.
void Node::follow_nics() {
    for (const flow::PortInfo& port : ports_) {
        if (port.driver != flow::Driver::pci || down_.contains(port.index)) continue;
        dataplane::Port& opened = *dataplane_->ports()[port.index];
        const bool linked = opened.link_up();
        opened.note_link(linked);
        if (!opened.why_lost().empty()) follow_ports();
        if (linked != unlinked_.contains(port.index)) continue;
        if (linked) {
            unlinked_.erase(port.index);
            log_.info("port '{}': the NIC has a link again", port.name);
        } else {
            unlinked_.insert(port.index);
            log_.warning("port '{}': the NIC has no link", port.name);
        }
        if (const auto& twin = dataplane_->twins()[port.index]) twin->set_carrier(linked);
    }
}

// Whether the port is up, with nothing more to do.
bool Node::follow_port(const flow::PortInfo& port) {
    const dataplane::Port& opened = *dataplane_->ports()[port.index];
    const bool on_netdev = flow::lives_on_netdev(port);
    const unsigned there = on_netdev ? next_hops_->index(port.netdev) : 0;
    if (!down_.contains(port.index)) {
        if (opened.netdev_index() != there)
            port_gone(port, fmt::format("interface {} is gone", port.netdev));
        else if (const std::string why = opened.why_lost(); !why.empty())
            port_gone(port, why);
        else
            return true;
    }
    dataplane_->reclaim();
    return !opened.is_open() && (there != 0 || !on_netdev) && port_back(port);
}

void Node::port_gone(const flow::PortInfo& port, const std::string& why) {
    down_[port.index] = why;
    log_.warning("port '{}': down, {}; it comes up again by itself", port.name, why);
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
    const io::KeptNeighbours kept;
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
    guide(port.index, {mesh_->keys(port.index), {}});
    changed();
    return true;
}

}  // namespace penstock
