#include "control/mesh/mesh.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace penstock::mesh {

Mesh::Mesh(std::vector<flow::PortInfo> ports, flow::PortRange media) : ports_(std::move(ports)), current_(media, {}) {
    uint16_t workers = 1;
    for (const flow::PortInfo& port : ports_)
        for (const uint16_t worker : port.rx_workers) workers = std::max<uint16_t>(workers, static_cast<uint16_t>(worker + 1));
    owned_.resize(workers);
}

std::optional<uint16_t> Mesh::port_index(const std::optional<std::string>& name) const {
    const auto port = name ? std::ranges::find(ports_, *name, &flow::PortInfo::name) : ports_.end();
    if (port == ports_.end()) return std::nullopt;
    return port->index;
}

void Mesh::add(const config::Stream& stream) {
    std::map<std::string, unsigned> same_media;
    for (const config::Track& of : stream.tracks) {
        auto track = std::make_unique<Track>();
        const unsigned n = ++same_media[of.media];
        track->stream = stream.name;
        track->name = n == 1 ? of.media : fmt::format("{}-{}", of.media, n);
        track->config = of;
        track->owner = choose_owner(of);
        owned_[track->owner]++;
        for (const config::Source& source : of.sources)
            track->paths.push_back({std::to_string(track->paths.size() + 1), source, std::make_shared<flow::PathState>()});
        if (of.sources.size() > 1) track->merge = std::make_shared<flow::MergeState>();
        // The counters of a track's legs lie in one piece: a worker walks them leg by leg.
        const auto rtp = std::shared_ptr<flow::LegState[]>(new flow::LegState[of.outputs.size()]);
        const auto rtcp = std::shared_ptr<flow::LegState[]>(new flow::LegState[of.outputs.size()]);
        for (size_t i = 0; i < of.outputs.size(); i++) {
            const config::Output& output = of.outputs[i];
            const flow::Destination destination{output.rtp.ip, port_index(output.port)};
            track->outputs.push_back({output.rtp.text(), output, destination, {rtp, rtp.get() + i}, {rtcp, rtcp.get() + i}});
            auto& users = ways_[destination].users;
            if (users.empty() || users.back() != track.get()) users.push_back(track.get());
        }
        touch(*track);
        tracks_.push_back(std::move(track));
    }
}

// Of the workers that poll a port where the track can arrive, the one with the fewest tracks.
uint16_t Mesh::choose_owner(const config::Track& track) const {
    std::optional<uint16_t> best;
    for (const flow::PortInfo& port : ports_) {
        const bool arrives = std::ranges::any_of(
            track.sources, [&](const config::Source& s) { return !s.port || *s.port == port.name; });
        if (!arrives) continue;
        for (const uint16_t worker : port.rx_workers)
            if (!best || owned_[worker] < owned_[*best]) best = worker;
    }
    return best.value_or(0);
}

void Mesh::touch(Track& track) {
    if (!std::exchange(track.dirty, true)) dirty_.push_back(&track);
}

std::vector<flow::Destination> Mesh::destinations() const {
    std::vector<flow::Destination> all;
    for (const auto& [destination, way] : ways_) all.push_back(destination);
    return all;
}

void Mesh::resolve(const flow::Destination& destination, const flow::Resolution& answer) {
    const auto way = ways_.find(destination);
    if (way == ways_.end() || way->second.answer == answer) return;
    const bool forwards = way->second.answer.hop != answer.hop;
    way->second.answer = answer;
    if (!forwards) return;  // another reason for the same silence
    for (Track* track : way->second.users) touch(*track);
}

const flow::Resolution& Mesh::resolution(const flow::Destination& destination) const {
    return ways_.at(destination).answer;
}

std::vector<flow::Key> Mesh::keys(uint16_t port) const {
    std::vector<flow::Key> all;
    for (const auto& track : tracks_)
        for (const flow::FlowPtr& flow : track->flows)
            if (flow->rx_port == flow::Flow::kAnyPort || flow->rx_port == port) all.push_back(flow->key);
    return all;
}

std::unique_ptr<const flow::Table> Mesh::compile() {
    if (dirty_.empty() && compiled_) return nullptr;
    std::vector<flow::FlowPtr> added, removed;
    for (Track* track : dirty_) {
        removed.insert(removed.end(), track->flows.begin(), track->flows.end());
        track->flows = flows_of(*track);
        added.insert(added.end(), track->flows.begin(), track->flows.end());
        track->dirty = false;
    }
    dirty_.clear();
    compiled_ = true;
    auto next = current_.with(added, removed);
    current_ = *next;
    return next;
}

}  // namespace penstock::mesh
