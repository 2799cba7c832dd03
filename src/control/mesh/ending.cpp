// Tracks that end: with the table in which they are no more, workers tell receivers and sources so (RFC 3550
// section 6.6).
#include <algorithm>
#include <iterator>
#include <utility>

#include "control/mesh/mesh.hpp"

namespace penstock::mesh {

void Mesh::add_ending(const Track& track) {
    std::vector<flow::FlowPtr> flows;
    flow::share(track.flows, flows);
    std::ranges::copy_if(flows, std::back_inserter(ending_),
                         [](const flow::FlowPtr& f) { return f->kind == flow::Kind::rtp; });
}

std::unique_ptr<const flow::Table> Mesh::last_table() {
    for (const Track* track : tracks()) add_ending(*track);
    auto last = std::make_unique<flow::Table>(current_);
    last->set_ending(std::exchange(ending_, {}));
    return last;
}

}  // namespace penstock::mesh
