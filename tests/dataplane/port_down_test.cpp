// A port whose netdev went: workers leave it alone, its copies are counted, and the next devices take over.
#include <catch2/catch.hpp>

#include "dataplane/lab.hpp"
#include "support/media.hpp"

using namespace penstock;
using namespace penstock::test;
using flow::Drop;

namespace {

std::vector<flow::FlowPtr> to_port_1() { return make_track({.legs = {leg_to("10.0.1.20:6000", 1)}}).flows(); }

Bytes media(unsigned sequence) {
    return packet().payload(rtp_packet({.sequence = static_cast<uint16_t>(sequence)})).build();
}

}  // namespace

TEST_CASE("copies for a port that is down are counted, and leave again when it is up", "[port_down]") {
    Lab lab;
    const Track track = make_track({.legs = {leg_to("10.0.1.20:6000", 1), leg_to("10.0.1.21:6000", 0)}});
    lab.publish(track.flows());
    lab.arrive(media(1));
    lab.run();
    CHECK(lab.sent(1).size() == 1);

    lab.port_up(1, false);
    for (unsigned i = 2; i < 102; i++) lab.arrive(media(i));
    lab.run();
    CHECK(lab.sent(1).empty());
    CHECK(lab.sent(0).size() == 101);  // the other leg is unharmed
    CHECK(lab.ledger()[Drop::port_down] == 100);
    CHECK(track.legs[0]->drop(Drop::port_down).read() + track.legs[1]->drop(Drop::port_down).read() == 100);

    lab.port_up(1, true);
    lab.arrive(media(102));
    lab.run();
    CHECK(lab.sent(1).size() == 1);
    CHECK(lab.ledger()[Drop::port_down] == 100);
}

TEST_CASE("nothing is taken from a port that is down", "[port_down]") {
    Lab lab;
    lab.publish(to_port_1());
    lab.port_up(0, false);
    lab.arrive(media(1));
    lab.run();
    CHECK(lab.ledger().rx == 0);
    lab.port_up(0, true);
    lab.run();
    CHECK(lab.ledger().rx == 1);
    CHECK(lab.sent(1).size() == 1);
}

TEST_CASE("what lies in the ring to the owner of a tx queue when its port goes is counted", "[port_down]") {
    Lab lab({.ports = {{}, {.relayed = true}}, .workers = 2});
    auto plan = TrackPlan{.legs = {leg_to("10.0.1.20:6000", 1)}};
    plan.owner = 1;
    lab.publish(make_track(plan).flows());
    for (unsigned i = 0; i < 10; i++) lab.arrive(media(i), 0, 1);
    lab.turn(1);  // they are in the ring to worker 0 now, which has the queue
    CHECK(lab.ledger(1).sent == 10);
    lab.port_up(1, false);
    lab.run();
    CHECK(lab.sent(1, 0).empty());
    CHECK(lab.ledger(0)[Drop::port_down] == 10);
    CHECK(lab.buffers_out() == 0);
    for (unsigned i = 10; i < 20; i++) lab.arrive(media(i), 0, 1);  // from now on the sender counts
    lab.run();
    CHECK(lab.ledger(1)[Drop::port_down] == 10);
}

TEST_CASE("a port's devices are free when every worker has passed the end of a turn", "[port_down]") {
    Lab lab({.workers = 2});
    lab.port_up(1, false);
    CHECK(lab.port_sets().reclaim() == 1);
    lab.turn(0);
    CHECK(lab.port_sets().reclaim() == 1);
    lab.turn(1);
    CHECK(lab.port_sets().reclaim() == 0);
}
