// Captures with several workers and threads: who captures what, and what becomes of rings when a capture ends.
#include <catch2/catch.hpp>

#include <thread>

#include "dataplane/tapped.hpp"
#include "support/dissect.hpp"

using namespace penstock;
using namespace penstock::test;
using flow::Drop;
using What = flow::CaptureFilter::What;

TEST_CASE("a capture is the owner's where packets change workers; a full inbox is the receiver's drop", "[capture]") {
    Lab lab({.workers = 2, .inbox = 2});
    TrackPlan plan;
    plan.owner = 1;
    plan.legs = {leg_to("10.0.1.20:6000", 1)};
    const Track track = make_track(plan);
    lab.publish(track.flows());
    const bool drops = GENERATE(false, true);
    Tapped tapped(lab, drops ? What::drops : What::arrivals, {track.path}, kRate, 256, 2);
    for (unsigned i = 0; i < 3; i++) lab.arrive(media_frame(i), 0, 0);
    lab.turn(0);
    lab.turn(1);
    CHECK(tapped.seen(0).size() == (drops ? 2 : 0));
    CHECK(tapped.seen(1).size() == (drops ? 0 : 1));
    CHECK(lab.ledger(0)[Drop::handover_full] == 2);
}

TEST_CASE("legs that another worker serves are captured there; what cannot be told to it, by the owner", "[capture]") {
    Lab lab({.workers = 2, .shares = 8});
    TrackPlan plan;
    for (unsigned i = 0; i < 4; i++) plan.legs.push_back(leg_to("10.0.1.20:" + std::to_string(6000 + 2 * i), 1));
    plan.shards = {{0, 0, 2, 0}, {1, 2, 2, 1}};
    const Track track = make_track(plan);
    lab.publish(track.flows());
    SECTION("copies") {
        Tapped tapped(lab, What::copies, {track.legs[0], track.legs[3]}, kRate, 256, 2);
        for (unsigned i = 0; i < 5; i++) lab.arrive(media_frame(i), 0, 0);
        lab.run();
        const auto owner = tapped.seen(0), other = tapped.seen(1);
        REQUIRE(owner.size() == 5);
        REQUIRE(other.size() == 5);
        const auto left = lab.sent(1, 1);
        for (unsigned i = 0; i < 5; i++) {
            CHECK(owner[i].subject == 10);
            CHECK(other[i].subject == 11);
            CHECK(other[i].time != 0);
            CHECK(dissect(owner[i].frame).to_port == 6000);
            CHECK(other[i].frame == left[2 * i + 1].frame);
        }
    }
    SECTION("drops") {
        Tapped tapped(lab, What::drops, {track.legs[0], track.legs[3]}, kRate, 256, 2);
        for (unsigned i = 0; i < 10; i++) lab.arrive(media_frame(i), 0, 0);  // the ring takes seven
        lab.turn(0);
        const auto seen = tapped.seen(0);
        REQUIRE(seen.size() == 3);
        for (unsigned i = 0; i < 3; i++) {
            CHECK(seen[i].drop == code(Drop::shard_full));
            CHECK(seen[i].subject == 11);
            CHECK(dissect(seen[i].frame).to_port == 6006);
            CHECK(dissect(seen[i].frame).payload == rtp_packet({.sequence = 7 + i}));
            CHECK(dissect(seen[i].frame).udp_sum == Sum::right);
        }
        lab.run();
        CHECK(tapped.seen(1).empty());
    }
}

TEST_CASE("after its end nothing is captured, neither packets, copies nor drops", "[capture]") {
    Lab lab({.ports = {{}, {.wire = 8}}});
    const Track track = captured_track({"10.0.1.20:6000"});
    lab.publish(track.flows());
    Tapped tapped(lab, GENERATE(What::arrivals, What::copies, What::drops), {track.path, track.legs[0]});
    const auto send = [&] {
        for (unsigned i = 0; i < 10; i++) lab.arrive(media_frame(i));  // the wire takes seven
        lab.run();
        lab.sent(1);
        return tapped.seen().size();
    };
    CHECK(send() >= 3);
    tapped.end();
    CHECK(send() == 0);
}

TEST_CASE("a capture that ends, or is followed by another, frees its rings after the grace period", "[capture]") {
    Lab lab;
    const Track track = captured_track({"10.0.1.20:6000"});
    lab.publish(track.flows());
    for (int round = 0; round < 20; round++) {
        Tapped tapped(lab, What::arrivals, {track.path});
        lab.arrive(media_frame(1));
        lab.run();
        CHECK(tapped.seen().size() == 1);
        tapped.end();
        const auto watched = tapped.forget();
        lab.captures().reclaim();
        CHECK_FALSE(watched[0].expired());  // the worker has not passed through a quiescent state
        lab.turn();
        CHECK(lab.captures().reclaim() == 0);
        CHECK(watched[0].expired());
        if (round % 2 == 0) lab.arrive(media_frame(2));
        lab.run();
        lab.sent(1);
    }
}

TEST_CASE("captures come and go under traffic, drained by another thread", "[capture][race]") {
    Lab lab;
    const Track track = captured_track({"10.0.1.20:6000", "10.0.1.20:6002"});
    lab.publish(track.flows());
    std::atomic<bool> stop{false};
    std::atomic<unsigned> forwarded{0};
    std::thread worker([&] {
        for (unsigned next = 0; !stop.load();) {
            for (unsigned i = 0; i < 8; i++) lab.arrive(media_frame(next++ & 0xffff));
            lab.worker().turn();
            forwarded += static_cast<unsigned>(lab.sent(1).size());
        }
    });
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    unsigned torn = 0, captured = 0;
    for (unsigned round = 0; round < 100; round++) {
        const auto what = round % 2 == 0 ? What::arrivals : What::copies;
        Tapped tapped(lab, what, {track.path, track.legs[1]}, kRate, 64);
        unsigned seen = 0;
        while (seen < 100 && std::chrono::steady_clock::now() < deadline) {
            for (const auto& s : tapped.seen()) {
                const unsigned sequence = at16(s.frame, 44);
                torn += s.frame.size() != 242 || at16(s.frame, 36) != (what == What::arrivals ? 20000 : 6002) ||
                        !std::equal(s.frame.begin() + 42, s.frame.end(), rtp_packet({.sequence = sequence}).begin());
                seen++;
            }
        }
        captured += seen;
        tapped.end();
        while (lab.captures().reclaim() != 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    }
    stop = true;
    worker.join();
    CHECK(torn == 0);
    CHECK(captured >= 100 * 100);
    CHECK(forwarded == 2 * track.path->reception.counters().packets.read());
}
