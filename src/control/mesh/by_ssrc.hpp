#pragma once
// Tracks whose two sources share an address, so that SSRCs tell them apart.
#include <memory>
#include <span>
#include <vector>

#include "control/mesh/mesh.hpp"

namespace penstock::mesh {

// Adds what is found at that address in place of the paths' own flows, and returns what all of them have to go by: null
// for other tracks.
std::shared_ptr<flow::BySsrc> add_by_ssrc(const Track& track, std::vector<flow::Flow>& flows, flow::Held& held);
// All flows of such a track are where they stay.
void lead_to_paths(flow::BySsrc& by, std::span<const flow::Flow> flows);

}  // namespace penstock::mesh
