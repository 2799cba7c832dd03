// The running forwarder and the kernel beside it: what of the model's changes the kernel must know (groups, claimed
// ports, what XDP and the NIC steer), and what the kernel says (next hops, addresses, interfaces).
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "control/io/kernel.hpp"
#include "node.hpp"

namespace penstock {

// Before anything is looked up by them. A twin goes with the process and its addresses with the twin, so that whoever
// gave them by hand would have to come back at each start.
Result<void> Node::address_twins() {
    std::optional<io::Kernel> kernel;
    for (const flow::PortInfo& port : ports_) {
        if (port.netdev.empty()) continue;
        for (const Prefix& own : port.addresses) {
            if (!kernel) {
                auto opened = io::Kernel::open();
                if (!opened) return fail(opened.error().text);
                kernel.emplace(std::move(*opened));
            }
            if (const int error = kernel->give(port.netdev, own); error != 0)
                return fail(fmt::format("port '{}': its kernel twin '{}' cannot have the address {}: {}", port.name,
                                        port.netdev, own.text(), std::strerror(error)));
        }
    }
    return {};
}

void Node::note_steering(uint16_t port, const Result<void>& done) {
    if (!done) log_.error("port '{}': XDP steering: {}", ports_[port].name, done.error().text);
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
    follow_sources();
    if (rtsp_) rtsp_->follow_model();
    if (pulls_) pulls_->follow_model();
    changed();
}

void Node::follow_sources() {
    const auto sources = mesh_->take_sources();
    for (const config::Source& source : sources.added) follow(source, true);
    for (const config::Source& source : sources.removed) follow(source, false);
    const auto is_group = [](const config::Source& source) { return source.rtp.ip.is_multicast(); };
    if (std::ranges::any_of(sources.added, is_group) || std::ranges::any_of(sources.removed, is_group)) follow_groups();
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
    for (const auto& port : dataplane_->ports()) port->follow_groups(log_);
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

std::optional<std::string> Node::port_of(const Ip& local) const {
    for (const flow::PortInfo& port : ports_) {
        const auto addresses = next_hops_->addresses(port.netdev);
        if (std::ranges::find(addresses, local) != addresses.end()) return port.name;
    }
    return std::nullopt;
}

// Of that family; one that reaches beyond the link, if there is any.
std::optional<Ip> Node::address_of(const std::optional<std::string>& port, bool v4) const {
    static const Prefix kLink = *Prefix::parse("fe80::/10");
    std::optional<Ip> found;
    for (const Ip& own : next_hops_->addresses(ports_[mesh_->port_index(port).value_or(0)].netdev))
        if (own.is_v4() == v4 && (!found || kLink.contains(*found))) found = own;
    return found;
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

}  // namespace penstock
