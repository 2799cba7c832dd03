#pragma once
// Tracks whose two sources share an address, so that SSRCs tell them apart.
#include <span>
#include <vector>

#include "control/mesh/mesh.hpp"

namespace penstock::mesh {

// What is found at that address, of RTP and of RTCP, in place of the paths' own flows, which are `flows`. None for
// other tracks.
std::vector<flow::Flow> ssrc_flows_of(const Track& track, std::span<const flow::Flow> flows);
// All flows of such a track are where they stay: those two lead to the others.
void join_by_ssrc(const Track& track, std::span<flow::Flow> flows, flow::Held& held);

}  // namespace penstock::mesh
