// A track with very many legs: its owner makes some of the copies and other workers the rest.
#include <catch2/catch.hpp>

#include <algorithm>
#include <set>
#include <thread>

#include "dataplane/lab.hpp"
#include "support/dissect.hpp"
#include "support/media.hpp"

using namespace penstock;
using namespace penstock::test;
using flow::Drop;

namespace {

constexpr unsigned kLegs = 9;  // legs 0-3 are the owner's, worker 0; 4-8 are worker 1's

TrackPlan plan_of(unsigned shareable_of_owner, unsigned shareable_of_other) {
    TrackPlan plan;
    for (unsigned i = 0; i < kLegs; i++) plan.legs.push_back(leg_to("10.0.1.20:" + std::to_string(6000 + 2 * i), 1));
    plan.shards = {{0, 0, 4, shareable_of_owner}, {1, 4, 5, shareable_of_other}};
    return plan;
}

Bytes numbered_media(unsigned sequence, unsigned size = 200) {
    return packet().udp(6000, 20000).payload(rtp_packet({.sequence = sequence, .size = size})).build();
}

// Receiver ports of what a worker sent, and that each copy is as it should be.
std::multiset<unsigned> receivers(const std::vector<Sent>& sent, const Bytes& payload) {
    std::multiset<unsigned> ports;
    for (const Sent& s : sent) {
        const auto seen = dissect(s.frame);
        REQUIRE(seen.udp_sum == Sum::right);
        REQUIRE(std::ranges::equal(seen.payload, payload));
        ports.insert(seen.to_port);
    }
    return ports;
}

std::multiset<unsigned> expected(unsigned first, unsigned count, unsigned further = 0) {
    std::multiset<unsigned> ports;
    for (unsigned i = first; i < first + count; i++) ports.insert(6000 + 2 * i + further);
    return ports;
}

}  // namespace

TEST_CASE("each worker makes the copies of its shard, shared or not, of any payload", "[spread]") {
    for (const auto& [own, other] : {std::pair{0u, 0u}, {4u, 5u}, {2u, 3u}, {4u, 0u}}) {
        for (const unsigned size : {12u, 63u, 64u, 1200u}) {
            INFO(own << " and " << other << " shareable, " << size << " bytes");
            Lab lab({.workers = 2});
            const Track track = make_track(plan_of(own, other));
            lab.publish(track.flows());
            const Bytes frame = numbered_media(7, size);
            const auto payload = dissect(frame).payload;
            lab.arrive(frame, 0, 0);
            lab.run();
            const auto first = lab.sent(1, 0), second = lab.sent(1, 1);
            CHECK(receivers(first, payload) == expected(0, 4));
            CHECK(receivers(second, payload) == expected(4, 5));
            CHECK(std::ranges::count(first, 2u, &Sent::segments) == (size < 64 ? 0 : own));
            CHECK(std::ranges::count(second, 2u, &Sent::segments) == (size < 64 ? 0 : other));
            CHECK(lab.ledger(0).forwarded == 1);
            CHECK(lab.ledger(0).shared_out == 1);
            CHECK(lab.ledger(0).tx_wanted == 4);
            CHECK(lab.ledger(1).rx == 0);
            CHECK(lab.ledger(1).tx_wanted == 5);
            for (const auto& leg : track.legs) CHECK(leg->packets.read() == 1);
            CHECK(track.path->reception.counters().packets.read() == 1);
        }
    }
}

TEST_CASE("RTCP is spread as RTP is, on its own port or muxed", "[spread]") {
    Lab lab({.workers = 2});
    TrackPlan plan = plan_of(4, 5);
    plan.has_sender = true;
    plan.sender = test::ip("10.0.0.9");
    const Track track = make_track(plan);
    lab.publish(track.flows());
    const auto report = sender_report();
    for (const uint16_t port : {uint16_t{20000}, uint16_t{20001}}) {
        lab.arrive(packet().udp(6001, port).payload(report).build(), 0, 0);
        lab.run();
        CHECK(receivers(lab.sent(1, 0), report) == expected(0, 4, 1));
        CHECK(receivers(lab.sent(1, 1), report) == expected(4, 5, 1));
    }
    CHECK(track.path->rtcp_packets.read() == 2);
}

TEST_CASE("an owner without legs of its own still feeds the others", "[spread]") {
    Lab lab({.workers = 3});
    TrackPlan plan = plan_of(0, 0);
    plan.shards = {{0, 0, 0, 0}, {2, 0, 9, 9}};
    const Track track = make_track(plan);
    lab.publish(track.flows());
    for (unsigned i = 0; i < 40; i++) lab.arrive(numbered_media(i), 0, 0);
    lab.run();
    CHECK(lab.sent(1, 0).empty());
    CHECK(lab.sent(1, 2).size() == 360);
    CHECK(lab.ledger(0).forwarded == 40);
}

TEST_CASE("a full ring to the other worker costs its legs the packet, counted, and nobody else", "[spread]") {
    Lab lab({.workers = 2, .shares = 8});
    const Track track = make_track(plan_of(4, 5));
    lab.publish(track.flows());
    for (unsigned i = 0; i < 20; i++) lab.arrive(numbered_media(i), 0, 0);
    while (lab.turn(0)) {
    }
    CHECK(lab.ledger(0).shared_out == 7);
    CHECK(lab.ledger(0)[Drop::shard_full] == 13 * 5);
    lab.run();
    CHECK(lab.sent(1, 0).size() == 80);
    CHECK(lab.sent(1, 1).size() == 35);
    CHECK(track.legs[0]->drop(Drop::shard_full).read() == 0);
    CHECK(track.legs[8]->drop(Drop::shard_full).read() == 13);
    CHECK(track.legs[8]->packets.read() == 7);
}

TEST_CASE("legs that went while the packet was on its way are counted, and the flow is not touched", "[spread]") {
    Lab lab({.workers = 2});
    {
        const Track track = make_track(plan_of(4, 5));
        lab.publish(track.flows());
        for (unsigned i = 0; i < 3; i++) lab.arrive(numbered_media(i), 0, 0);
        while (lab.turn(0)) {
        }
        lab.sent(1, 0);
        lab.publish({});
    }
    lab.run();  // worker 1 reads a table without the flow, which is freed by now
    CHECK(lab.published().reclaim() == 0);
    CHECK(lab.sent(1, 1).empty());
    CHECK(lab.ledger(1).tx_wanted == 15);
    CHECK(lab.ledger(1)[Drop::leg_gone] == 15);

    // The flow is there, but all its legs are the owner's now.
    const Track track = make_track(plan_of(4, 5));
    TrackPlan small = plan_of(0, 0);
    small.shards = {};
    const Track whole = make_track(small);
    lab.publish(track.flows());
    lab.arrive(numbered_media(1), 0, 0);
    while (lab.turn(0)) {
    }
    lab.publish(whole.flows());
    lab.run();
    CHECK(lab.ledger(1)[Drop::leg_gone] == 20);
}

#ifndef __SANITIZE_THREAD__  // DPDK's rings and their driver are not instrumented: TSan cannot see what orders the
                             // threads
TEST_CASE("two workers share a payload at the same time, and every buffer comes back", "[spread]") {
    Lab lab({.workers = 2, .shares = 64});
    const Track track = make_track(plan_of(4, 5));
    lab.publish(track.flows());
    std::atomic<bool> stop{false};
    std::thread other([&] {
        while (!stop.load()) lab.worker(1).turn();
    });
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    unsigned fed = 0, own = 0, theirs = 0;
    const auto collect = [&] {
        own += static_cast<unsigned>(lab.sent(1, 0).size());
        theirs += static_cast<unsigned>(lab.sent(1, 1).size());
    };
    for (; fed < 5000 && std::chrono::steady_clock::now() < deadline; fed++) {
        lab.arrive(numbered_media(fed & 0xffff), 0, 0);
        lab.worker(0).turn();
        collect();
        while (lab.buffers_out() > 200 && std::chrono::steady_clock::now() < deadline) collect();
    }
    const auto full = [&] { return lab.ledger(0)[Drop::shard_full] + lab.ledger(1)[Drop::tx_full]; };
    while (theirs + full() < 5 * fed && std::chrono::steady_clock::now() < deadline) collect();
    stop = true;
    other.join();
    CHECK(fed == 5000);
    CHECK(own == 4 * fed);
    CHECK(theirs + full() == 5 * fed);
    CHECK(theirs > 0);
}
#endif
