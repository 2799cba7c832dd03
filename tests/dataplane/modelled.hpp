#pragma once
// Real workers with the tables that the real model makes: media arrives by port 0, the lan, and leaves by port 1, the
// wan. What a test says and watches it adds by deriving (each such struct with a name of its own: they are one
// program).
#include <catch2/catch.hpp>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "control/mesh/mesh.hpp"
#include "dataplane/lab.hpp"
#include "support/dissect.hpp"
#include "support/media.hpp"

namespace penstock::test {

inline constexpr uint16_t kIn = 0, kOut = 1;
using Steady = std::chrono::steady_clock;

inline std::vector<flow::PortInfo> lan_and_wan(unsigned workers = 1) {
    std::vector<flow::PortInfo> all(2);
    for (uint16_t i = 0; i < 2; i++) {
        all[i].index = i;
        all[i].name = i == kIn ? "lan" : "wan";
        all[i].mac = mac("02:00:00:00:00:01");
        all[i].multi_segment = true;
        for (uint16_t w = 0; w < workers; w++) all[i].rx_workers.push_back(w);
    }
    return all;
}

// Arrives at 10.0.0.1:20000; its outputs are the test's.
inline config::Track video_track(const std::string& encoding = "H264/90000") {
    config::Track track;
    track.media = "video";
    track.encoding = encoding;
    track.sources.emplace_back().rtp = endpoint("10.0.0.1:20000");
    return track;
}

inline config::Stream camera_of(config::Track track) {
    config::Stream stream;
    stream.name = "camera";
    stream.tracks.push_back(std::move(track));
    return stream;
}

struct Modelled {
    Lab lab;
    mesh::Mesh mesh;

    explicit Modelled(LabPlan plan = {}) : lab(plan), mesh(lan_and_wan(plan.workers), {20000, 29999}, 1) {}
    ~Modelled() {  // what is kept of packets goes with the last table
        lab.publish({});
        lab.turn();
        lab.published().reclaim();
    }
    Modelled(const Modelled&) = delete;
    Modelled& operator=(const Modelled&) = delete;

    // As the kernel would answer: every receiver is behind one router of the wan.
    void resolve() {
        const flow::NextHop hop{
            .port = kOut, .mac = mac("02:00:00:00:01:20"), .source = *Ip::parse("10.0.1.1"), .mtu = 1500};
        for (const flow::Destination& to : mesh.take_destinations().wanted) mesh.resolve(to, {hop, ""});
    }
    // What control does after a change.
    void publish() {
        resolve();
        if (auto table = mesh.compile()) lab.published().publish(std::move(table));
        lab.published().reclaim();
    }
    void put(const config::Stream& stream) {
        REQUIRE(mesh.put(stream));
        publish();
    }
    void put(const config::Track& track) { put(camera_of(track)); }
    const mesh::Track& track() { return *mesh.tracks()[0]; }
    // What left by the port, whose lengths and checksums are right.
    std::vector<Dissected> out(uint16_t port) {
        std::vector<Dissected> all;
        for (const Sent& sent : lab.sent(port)) {
            all.push_back(dissect(sent.frame));
            CHECK(all.back().lengths);
            CHECK(all.back().ip_sum != Sum::wrong);
            CHECK(all.back().udp_sum == Sum::right);
        }
        return all;
    }
};

}  // namespace penstock::test
