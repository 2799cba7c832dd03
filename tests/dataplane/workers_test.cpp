// Several workers: hand-over to the owner of a track, tx through the owner of a queue, sleep, and who may look on.
#include <catch2/catch.hpp>

#include <thread>

#include "dataplane/lab.hpp"
#include "support/dissect.hpp"
#include "support/media.hpp"

using namespace penstock;
using namespace penstock::test;
using flow::Drop;

namespace {

Track track_of(uint16_t owner, unsigned legs = 1, uint16_t port = 20000) {
    TrackPlan plan;
    plan.at.port = port;
    plan.owner = owner;
    for (unsigned i = 0; i < legs; i++) plan.legs.push_back(leg_to("10.0.1.20:" + std::to_string(6000 + 2 * i), 1));
    return make_track(plan);
}

Bytes numbered_media(unsigned sequence, unsigned port = 20000) {
    return packet().udp(6000, port).payload(rtp_packet({.sequence = sequence})).build();
}

std::vector<unsigned> sequences(const std::vector<Sent>& sent) {
    std::vector<unsigned> all;
    for (const Sent& s : sent) all.push_back(at16(dissect(s.frame).payload, 2));
    return all;
}

}  // namespace

TEST_CASE("a packet on the wrong worker's queue is handed to the owner, in order", "[workers]") {
    Lab lab({.workers = 2});
    const Track track = track_of(1, 2);
    lab.publish(track.flows());
    for (unsigned i = 0; i < 50; i++) lab.arrive(numbered_media(i), 0, 0);
    lab.arrive(packet().udp(6001, 20001).payload(sender_report()).build(), 0, 0);
    while (lab.turn(0)) {
    }
    CHECK(lab.ledger(0).handed_over == 51);
    CHECK(lab.ledger(0).forwarded == 0);
    while (lab.turn(1)) {
    }
    CHECK(lab.ledger(1).rx == 51);
    CHECK(lab.ledger(1).forwarded == 51);
    CHECK(lab.sent(1, 0).empty());
    auto out = lab.sent(1, 1);
    REQUIRE(out.size() == 102);
    out.resize(100);
    const auto heard = sequences(out);
    for (unsigned i = 0; i < 50; i++) {
        REQUIRE(heard[2 * i] == i);
        REQUIRE(heard[2 * i + 1] == i);
    }
    CHECK(track.path->reception.counters().packets.read() == 50);
    CHECK(track.path->rtcp_packets.read() == 1);
}

TEST_CASE("the owner treats a packet by the port where it came, not by where it lies", "[workers]") {
    // Port 1 has unfinished checksums and port 0 has not: a mix-up makes a wrong one.
    Lab lab({.ports = {{}, {.partial_checksums = true}, {}}, .workers = 2});
    TrackPlan plan;
    plan.owner = 1;
    plan.legs = {leg_to("10.0.1.20:6000", 2)};
    const Track track = make_track(plan);
    plan.rx_port = 1;
    plan.at.port = 20010;
    const Track bound = make_track(plan);
    lab.publish({track.rtp, bound.rtp});
    for (unsigned i = 0; i < 20; i++) {
        lab.arrive(packet().payload(rtp_packet()).build(), 0, 0);
        lab.arrive(packet().partial_checksum().payload(rtp_packet()).build(), 1, 0);
        lab.arrive(packet().udp(6000, 20010).partial_checksum().payload(rtp_packet()).build(), 1, 0);
    }
    lab.run();
    const auto out = lab.sent(2, 1);
    REQUIRE(out.size() == 60);
    for (const Sent& sent : out) CHECK(dissect(sent.frame).udp_sum == Sum::right);
    CHECK(bound.path->reception.counters().packets.read() == 20);
}

TEST_CASE("a worker without a tx queue sends through the one who has it", "[workers]") {
    Lab lab({.ports = {{}, {.relayed = true}}, .workers = 2});
    const Track track = track_of(1);
    lab.publish(track.flows());
    for (unsigned i = 0; i < 40; i++) lab.arrive(numbered_media(i), 0, 1);
    while (lab.turn(1)) {
    }
    CHECK(lab.ledger(1).sent == 40);
    CHECK(lab.sent(1, 0).empty());
    while (lab.turn(0)) {
    }
    const auto heard = sequences(lab.sent(1, 0));
    REQUIRE(heard.size() == 40);
    CHECK(std::is_sorted(heard.begin(), heard.end()));
    CHECK(track.legs[0]->packets.read() == 40);
}

TEST_CASE("when the owner's queue is full the sender counts the drop; what was taken still leaves", "[workers]") {
    Lab lab({.ports = {{}, {.wire = 8, .relayed = true}}, .workers = 2, .relay = 16});
    const Track track = track_of(1);
    lab.publish(track.flows());
    unsigned next = 0;
    const auto burst = [&](unsigned count) {
        for (unsigned i = 0; i < count; i++) lab.arrive(numbered_media(next++), 0, 1);
        while (lab.turn(1)) {
        }
    };
    burst(10);
    lab.turn(0);  // takes 10 off the ring, of which the wire takes 7
    burst(20);    // the ring holds 15
    CHECK(track.legs[0]->drop(Drop::tx_full).read() == 5);
    CHECK(lab.ledger(1)[Drop::tx_full] == 5);
    CHECK(lab.ledger(1).sent == 25);
    std::vector<unsigned> heard;
    for (unsigned rounds = 0; heard.size() < 25; rounds++) {
        REQUIRE(rounds < 100);
        for (const unsigned s : sequences(lab.sent(1, 0))) heard.push_back(s);
        lab.turn(0);
    }
    for (unsigned i = 0; i < 25; i++) CHECK(heard[i] == i);
}

TEST_CASE("a worker stops with all it held given back", "[workers]") {
    Lab lab({.ports = {{}, {.wire = 8, .relayed = true}}, .workers = 2, .relay = 64});
    const Track track = track_of(1);
    lab.publish(track.flows());
    for (unsigned i = 0; i < 30; i++) lab.arrive(numbered_media(i), 0, 1);
    while (lab.turn(1)) {
    }
    lab.turn(0);  // holds 23 that the wire did not take
    const std::atomic<bool> stop{true};
    lab.worker(0).run(stop);
    CHECK(lab.sent(1, 0).size() == 7);
    CHECK(lab.buffers_out() == 0);
}

TEST_CASE("an idle turn moves nothing and says so", "[workers]") {
    Lab lab;
    CHECK_FALSE(lab.turn());
    lab.arrive(numbered_media(1));
    CHECK(lab.turn());
    CHECK_FALSE(lab.turn());
}

TEST_CASE("anyone may read ledger and counters during traffic", "[workers]") {
    Lab lab;
    const Track track = track_of(0, 5);
    lab.publish(track.flows());
    std::atomic<bool> stop{false};
    std::atomic<unsigned> unbalanced{0}, readings{0}, backwards{0};
    std::thread reader([&] {
        uint64_t before = 0;
        for (uint64_t seen = 0; !stop.load(); before = seen) {
            const flow::Ledger ledger = lab.ledger();
            unbalanced += !ledger.balanced();
            const auto& path = track.path->reception.counters();
            seen = path.packets.read() + path.lost.read() + track.legs[4]->packets.read() + ledger.rx;
            backwards += seen < before;
            readings += ledger.rx > 0;
        }
    });
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    unsigned next = 0;
    while ((readings < 1000 || next < 20'000) && std::chrono::steady_clock::now() < deadline) {
        for (int i = 0; i < 20; i++, next++)
            lab.arrive(next % 7 == 0 ? packet().udp(6000, 53).build() : numbered_media(next & 0xffff));
        lab.turn();
        lab.sent(1);
    }
    stop = true;
    reader.join();
    CHECK(readings >= 1000);
    CHECK(unbalanced == 0);
    CHECK(backwards == 0);
    CHECK(track.legs[4]->packets.read() == lab.ledger().forwarded);
}

TEST_CASE("a worker that sleeps when idle still takes what comes, and holds up no grace period", "[workers]") {
    Lab lab({.sleep_when_idle = true});
    const Track track = track_of(0);
    lab.publish(track.flows());
    std::atomic<bool> stop{false};
    std::thread worker([&] { lab.worker().run(stop); });
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    const auto until = [&](auto done) {
        while (!done() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
        return done();
    };
    // Each grace period passes though there is no packet.
    for (int i = 0; i < 20; i++) {
        lab.publish(track.flows());
        CHECK(until([&] { return lab.published().reclaim() == 0; }));
    }
    stop = true;
    worker.join();
    lab.arrive(numbered_media(1));
    lab.run();
    CHECK(lab.sent(1).size() == 1);
}
