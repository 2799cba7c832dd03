// What is not media: to the kernel twin, or left to a kernel that has its own copy.
#include <catch2/catch.hpp>

#include "dataplane/lab.hpp"
#include "support/media.hpp"

using namespace penstock;
using namespace penstock::test;
using flow::Drop;

namespace {

const Bytes kArp = packet().ethertype(0x0806).payload(numbered(46)).build();
const Bytes kTcp = packet().protocol(6).payload(numbered(60)).build();
const Bytes kFragment = packet().fragment(0x2000).payload(rtp_packet()).build();
const Bytes kDns = packet().udp(6000, 53).payload(numbered(60)).build();
const Bytes kStray = packet().udp(6000, 20002).payload(rtp_packet()).build();
const Bytes kBad = packet().wrong_ip_checksum().build();
const Bytes kMedia = packet().payload(rtp_packet()).build();

Track one_track() {
    TrackPlan plan;
    plan.legs = {leg_to("10.0.1.20:6000", 1)};
    return make_track(plan);
}

}  // namespace

TEST_CASE("a twin is given what the kernel may want, byte for byte, in order", "[kernel]") {
    Lab lab({.ports = {{.twin = true}, {}}});
    const Track track = one_track();
    lab.publish(track.flows());
    for (const Bytes& frame : {kArp, kTcp, kMedia, kFragment, kDns, kStray, kBad}) lab.arrive(frame);
    lab.run();
    const auto punted = lab.punted(0);
    REQUIRE(punted.size() == 4);
    CHECK(punted[0].frame == kArp);
    CHECK(punted[1].frame == kTcp);
    CHECK(punted[2].frame == kFragment);
    CHECK(punted[3].frame == kDns);
    CHECK(lab.ledger().punted == 4);
    CHECK(lab.ledger()[Drop::no_flow] == 1);
    CHECK(lab.ledger()[Drop::ip_checksum] == 1);
    CHECK(lab.sent(1).size() == 1);
}

TEST_CASE("a kernel with a copy of its own is left to it", "[kernel]") {
    Lab lab({.ports = {{.kernel_has_copy = true}, {}}});
    const Track track = one_track();
    lab.publish(track.flows());
    for (const Bytes& frame : {kArp, kTcp, kMedia, kFragment, kDns, kStray, kBad}) lab.arrive(frame);
    lab.run();
    CHECK(lab.ledger().left_to_kernel == 3);
    CHECK(lab.ledger().punted == 0);
    CHECK(lab.ledger()[Drop::fragment] == 1);
    CHECK(lab.ledger()[Drop::no_flow] == 1);
    CHECK(lab.ledger()[Drop::ip_checksum] == 1);
    CHECK(lab.ledger().forwarded == 1);
}

TEST_CASE("a VLAN tag that the NIC took off still tells flows apart, and is there again for the kernel", "[kernel]") {
    Lab lab({.ports = {{.twin = true}, {}}});
    TrackPlan plan;
    plan.at.vlan = 100;
    plan.legs = {leg_to("10.0.1.20:6000", 1)};
    const Track track = make_track(plan);
    lab.publish(track.flows());
    const auto arrive_stripped = [&](const Bytes& frame, uint16_t tci) {
        rte_mbuf* m = lab.mbuf(frame);
        m->vlan_tci = tci;
        m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
        lab.arrive(m);
    };
    arrive_stripped(kMedia, 0xe064);  // VLAN 100, priority 7
    arrive_stripped(kMedia, 101);
    arrive_stripped(kArp, 7);
    lab.run();
    CHECK(lab.sent(1).size() == 1);
    CHECK(lab.ledger()[Drop::no_flow] == 1);
    const auto punted = lab.punted(0);
    REQUIRE(punted.size() == 1);
    CHECK(punted[0].frame == packet().vlan(7).ethertype(0x0806).payload(numbered(46)).build());
}

TEST_CASE("the port VLAN of a virtual function is not seen", "[kernel]") {
    Lab lab({.ports = {{.twin = true, .vlans = std::vector<uint16_t>{100}}, {}}});
    TrackPlan tagged, untagged;
    tagged.at.vlan = 100;
    tagged.legs = {leg_to("10.0.1.20:6000", 1)};
    untagged.legs = {leg_to("10.0.1.20:6000", 1), leg_to("10.0.1.21:6000", 1)};
    const Track one = make_track(tagged), two = make_track(untagged);
    auto flows = one.flows();
    const auto more = two.flows();
    flows.insert(flows.end(), more.begin(), more.end());
    lab.publish(flows);
    const auto arrive_stripped = [&](const Bytes& frame, uint16_t tci) {
        rte_mbuf* m = lab.mbuf(frame);
        m->vlan_tci = tci;
        m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
        lab.arrive(m);
    };
    arrive_stripped(kMedia, 0xe064);  // asked for: VLAN 100, priority 7
    lab.run();
    CHECK(lab.sent(1).size() == 1);
    arrive_stripped(kMedia, 0xe007);  // the port VLAN
    arrive_stripped(kArp, 7);
    lab.run();
    CHECK(lab.sent(1).size() == 2);
    const auto punted = lab.punted(0);
    REQUIRE(punted.size() == 1);
    CHECK(punted[0].frame == kArp);  // without a tag
}
