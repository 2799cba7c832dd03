// Whom copies go to: which destinations are in use, by which way each is reached, and which tracks that concerns.
#include <algorithm>
#include <iterator>
#include <utility>

#include "control/mesh/keys.hpp"
#include "control/mesh/mesh.hpp"

namespace penstock::mesh {

void Mesh::use(Track& track) {
    for (const Path& path : track.paths) {
        changed_sources_.added.push_back(path.source);
        for (const flow::Key& key : noted_keys_of(path.source)) sources_.emplace(key, &track);
        for (const flow::Key& key : keys_of(path.source)) changed_keys_.insert(key);
    }
    for (const Output& output : track.outputs) use(track, output);
    touch(track);
}

void Mesh::use(Track& track, const Output& output) {
    for (const flow::Key& key : noted_keys_of(output.to)) targets_.emplace(key, &track);
    const auto [way, fresh] = ways_.try_emplace(output.destination);
    way->second.legs++;
    if (fresh) newly_wanted_.insert(output.destination);
}

// One entry: the same track may have others with this key.
void Mesh::forget(auto& from, const flow::Key& key, const Track& track) {
    const auto [begin, end] = from.equal_range(key);
    for (auto it = begin; it != end; ++it)
        if (it->second == &track) return void(from.erase(it));
}

void Mesh::disuse(Track& track) {
    for (const Path& path : track.paths) {
        changed_sources_.removed.push_back(path.source);
        for (const flow::Key& key : noted_keys_of(path.source)) forget(sources_, key, track);
        for (const flow::Key& key : keys_of(path.source)) changed_keys_.insert(key);
    }
    for (const Output& output : track.outputs) disuse(track, output);
}

void Mesh::disuse(Track& track, const Output& output) {
    for (const flow::Key& key : noted_keys_of(output.to)) forget(targets_, key, track);
    if (--ways_.at(output.destination).legs == 0) perhaps_forgotten_.insert(output.destination);
}

// A destination that lost its last user and got another meanwhile keeps its answer: only here it is given up.
Mesh::Destinations Mesh::take_destinations() {
    Destinations changes;
    for (const flow::Destination& destination : std::exchange(perhaps_forgotten_, {})) {
        const auto way = ways_.find(destination);
        if (way == ways_.end() || way->second.legs != 0) continue;
        ways_.erase(way);
        if (newly_wanted_.erase(destination) == 0) changes.forgotten.push_back(destination);
    }
    changes.wanted.assign(newly_wanted_.begin(), newly_wanted_.end());
    newly_wanted_.clear();
    return changes;
}

// The tracks that send there. Of an address to which several ports are asked for, some do so by another one.
void Mesh::touch_those_sending_to(const flow::Destination& to) {
    const auto [first, last] = std::pair(ways_.lower_bound({to.ip, std::nullopt}), ways_.upper_bound(to));
    const bool one_way = std::next(first) == last && (last == ways_.end() || last->first.ip != to.ip);
    const auto leads_there = [&](const Output* leg) { return leg->destination == to; };
    for (auto it = targets_.lower_bound({to.ip, 0, 0}); it != targets_.end() && it->first.destination == to.ip; ++it)
        if (one_way || std::ranges::any_of(it->second->legs(), leads_there)) touch(*it->second);
}

void Mesh::resolve(const flow::Destination& destination, const flow::Resolution& answer) {
    const auto found = ways_.find(destination);
    if (found == ways_.end()) return;
    Way& way = found->second;
    way.why_not.reset();
    if (!answer.why_not.empty()) way.why_not = answer.why_not;
    if (std::exchange(way.hop, answer.hop) != answer.hop)
        touch_those_sending_to(destination);  // else another reason for the same silence
}

void Mesh::set_port(const flow::PortInfo& port) {
    ports_[port.index] = port;
    for (const auto& [destination, way] : ways_)
        if (way.hop && way.hop->port == port.index) touch_those_sending_to(destination);
}

const std::optional<flow::NextHop>& Mesh::hop_to(const flow::Destination& destination) const {
    return ways_.at(destination).hop;
}

flow::Resolution Mesh::resolution(const flow::Destination& destination) const {
    const Way& way = ways_.at(destination);
    return {way.hop, way.why_not.value_or(way.hop ? "" : "not looked up yet")};
}

bool Mesh::ready(const Output& leg) const { return leg.over_tcp || hop_to(leg.destination).has_value(); }

}  // namespace penstock::mesh
