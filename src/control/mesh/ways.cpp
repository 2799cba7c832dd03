// Whom copies go to: which destinations are in use, by which way each is reached, and which tracks that concerns.
#include <algorithm>
#include <utility>

#include "control/mesh/keys.hpp"
#include "control/mesh/mesh.hpp"

namespace penstock::mesh {

void Mesh::use(Track& track) {
    for (const Path& path : track.paths) {
        changed_sources_.added.push_back(path.source);
        for (const flow::Key& key : noted_keys_of(path.source)) sources_.emplace(key, &track);
        for (const flow::Key& key : keys_of(path.source)) changed_keys_.push_back(key);
    }
    for (Output& output : track.outputs) use(track, output);
    touch(track);
}

void Mesh::use(Track& track, Output& output) {
    const auto [at, fresh] = ways_.try_emplace({output.to.rtp.ip, port_index(output.to.port)});
    Ways::value_type& way = *at;
    if (fresh) perhaps_wanted_.push_back(way.first);
    output.track = &track;
    output.way = &way;
    output.previous = nullptr;
    output.next = std::exchange(way.second.legs, &output);
    if (output.next != nullptr) output.next->previous = &output;
}

void Mesh::disuse(Track& track) {
    for (const Path& path : track.paths) {
        changed_sources_.removed.push_back(path.source);
        for (const flow::Key& key : noted_keys_of(path.source)) {
            // One entry: the same track may have others with this key.
            auto [at, end] = sources_.equal_range(key);
            at = std::find_if(at, end, [&](const auto& entry) { return entry.second == &track; });
            if (at != end) sources_.erase(at);
        }
        for (const flow::Key& key : keys_of(path.source)) changed_keys_.push_back(key);
    }
    for (Output& output : track.outputs) disuse(output);
}

void Mesh::disuse(Output& output) {
    Way& way = output.way->second;
    (output.previous != nullptr ? output.previous->next : way.legs) = output.next;
    if (output.next != nullptr) output.next->previous = output.previous;
    if (way.legs == nullptr) perhaps_forgotten_.push_back(output.way->first);
    output.way = nullptr;
}

// A destination that lost its last user and got another meanwhile keeps its answer: only here it is given up.
Mesh::Destinations Mesh::take_destinations() {
    Destinations changes;
    for (const flow::Destination& destination : std::exchange(perhaps_forgotten_, {})) {
        const auto way = ways_.find(destination);
        if (way == ways_.end() || way->second.legs != nullptr) continue;
        if (way->second.asked_for) changes.forgotten.push_back(destination);
        ways_.erase(way);
    }
    for (const flow::Destination& destination : std::exchange(perhaps_wanted_, {})) {
        const auto way = ways_.find(destination);
        if (way != ways_.end() && !std::exchange(way->second.asked_for, true)) changes.wanted.push_back(destination);
    }
    std::ranges::sort(changes.wanted);
    return changes;
}

void Mesh::touch_those_taking(const Way& way) {
    for (const Output* leg = way.legs; leg != nullptr; leg = leg->next) touch(*leg->track);
}

void Mesh::resolve(const flow::Destination& destination, const flow::Resolution& answer) {
    const auto found = ways_.find(destination);
    if (found == ways_.end()) return;
    Way& way = found->second;
    way.why_not.reset();
    if (!answer.why_not.empty()) way.why_not = answer.why_not;
    if (std::exchange(way.hop, answer.hop) != answer.hop) touch_those_taking(way);  // else another reason for silence
}

void Mesh::set_port(const flow::PortInfo& port) {
    ports_[port.index] = port;
    for (const auto& [destination, way] : ways_)
        if (way.hop && way.hop->port == port.index) touch_those_taking(way);
}

flow::Resolution Mesh::resolution(const flow::Destination& destination) const {
    const Way& way = ways_.at(destination);
    return {way.hop, way.why_not.value_or(way.hop ? "" : "not looked up yet")};
}

}  // namespace penstock::mesh
