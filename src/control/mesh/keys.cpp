// By which keys packets of the model's tracks arrive: what has to be steered to the ports, and whose a key is.
#include "control/mesh/keys.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "control/mesh/mesh.hpp"

namespace penstock::mesh {

// RTCP is not noted: a key may be that of the RTCP of whoever has the port before it.
bool Mesh::any_source(const flow::Key& key, const std::function<bool(const Track&, const Path&)>& is) const {
    for (const flow::Key& at : {key, port_before(key)}) {
        const auto [begin, end] = sources_.equal_range(at);
        for (auto it = begin; it != end; ++it)
            for (const Path& path : it->second->paths) {
                const auto keys = keys_of(path.source);
                if (std::ranges::find(keys, key) != keys.end() && is(*it->second, path)) return true;
            }
    }
    return false;
}

bool Mesh::is_source(const flow::Key& key) const {
    return any_source(key, [](const Track&, const Path&) { return true; });
}

bool Mesh::takes(const flow::Key& key) const { return is_source(key) || viewer_keys_.contains(key); }

std::vector<flow::Key> Mesh::keys(uint16_t port) const {
    std::vector<flow::Key> all;
    for (const Track* track : tracks()) {
        if (!track->flows) continue;
        for (const flow::Flow& flow : *track->flows) {
            if (flow.rx_port != flow::Flow::kAnyPort && flow.rx_port != port) continue;
            all.push_back(flow.key);
            if (flow.kind == flow::Kind::rtp) all.push_back(further(flow.key, config::kRtcpPort));
        }
    }
    for (const auto& [key, by] : group_keys_)
        if (!by || *by == port) all.push_back(key);
    return all;
}

bool Mesh::arrives(const flow::Key& key, const flow::PortInfo& port) const {
    const auto group = group_keys_.find(key);
    if (group != group_keys_.end() && group->second.value_or(port.index) == port.index) return true;
    return any_source(
        key, [&](const Track&, const Path& path) { return !path.source.port || *path.source.port == port.name; });
}

std::optional<uint16_t> Mesh::owner(const flow::Key& key) const {
    std::optional<uint16_t> owner;
    const bool several = any_source(key, [&](const Track& track, const Path&) {
        return std::exchange(owner, track.owner).value_or(track.owner) != track.owner;
    });
    return several ? std::nullopt : owner;
}

std::vector<Mesh::Keys> Mesh::take_keys() {
    std::vector<Keys> all(ports_.size());
    std::vector<flow::Key> changed = std::exchange(changed_keys_, {});
    std::ranges::sort(changed, {}, [](const flow::Key& k) { return std::tie(k.destination, k.port, k.vlan); });
    changed.erase(std::ranges::unique(changed).begin(), changed.end());
    for (const flow::Key& key : changed)
        for (const flow::PortInfo& port : ports_)
            (arrives(key, port) ? all[port.index].wanted : all[port.index].unwanted).push_back(key);
    return all;
}

}  // namespace penstock::mesh
