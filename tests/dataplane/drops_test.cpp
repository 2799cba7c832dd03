// Each reason why a packet goes no further is reached, named and counted.
#include <catch2/catch.hpp>

#include <set>

#include "dataplane/lab.hpp"
#include "support/dissect.hpp"
#include "support/media.hpp"

using namespace penstock;
using namespace penstock::test;
using flow::Drop;

namespace {

TrackPlan plan_to(std::initializer_list<const char*> receivers, uint16_t tx = 1) {
    TrackPlan plan;
    for (const char* receiver : receivers) plan.legs.push_back(leg_to(receiver, tx));
    return plan;
}

PacketBuilder to_port(unsigned port) { return packet().udp(6000, port).payload(rtp_packet()); }
PacketBuilder v6() { return packet().ipv6("fd00::9", "fd00::1").udp(6000, 20000).payload(rtp_packet()); }
Bytes carrying(std::string_view payload, unsigned port = 20000) {
    return packet().udp(6000, port).payload(hex(payload)).build();
}

}  // namespace

TEST_CASE("every reason of an arriving packet", "[drops]") {
    Lab lab({.ports = {{}, {}, {.twin = true}}, .workers = 2, .inbox = 2, .twin = 2});
    auto plan = plan_to({"10.0.1.20:6000"});
    plan.payload_type = 96;
    const Track track = make_track(plan);
    plan = {};
    plan.at.port = 20010;
    const Track nobody = make_track(plan);
    plan = plan_to({"10.0.1.20:7000"});
    plan.at.port = 20020;
    plan.owner = 1;
    const Track others = make_track(plan);
    lab.publish({track.rtp, nobody.rtp, others.rtp});

    std::set<Drop> reached;
    const auto expect = [&](Drop why, auto arrive) {
        const auto before = lab.ledger();
        arrive();
        REQUIRE(lab.turn());
        auto expected = before;
        auto after = lab.ledger();
        expected[why]++;
        expected.rx = after.rx;
        // What the rings took on the way to a full one.
        expected.handed_over = after.handed_over;
        expected.punted = after.punted;
        INFO(name(why));
        CHECK(after[why] == before[why] + 1);
        CHECK(after == expected);
        CHECK(lab.sent(1).empty());
        reached.insert(why);
    };
    const auto drops = [&](Drop why, const Bytes& frame) { expect(why, [&] { lab.arrive(frame); }); };
    drops(Drop::runt, hex("0200"));
    drops(Drop::not_ip, packet().ethertype(0x0806).payload(numbered(46)).build());
    drops(Drop::not_udp, to_port(20000).protocol(6).build());
    drops(Drop::ip_header, to_port(20000).first_ip_byte(0x44).build());
    drops(Drop::ip_checksum, to_port(20000).wrong_ip_checksum().build());
    drops(Drop::ip_extensions, v6().extension(60, hex("00ff 0104 00000000")).build());
    drops(Drop::fragment, to_port(20000).fragment(0x2000).build());
    drops(Drop::udp_length, to_port(20000).udp_length(7).build());
    drops(Drop::udp_checksum_zero, v6().no_checksum().build());
    drops(Drop::no_flow, to_port(20002).build());
    drops(Drop::no_flow, to_port(53).build());
    drops(Drop::stun, carrying("000100002112a442"));
    drops(Drop::zrtp, carrying("10000000"));
    drops(Drop::dtls, carrying("16fefd00"));
    drops(Drop::turn_channel, carrying("40000004"));
    drops(Drop::not_rtp, carrying("ff000000"));
    drops(Drop::not_rtp, carrying(""));
    drops(Drop::rtp_runt, carrying("8060000100000bb8112233"));
    drops(Drop::rtp_padding, carrying("a060000100000bb81122334400"));
    drops(Drop::rtp_payload_type, to_port(20000).payload(rtp_packet({.payload_type = 97})).build());
    drops(Drop::rtcp_invalid, carrying("80c8000611223344", 20001));
    drops(Drop::rtcp_invalid, carrying("80c8000611223344"));  // muxed
    drops(Drop::rtcp_invalid, to_port(20001).build());        // RTP on the RTCP port
    drops(Drop::no_leg, to_port(20010).build());
    expect(Drop::udp_checksum, [&] {
        rte_mbuf* m = lab.mbuf(to_port(20000).build());
        m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_BAD;
        lab.arrive(m);
    });
    expect(Drop::segmented, [&] {
        rte_mbuf* m = lab.mbuf(to_port(20000).build());
        REQUIRE(rte_pktmbuf_chain(m, lab.mbuf(numbered(100))) == 0);
        lab.arrive(m);
    });
    expect(Drop::handover_full, [&] {  // worker 1 takes nothing; its inbox holds one
        lab.arrive(to_port(20020).build());
        lab.arrive(to_port(20020).build());
    });
    expect(Drop::twin_full, [&] {
        for (int i = 0; i < 2; i++) lab.arrive(packet().ethertype(0x0806).payload(numbered(46)).build(), 2);
    });
    const std::vector<flow::FlowPtr> all{track.rtp, nobody.rtp, others.rtp};
    lab.publish(all, true);
    drops(Drop::stopped, to_port(20010).build());
    lab.publish(all);
    reached.insert({Drop::path_late, Drop::path_apart});  // those take two paths: live_live_test.cpp
    reached.insert(Drop::delay_late);                     // and this a delay: reorder_test.cpp
    reached.insert(Drop::rtcp_ssrc);                      // of a track that is watched: continuity_test.cpp
    for (size_t d = 0; d < static_cast<size_t>(flow::kFirstTxDrop); d++) {
        INFO(flow::kDropNames[d]);
        CHECK(reached.contains(static_cast<Drop>(d)));
    }
    // What is invalid counts for no statistics.
    CHECK(track.path->reception.counters().packets.read() == 0);
    CHECK(track.path->rtcp_packets.read() == 0);
    lab.run();
    CHECK(others.path->reception.counters().packets.read() == 1);
}

TEST_CASE("while forwarding is stopped, packets of streams are counted and dropped by this name", "[drops]") {
    Lab lab({.ports = {{.twin = true}, {}}, .workers = 2});
    auto plan = plan_to({"10.0.1.20:6000"});
    plan.owner = 1;
    const Track track = make_track(plan);
    const auto send = [&](uint16_t from, uint16_t count) {
        for (uint16_t n = 0; n < count; n++)
            lab.arrive(packet().udp(6000, 20000).payload(rtp_packet({.sequence = unsigned{from} + n})).build());
        lab.run();
    };
    lab.publish(track.flows());
    send(100, 10);
    CHECK(lab.sent(1, 1).size() == 10);
    lab.publish(track.flows(), true);
    send(110, 20);
    lab.arrive(packet().udp(6000, 20001).payload(sender_report()).build());
    lab.arrive(to_port(20002).build());                                    // a stray one is that, and no more
    lab.arrive(packet().ethertype(0x0806).payload(numbered(46)).build());  // and the kernel's is the kernel's
    lab.run();
    CHECK(lab.sent(1, 1).empty());
    CHECK(lab.ledger(1)[Drop::stopped] == 21);  // by the owner, to whom they were handed over
    CHECK(lab.ledger(0)[Drop::stopped] == 0);
    CHECK(lab.ledger(0)[Drop::no_flow] == 1);
    CHECK(lab.punted(0).size() == 1);
    lab.publish(track.flows());
    send(130, 5);
    CHECK(lab.sent(1, 1).size() == 5);
    CHECK(track.path->reception.counters().packets.read() == 35);
    CHECK(track.path->reception.counters().lost.read() == 0);
}

TEST_CASE("a checksum that the NIC found right, or did not look at, is no reason to drop", "[drops]") {
    Lab lab;
    const Track track = make_track(plan_to({"10.0.1.20:6000"}));
    lab.publish(track.flows());
    const uint64_t kNotBad[] = {RTE_MBUF_F_RX_L4_CKSUM_GOOD, RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN,
                                RTE_MBUF_F_RX_L4_CKSUM_NONE};
    for (const uint64_t flags : kNotBad) {
        rte_mbuf* m = lab.mbuf(to_port(20000).build());
        m->ol_flags |= flags;
        lab.arrive(m);
    }
    lab.run();
    CHECK(lab.sent(1).size() == 3);
}

TEST_CASE("a leg whose MTU is too small is named, the others get theirs", "[drops]") {
    Lab lab;
    auto plan = plan_to({"10.0.1.20:6000", "10.0.1.20:6002", "10.0.1.20:6004"});
    plan.shareable = GENERATE(0u, 1u, 2u, 3u);
    const size_t narrow = GENERATE(0u, 1u, 2u);
    plan.legs[narrow].hop.mtu = 1028;
    const Track track = make_track(plan);
    lab.publish(track.flows());
    lab.arrive(packet().payload(rtp_packet({.size = 1001})).build());
    lab.arrive(packet().payload(rtp_packet({.sequence = 2, .size = 1000})).build());
    lab.run();
    INFO(plan.shareable << " shareable, narrow: " << narrow);
    CHECK(lab.sent(1).size() == 5);
    CHECK(lab.ledger()[Drop::mtu] == 1);
    for (size_t i = 0; i < 3; i++) {
        CHECK(track.legs[i]->drop(Drop::mtu).read() == (i == narrow ? 1 : 0));
        CHECK(track.legs[i]->packets.read() == (i == narrow ? 1 : 2));
    }
}

TEST_CASE("an only leg whose MTU is too small", "[drops]") {
    Lab lab;
    auto plan = plan_to({"10.0.1.20:6000"});
    plan.legs[0].hop.mtu = 227;
    const Track track = make_track(plan);
    lab.publish(track.flows());
    lab.arrive(to_port(20000).build());
    lab.run();
    CHECK(lab.sent(1).empty());
    CHECK(track.legs[0]->drop(Drop::mtu).read() == 1);
    CHECK(lab.ledger().forwarded == 1);
}

TEST_CASE("a full tx queue is counted on its legs, other ports are unharmed", "[drops]") {
    Lab lab({.ports = {{}, {.wire = 8}, {}}});
    auto plan = plan_to({"10.0.1.20:6000"});
    plan.legs.push_back(leg_to("10.0.2.20:6000", 2));
    plan.shareable = GENERATE(0u, 2u);
    const size_t size = GENERATE(200u, 1000u);
    const Track track = make_track(plan);
    lab.publish(track.flows());
    for (unsigned i = 0; i < 20; i++) lab.arrive(packet().payload(rtp_packet({.sequence = i, .size = size})).build());
    lab.run();
    CHECK(lab.sent(1).size() == 7);
    CHECK(lab.sent(2).size() == 20);
    CHECK(track.legs[0]->packets.read() == 7);
    CHECK(track.legs[0]->bytes.read() == 7 * (size + 28));
    CHECK(track.legs[0]->drop(Drop::tx_full).read() == 13);
    CHECK(track.legs[1]->drop(Drop::tx_full).read() == 0);
    CHECK(track.legs[1]->packets.read() == 20);
    CHECK(lab.ledger()[Drop::tx_full] == 13);
    lab.arrive(packet().payload(rtp_packet({.sequence = 20, .size = size})).build());  // there is room again
    lab.run();
    CHECK(lab.sent(1).size() == 1);
    CHECK(track.legs[0]->drop(Drop::tx_full).read() == 13);
}

TEST_CASE("when the buffers are all out, copies are dropped by name; later all is well again", "[drops]") {
    Lab lab;
    auto plan = plan_to({"10.0.1.20:6000", "10.0.1.20:6002", "10.0.1.20:6004", "10.0.1.20:6006"});
    const bool share = GENERATE(false, true);
    const unsigned left = GENERATE(0u, 2u);
    plan.shareable = share ? 4 : 0;
    const Track track = make_track(plan);
    lab.publish(track.flows());
    rte_mempool* pool = share ? lab.pools().header : lab.pools().packet;
    const auto arrive = [&](unsigned sequence) {
        lab.arrive(packet().payload(rtp_packet({.sequence = sequence, .size = 600})).build());
    };

    arrive(1);
    std::vector<rte_mbuf*> held;
    while (rte_mbuf* m = rte_pktmbuf_alloc(pool)) held.push_back(m);
    for (unsigned i = 0; i < left; i++) {
        rte_pktmbuf_free(held.back());
        held.pop_back();
    }
    REQUIRE(lab.turn());
    // Copied: the last leg gets the packet itself, which needs no buffer.
    const unsigned got = left + (share ? 0 : 1);
    CHECK(lab.sent(1).size() == got);
    CHECK(lab.ledger()[Drop::no_buffer] == 4 - got);
    uint64_t named = 0;
    for (const auto& leg : track.legs) named += leg->drop(Drop::no_buffer).read();
    CHECK(named == 4 - got);
    for (rte_mbuf* m : held) rte_pktmbuf_free(m);

    arrive(2);
    lab.run();
    CHECK(lab.sent(1).size() == 4);
    CHECK(lab.ledger()[Drop::no_buffer] == 4 - got);
}

TEST_CASE("a packet without headroom for a longer header is dropped, not written before its beginning", "[drops]") {
    Lab lab;
    TrackPlan plan;
    plan.legs = {leg_to("[fd01::20]:6000", 1, 7)};
    const Track track = make_track(plan);
    lab.publish(track.flows());
    lab.arrive(lab.mbuf(to_port(20000).build(), 23));  // 42 + 23 < 66
    lab.run();
    CHECK(lab.sent(1).empty());
    CHECK(track.legs[0]->drop(Drop::no_buffer).read() == 1);
    lab.arrive(lab.mbuf(to_port(20000).build(), 24));
    lab.run();
    CHECK(lab.sent(1).size() == 1);
}
