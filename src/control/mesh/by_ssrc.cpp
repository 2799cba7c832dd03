#include "control/mesh/by_ssrc.hpp"

#include <algorithm>

namespace penstock::mesh {

bool Track::told_by_ssrc() const { return two_paths() && config::share_address(paths[0].source, paths[1].source); }

std::shared_ptr<flow::BySsrc> add_by_ssrc(const Track& track, std::vector<flow::Flow>& flows, flow::Held& held) {
    if (!track.told_by_ssrc()) return nullptr;
    const auto by = std::make_shared<flow::BySsrc>();
    by->merge = track.extras().merge.get();
    for (size_t p = 0; p < 2; p++) {
        by->paths[p] = track.paths[p].state.get();
        by->ssrcs[p] = track.paths[p].source.ssrc.value_or(config::kOtherSsrc);
    }
    held.add(by);
    flow::Flow both = *std::ranges::find(flows, flow::Kind::rtp, &flow::Flow::kind);
    both.kind = flow::Kind::by_ssrc;
    flows.push_back(both);
    return by;
}

void lead_to_paths(flow::BySsrc& by, std::span<const flow::Flow> flows) {
    for (const flow::Flow& f : flows)
        if (f.kind == flow::Kind::rtp) by.flows[f.second_path ? 1 : 0] = &f;
}

}  // namespace penstock::mesh
