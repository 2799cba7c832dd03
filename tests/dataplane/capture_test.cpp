// What a capture under bypass sees: packets as they came, copies as they left, drops with their reason; and that the
// forwarding beside it goes on as ever.
#include <catch2/catch.hpp>

#include "dataplane/tapped.hpp"
#include "support/dissect.hpp"

using namespace penstock;
using namespace penstock::test;
using flow::Drop;
using What = flow::CaptureFilter::What;

TEST_CASE("a path is captured as it was received, RTCP too, whoever else sends", "[capture]") {
    Lab lab;
    const Track track = captured_track({"10.0.1.20:6000"});
    TrackPlan plan;
    plan.at.port = 20010;
    plan.legs = {leg_to("10.0.1.20:7000", 1)};
    const Track other = make_track(plan);
    lab.publish({track.rtp, other.rtp});
    Tapped tapped(lab, What::arrivals, {track.path});
    const uint64_t before = dataplane::clock_now();
    const Bytes in[] = {media_frame(1), packet().udp(6001, 20001).payload(sender_report()).build(),
                        media_frame(2, 1300),
                        packet().payload(rtp_packet({.payload_type = 97})).build()};  // refused later
    for (const Bytes& frame : in) lab.arrive(frame);
    lab.arrive(packet().udp(6000, 20010).payload(rtp_packet()).build());
    lab.arrive(packet().udp(6000, 20020).payload(rtp_packet()).build());
    lab.run();
    const auto seen = tapped.seen();
    REQUIRE(seen.size() == 4);
    for (size_t i = 0; i < 4; i++) {
        CHECK(seen[i].frame == in[i]);
        CHECK(seen[i].original == in[i].size());
        CHECK(seen[i].subject == 10);
        CHECK(seen[i].port == 0);
        CHECK(seen[i].drop == kNoDrop);
        CHECK_FALSE(seen[i].leaving);
        CHECK(seen[i].time >= before);
        CHECK(seen[i].time <= dataplane::clock_now());
    }
    CHECK(lab.sent(1).size() == 4);
}

TEST_CASE("the VLAN tag that a NIC took off is in the capture", "[capture]") {
    Lab lab;
    TrackPlan plan;
    plan.at.vlan = 7;
    plan.legs = {leg_to("10.0.1.20:6000", 1)};
    const Track track = make_track(plan);
    lab.publish(track.flows());
    Tapped tapped(lab, What::arrivals, {track.path});
    rte_mbuf* m = lab.mbuf(media_frame(1));
    m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
    m->vlan_tci = 0x6007;
    lab.arrive(m);
    lab.run();
    const auto seen = tapped.seen();
    REQUIRE(seen.size() == 1);
    CHECK(dissect(seen[0].frame).vlan == 0x6007);
    CHECK(dissect(seen[0].frame).payload == dissect(media_frame(1)).payload);
    CHECK(seen[0].original == seen[0].frame.size());
}

TEST_CASE("a leg is captured as it leaves, however its copies are made", "[capture]") {
    Lab lab;
    TrackPlan plan;
    plan.legs = {leg_to("10.0.1.20:6000", 1), leg_to("[fd01::20]:6002", 1, 8), leg_to("10.0.1.20:6004", 1)};
    plan.shareable = GENERATE(0u, 1u, 3u);
    const Track track = make_track(plan);
    lab.publish(track.flows());
    const size_t leg = GENERATE(0u, 1u, 2u);
    Tapped tapped(lab, What::copies, {track.legs[leg]});
    for (unsigned i = 0; i < 40; i++) lab.arrive(media_frame(i));  // more than a tx burst
    lab.arrive(packet().udp(6001, 20001).payload(sender_report()).build());
    lab.run();
    std::vector<Bytes> left;
    for (const Sent& sent : lab.sent(1)) {
        const unsigned port = dissect(sent.frame).to_port;
        if (port == 6000 + 2 * leg || port == 6001 + 2 * leg) left.push_back(sent.frame);
    }
    const auto seen = tapped.seen();
    REQUIRE(seen.size() == 41);
    REQUIRE(left.size() == 41);
    for (size_t i = 0; i < 41; i++) {
        REQUIRE(seen[i].frame == left[i]);
        REQUIRE(seen[i].original == left[i].size());
        REQUIRE(seen[i].subject == 10);
        REQUIRE(seen[i].port == 1);
        REQUIRE(seen[i].leaving);
        REQUIRE(seen[i].drop == kNoDrop);
    }
}

TEST_CASE("a copy that the driver refused is in the leg's capture, and says so", "[capture]") {
    Lab lab({.ports = {{}, {.wire = 8}}});
    const Track track = captured_track({"10.0.1.20:6000", "10.0.1.20:6002"});
    lab.publish(track.flows());
    Tapped tapped(lab, What::copies, {track.legs[1]});
    for (unsigned i = 0; i < 6; i++) lab.arrive(media_frame(i));  // 12 copies, of which the wire takes 7: 4 and 3
    lab.run();
    const auto seen = tapped.seen();
    REQUIRE(seen.size() == 6);
    for (size_t i = 0; i < 6; i++) CHECK(seen[i].drop == (i < 3 ? kNoDrop : code(Drop::tx_full)));
    CHECK(lab.sent(1).size() == 7);
}

TEST_CASE("each arriving packet that a stream drops is captured with its reason", "[capture]") {
    Lab lab;
    const Track track = captured_track({"10.0.1.20:6000"});
    TrackPlan plan;
    plan.at.port = 20010;
    const Track nobody = make_track(plan);
    lab.publish({track.rtp, nobody.rtp});
    const bool of_the_stream = GENERATE(true, false);
    Tapped tapped(lab, What::drops,
                  of_the_stream ? std::vector<std::shared_ptr<const void>>{track.path, nobody.path}
                                : std::vector<std::shared_ptr<const void>>{});
    const auto to = [](std::string_view payload, unsigned port = 20000) {
        return packet().udp(6000, port).payload(hex(payload)).build();
    };
    const std::vector<std::pair<Drop, Bytes>> of_streams{
        {Drop::stun, to("000100002112a442")},
        {Drop::rtp_payload_type, packet().payload(rtp_packet({.payload_type = 97})).build()},
        {Drop::rtp_runt, to("8060000100000bb8112233")},
        {Drop::rtcp_invalid, to("80c8000611223344", 20001)},
        {Drop::rtcp_invalid, to("80c8000611223344")},
        {Drop::rtcp_invalid, packet().udp(6000, 20001).payload(rtp_packet()).build()},
        {Drop::no_leg, packet().udp(6000, 20010).payload(rtp_packet()).build()},
        {Drop::udp_checksum, media_frame(3)}};
    const std::vector<std::pair<Drop, Bytes>> of_nobody{
        {Drop::no_flow, packet().udp(6000, 20020).payload(rtp_packet()).build()},
        {Drop::runt, hex("0200")},
        {Drop::ip_checksum, packet().wrong_ip_checksum().payload(rtp_packet()).build()}};
    auto all = of_streams;
    all.insert(all.end(), of_nobody.begin(), of_nobody.end());
    for (const auto& [why, frame] : all) {
        rte_mbuf* m = lab.mbuf(frame);
        if (why == Drop::udp_checksum) m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_BAD;
        lab.arrive(m);
        lab.arrive(media_frame(1));  // passes
    }
    lab.run();
    const auto seen = tapped.seen();
    const auto& expected = of_the_stream ? of_streams : all;
    REQUIRE(seen.size() == expected.size());
    for (size_t i = 0; i < seen.size(); i++) {
        INFO(name(expected[i].first));
        CHECK(seen[i].drop == code(expected[i].first));
        CHECK(seen[i].frame == expected[i].second);
        CHECK(seen[i].subject == (!of_the_stream                      ? flow::CaptureFilter::kNobody
                                  : expected[i].first == Drop::no_leg ? 11u
                                                                      : 10u));
        CHECK_FALSE(seen[i].leaving);
    }
    CHECK(lab.sent(1).size() == all.size());
}

TEST_CASE("a packet larger than a buffer is captured as far as it goes", "[capture]") {
    Lab lab;
    Tapped tapped(lab, What::drops, {});
    rte_mbuf* m = lab.mbuf(numbered(1500));
    REQUIRE(rte_pktmbuf_chain(m, lab.mbuf(numbered(1500, 7))) == 0);
    lab.arrive(m);
    lab.run();
    const auto seen = tapped.seen();
    REQUIRE(seen.size() == 1);
    CHECK(seen[0].drop == code(Drop::segmented));
    CHECK(seen[0].original == 3000);
    Bytes whole = numbered(1500);
    append(whole, numbered(1500, 7));
    whole.resize(flow::CaptureRecord::kSnap);
    CHECK(seen[0].frame == whole);
}

TEST_CASE("each copy that is dropped is captured as it would have left", "[capture]") {
    Lab lab({.ports = {{}, {}, {.wire = 8}}});
    TrackPlan plan;
    const unsigned legs = GENERATE(1u, 2u, 3u);
    for (unsigned i = 0; i < legs; i++) plan.legs.push_back(leg_to("10.0.1.20:" + std::to_string(6000 + 2 * i), 1));
    plan.shareable = GENERATE_COPY(0u, legs);
    const auto why = GENERATE(Drop::mtu, Drop::no_buffer, Drop::tx_full);
    if (why == Drop::no_buffer && legs == 1) return;  // needs none
    if (why == Drop::mtu) plan.legs[0].hop.mtu = 500;
    if (why == Drop::tx_full) plan.legs[0].hop.port = 2;
    const Track track = make_track(plan);
    lab.publish(track.flows());
    const unsigned lost = GENERATE(1u, 40u);
    const unsigned count = why == Drop::tx_full ? 7 + lost : lost;
    INFO(name(why) << ", " << legs << " legs, " << plan.shareable << " shareable, " << count << " packets");
    Tapped tapped(lab, What::drops, {track.legs[0]});
    std::vector<rte_mbuf*> held;
    for (unsigned i = 0; i < count; i++) lab.arrive(media_frame(i, 600));
    if (why == Drop::no_buffer)
        while (rte_mbuf* m = rte_pktmbuf_alloc(plan.shareable != 0 ? lab.pools().header : lab.pools().packet))
            held.push_back(m);
    lab.turn();
    for (rte_mbuf* m : held) rte_pktmbuf_free(m);
    lab.run();
    const auto seen = tapped.seen();
    REQUIRE(seen.size() == track.legs[0]->drop(why).read());
    if (why != Drop::no_buffer) REQUIRE(seen.size() == lost);
    REQUIRE(seen.size() >= 1);
    unsigned next = why == Drop::tx_full ? 7 : 0;
    for (const auto& s : seen) {
        const Dissected copy = dissect(s.frame);
        CHECK(s.drop == code(why));
        CHECK(s.leaving);
        CHECK(s.port == (why == Drop::tx_full ? 2 : 1));
        CHECK(s.original == s.frame.size());
        CHECK(copy.lengths);
        CHECK(copy.ip_sum == Sum::right);
        CHECK(copy.udp_sum == Sum::right);
        CHECK(copy.to_port == 6000);
        if (why != Drop::no_buffer) CHECK(copy.payload == rtp_packet({.sequence = next++, .size = 600}));
    }
}

TEST_CASE("what the ring or the rate does not allow is missed and counted; media is not", "[capture]") {
    Lab lab;
    const Track track = captured_track({"10.0.1.20:6000"});
    lab.publish(track.flows());
    const auto send = [&](unsigned from, unsigned count) {
        for (unsigned i = from; i < from + count; i++) lab.arrive(media_frame(i));
        lab.run();
        CHECK(lab.sent(1).size() == count);
    };
    SECTION("a full ring") {
        Tapped tapped(lab, GENERATE(What::arrivals, What::copies), {track.path, track.legs[0]}, kRate, 16);
        send(0, 100);
        CHECK(tapped.tap().missed_by_ring() == 84);
        CHECK(tapped.tap().missed_by_rate() == 0);
        const auto seen = tapped.seen();
        REQUIRE(seen.size() == 16);
        for (unsigned i = 0; i < 16; i++) CHECK(at16(dissect(seen[i].frame).payload, 2) == i);
        send(100, 10);  // there is room again
        CHECK(tapped.seen().size() == 10);
    }
    SECTION("the rate") {
        Tapped tapped(lab, What::arrivals, {track.path}, 50, 256);  // five at once
        send(0, 100);
        const auto seen = tapped.seen();
        CHECK(seen.size() >= 5);
        CHECK(seen.size() < 50);  // it would have taken a second
        CHECK(tapped.tap().missed_by_rate() == 100 - seen.size());
        CHECK(tapped.tap().missed_by_ring() == 0);
        // Credit comes back with time.
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        size_t more = 0;
        while (more < 5 && std::chrono::steady_clock::now() < deadline) {
            send(0, 1);
            more += tapped.seen().size();
        }
        CHECK(more >= 5);
    }
    SECTION("enough") {
        Tapped tapped(lab, What::arrivals, {track.path});
        send(0, 3);
        tapped.tap().close();
        send(3, 3);
        CHECK(tapped.seen().size() == 3);
        CHECK(tapped.tap().missed_by_ring() + tapped.tap().missed_by_rate() == 0);
    }
}

TEST_CASE("packets of a train are captured one by one, as they would leave alone", "[capture]") {
    Lab lab({.ports = {{}, {.trains_from = 1, .socket_buffer = 200'000}}});
    const Track track = captured_track({"10.0.1.20:6000", "10.0.1.20:6002"});
    lab.publish(track.flows());
    Tapped tapped(lab, What::copies, {track.legs[1]});
    for (unsigned i = 0; i < 5; i++) lab.arrive(media_frame(i, 1300));
    lab.run();
    CHECK(lab.sent_by_socket(1).size() == 2);
    const auto seen = tapped.seen();
    REQUIRE(seen.size() == 5);
    for (unsigned i = 0; i < 5; i++) {
        const Dissected copy = dissect(seen[i].frame);
        CHECK(copy.to_port == 6002);
        CHECK(copy.udp_sum == Sum::right);
        CHECK(copy.payload == rtp_packet({.sequence = i, .size = 1300}));
        CHECK(seen[i].port == 1);
        CHECK(seen[i].leaving);
        CHECK(seen[i].drop == kNoDrop);
    }
}

TEST_CASE("packets of a train that found no room are captured with their reason", "[capture]") {
    Lab lab({.ports = {{}, {.trains_from = 1, .socket_buffer = 60'000}}});
    const std::vector<const char*> receivers(20, "10.0.1.20:6000");
    const Track track = captured_track(receivers);
    lab.publish(track.flows());
    const What what = GENERATE(What::copies, What::drops);
    Tapped tapped(lab, what, {track.legs.back()});
    for (unsigned i = 0; i < 5; i++) lab.arrive(media_frame(i, 1300));
    lab.run();
    const auto seen = tapped.seen();
    REQUIRE(seen.size() == 5);
    for (const auto& record : seen) CHECK(record.drop == code(Drop::tx_full));
}
