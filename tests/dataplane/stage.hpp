#pragma once
// One worker with the tables of one track.
#include "dataplane/modelled.hpp"

namespace penstock::test {

inline config::Track one_track() {
    config::Track track = video_track();
    track.payload_type = 96;
    track.outputs.emplace_back().rtp = endpoint("10.0.1.20:6000");
    return track;
}

struct Stage : Modelled {
    explicit Stage(const config::Track& track, LabPlan plan = {}) : Modelled(std::move(plan)) { put(track); }
    void put(const config::Track& track) {
        Modelled::put(track);
        lab.turn();
    }
    // This table, which the worker takes up.
    void publish(std::unique_ptr<const flow::Table> table) {
        lab.published().publish(std::move(table));
        lab.turn();
        lab.published().reclaim();
    }
    const flow::PathState& path(size_t p = 0) { return *track().paths[p].state; }
    void arrive(const Bytes& payload, unsigned port = 20000, unsigned from = 7000) {
        lab.arrive(packet().udp(from, port).payload(payload).build(), kIn);
        lab.turn();
    }
};

}  // namespace penstock::test
