#pragma once
// One worker with the tables that the real model makes of one track: it arrives by port 0, and leaves by port 1.
#include <catch2/catch.hpp>

#include <utility>
#include <vector>

#include "control/mesh/mesh.hpp"
#include "dataplane/lab.hpp"
#include "support/dissect.hpp"
#include "support/media.hpp"

namespace penstock::test {

constexpr uint16_t kIn = 0, kOut = 1;

inline config::Track one_track() {
    config::Track track;
    track.media = "video";
    track.payload_type = 96;
    track.encoding = "H264/90000";
    track.sources.emplace_back().rtp = endpoint("10.0.0.1:20000");
    track.outputs.emplace_back().rtp = endpoint("10.0.1.20:6000");
    return track;
}

struct Stage {
    Lab lab;
    mesh::Mesh mesh;

    explicit Stage(const config::Track& track, LabPlan plan = {})
        : lab(std::move(plan)), mesh(ports(), {20000, 29999}, 1) {
        put(track);
    }
    ~Stage() {  // what is kept of packets goes with the last table
        lab.publish({});
        lab.turn();
        lab.published().reclaim();
    }
    Stage(const Stage&) = delete;
    Stage& operator=(const Stage&) = delete;
    static std::vector<flow::PortInfo> ports() {
        std::vector<flow::PortInfo> all(2);
        for (uint16_t i = 0; i < 2; i++) {
            all[i].index = i;
            all[i].name = i == 0 ? "lan" : "wan";
            all[i].mac = mac("02:00:00:00:00:01");
            all[i].multi_segment = true;
            all[i].rx_workers = {0};
        }
        return all;
    }
    void put(const config::Track& track) {
        config::Stream stream;
        stream.name = "camera";
        stream.tracks.push_back(track);
        REQUIRE(mesh.put(stream));
        for (const auto& to : mesh.take_destinations().wanted)
            mesh.resolve(to, {leg_to("10.0.1.20:6000", kOut).hop, ""});
        publish(mesh.compile());
    }
    void publish(std::unique_ptr<const flow::Table> table) {
        lab.published().publish(std::move(table));
        lab.turn();
        lab.published().reclaim();
    }
    const mesh::Track& track() { return *mesh.tracks()[0]; }
    const flow::PathState& path(size_t p = 0) { return *track().paths[p].state; }
    void arrive(const Bytes& payload, unsigned port = 20000, unsigned from = 7000) {
        lab.arrive(packet().udp(from, port).payload(payload).build(), kIn);
        lab.turn();
    }
    std::vector<Dissected> out(uint16_t port) {
        std::vector<Dissected> all;
        for (const Sent& sent : lab.sent(port)) {
            all.push_back(dissect(sent.frame));
            CHECK(all.back().lengths);
            CHECK(all.back().udp_sum == Sum::right);
        }
        return all;
    }
};

}  // namespace penstock::test
