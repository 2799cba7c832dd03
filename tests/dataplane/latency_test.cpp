// What a worker notes of the time that packets stay in it, and that it turns.
#include <catch2/catch.hpp>

#include "dataplane/lab.hpp"
#include "support/media.hpp"

using namespace penstock;
using namespace penstock::test;

namespace {

Track track_at(uint16_t port, uint16_t owner = 0) {
    TrackPlan plan;
    plan.at.port = port;
    plan.owner = owner;
    plan.legs = {leg_to("10.0.1.20:6000", 1)};
    return make_track(plan);
}

Bytes media(unsigned port, unsigned sequence) {
    return packet().udp(6000, port).payload(rtp_packet({.sequence = sequence})).build();
}

uint64_t sampled(const Track& track) { return flow::Latency::of(*track.latency).packets(); }

}  // namespace

TEST_CASE("every forwarded packet is in the worker's times, some of them in their tracks'", "[latency]") {
    Lab lab;
    std::vector<Track> tracks;
    std::vector<flow::FlowPtr> flows;
    for (unsigned t = 0; t < 4; t++) {
        tracks.push_back(track_at(static_cast<uint16_t>(20000 + 2 * t)));
        for (const auto& f : tracks.back().flows()) flows.push_back(f);
    }
    lab.publish(flows);
    for (unsigned turn = 0; turn < 4096; turn++) {
        for (unsigned t = 0; t < 4; t++) lab.arrive(media(20000 + 2 * t, turn));  // always in the same order
        lab.turn();
        lab.sent(1);
    }
    CHECK(flow::Latency::of(lab.worker().latency()).packets() == 4 * 4096);
    uint64_t samples = 0;
    for (const Track& track : tracks) {
        CHECK((sampled(track) > 40 && sampled(track) < 90));  // each its share
        samples += sampled(track);
    }
    CHECK((samples > 220 && samples < 280));  // one in 16.5 bursts
    const auto seen = flow::Latency::of(*tracks[0].latency);
    CHECK(seen.max > 0);
    CHECK(seen.max <= lab.worker().latency().max_seconds());
}

TEST_CASE("RTCP counts for its track", "[latency]") {
    Lab lab;
    const Track track = track_at(20000);
    lab.publish(track.flows());
    for (unsigned i = 0; i < 64; i++) {  // a sample in 32 bursts at least
        lab.arrive(packet().udp(6001, 20001).payload(sender_report()).build());
        lab.turn();
        lab.sent(1);
    }
    CHECK(sampled(track) >= 2);
}

TEST_CASE("what was not forwarded has no time", "[latency]") {
    Lab lab({.workers = 2});
    const Track track = track_at(20000), other = track_at(20010, 1);
    lab.publish({track.rtp, other.rtp});
    for (unsigned i = 0; i < 64; i++) {
        lab.arrive(packet().udp(6000, 20000).payload(hex("00")).build());  // not RTP
        lab.turn();
        lab.arrive(media(20010, i));  // for the other worker
        lab.turn();
    }
    CHECK(sampled(track) == 0);
    CHECK(sampled(other) == 0);
    CHECK(flow::Latency::of(lab.worker(0).latency()).packets() == 0);
    lab.run();
    lab.sent(1, 1);
    CHECK(sampled(other) >= 1);
    CHECK(flow::Latency::of(lab.worker(1).latency()).packets() == 64);
}

TEST_CASE("a worker's turns are counted, with packets or without", "[latency]") {
    Lab lab;
    for (uint64_t n = 0; n < 5; n++) {
        CHECK(lab.worker().turns() == n);
        lab.turn();
    }
}
