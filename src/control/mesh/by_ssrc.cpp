#include "control/mesh/by_ssrc.hpp"

#include <memory>

namespace penstock::mesh {

bool Track::told_by_ssrc() const { return two_paths() && config::share_address(paths[0].source, paths[1].source); }

std::vector<flow::Flow> ssrc_flows_of(const Track& track, std::span<const flow::Flow> flows) {
    std::vector<flow::Flow> both;
    if (!track.told_by_ssrc()) return both;
    for (const flow::Flow& f : flows) {
        if (f.second_path || f.kind == flow::Kind::repair) continue;
        both.push_back(f);
        both.back().kind = flow::Kind::by_ssrc;
    }
    return both;
}

void join_by_ssrc(const Track& track, std::span<flow::Flow> flows, flow::Held& held) {
    for (const auto kind : {flow::Kind::rtp, flow::Kind::rtcp}) {
        const auto by = std::make_shared<flow::BySsrc>();
        by->merge = track.merge.get();
        for (size_t p = 0; p < 2; p++) {
            by->paths[p] = track.paths[p].state.get();
            by->ssrcs[p] = track.paths[p].source.ssrc.value_or(config::kOtherSsrc);
        }
        const flow::Key* key = nullptr;
        for (flow::Flow& f : flows) {
            if (f.kind != kind) continue;
            f.by_ssrc = by.get();
            by->flows[f.second_path ? 1 : 0] = &f;
            key = &f.key;
        }
        for (flow::Flow& f : flows)
            if (f.kind == flow::Kind::by_ssrc && f.key == *key) f.by_ssrc = by.get();
        held.add(by);
    }
}

}  // namespace penstock::mesh
