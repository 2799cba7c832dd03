// Frame in, frames out: every way of replicating, and every way of arriving at a right checksum.
#include <catch2/catch.hpp>

#include <map>
#include <set>

#include "dataplane/lab.hpp"
#include "support/dissect.hpp"
#include "support/media.hpp"

using namespace penstock;
using namespace penstock::test;
using flow::Drop;

namespace {

constexpr size_t kShareFrom = 64;  // bytes of payload: as in dataplane/replicate.cpp
constexpr uint16_t kNic = 0, kVeth = 1, kOut = 2;
LabPlan lab_with_a_veth() { return {.ports = {{}, {.partial_checksums = true}, {}}}; }

struct Family {
    const char *name, *from, *at;
    bool v6_receivers;
    uint16_t vlan_in, vlan_out;
};
constexpr Family kFamilies[] = {
    {"IPv4", "10.0.0.9", "10.0.0.1", false, 0, 0},
    {"IPv6", "fd00::9", "fd00::1", true, 0, 0},
    {"4 to 6", "10.0.0.9", "10.0.0.1", true, 0, 0},
    {"VLAN to VLAN", "10.0.0.9", "10.0.0.1", false, 7, 8},
    {"6 to 4, out of a VLAN", "fd00::9", "fd00::1", false, 7, 0},
};

enum class Checksum : uint8_t { kept, absent, anew };

TrackPlan track_of(const Family& family, unsigned legs) {
    TrackPlan plan;
    plan.at = {test::ip(family.at), 20000, family.vlan_in};
    for (unsigned i = 0; i < legs; i++) {
        const std::string port = std::to_string(6000 + 2 * i);
        plan.legs.push_back(leg_to((family.v6_receivers ? "[fd01::20]:" : "10.0.1.20:") + port, kOut, family.vlan_out));
    }
    return plan;
}

PacketBuilder frame_of(const Family& family, size_t size) {
    PacketBuilder p = packet();
    p.addresses(test::ip(family.from), test::ip(family.at))
        .udp(6000, 20000)
        .ttl(63)
        .tos(0xb9)
        .payload(rtp_packet({.size = size}));
    if (family.vlan_in != 0) p.vlan(family.vlan_in);
    return p;
}

}  // namespace

TEST_CASE("each receiver gets its copy, however it is made", "[copies]") {
    Lab lab(lab_with_a_veth());
    const flow::Ledger start = lab.ledger();
    uint64_t packets = 0, copies = 0;
    for (const Family& family : kFamilies)
        for (const unsigned legs : {1u, 2u, 3u, 33u, 70u})
            for (const size_t size : {size_t{12}, kShareFrom - 1, kShareFrom, size_t{255}, size_t{1300}})
                for (const auto checksum : {Checksum::kept, Checksum::absent, Checksum::anew})
                    for (const uint32_t shareable : {0u, legs / 2, legs}) {
                        const bool v4_in = test::ip(family.at).is_v4();
                        if (checksum == Checksum::absent && !v4_in) continue;
                        auto plan = track_of(family, legs);
                        plan.shareable = shareable;
                        const Track track = make_track(plan);
                        lab.publish(track.flows());
                        auto in = frame_of(family, size);
                        if (checksum == Checksum::absent) in.no_checksum();
                        if (checksum == Checksum::anew) in.partial_checksum();
                        if (size == 12) in.padding(6);
                        lab.arrive(in.build(), checksum == Checksum::anew ? kVeth : kNic);
                        REQUIRE(lab.turn());
                        const auto out = lab.sent(kOut);
                        packets++;
                        copies += legs;
                        INFO(family.name << ", " << legs << " legs, " << shareable << " shareable, " << size
                                         << " bytes, checksum " << static_cast<int>(checksum));
                        REQUIRE(out.size() == legs);
                        std::set<unsigned> receivers;
                        size_t shared = 0;
                        for (const Sent& sent : out) {
                            const Dissected copy = dissect(sent.frame);
                            receivers.insert(copy.to_port);
                            shared += sent.segments == 2;
                            const bool summed = checksum != Checksum::absent || family.v6_receivers;
                            const bool right = copy.lengths && copy.ip_sum == Sum::right &&
                                               copy.vlan == family.vlan_out &&
                                               copy.udp_sum == (summed ? Sum::right : Sum::none) && copy.ttl == 63 &&
                                               copy.tos == 0xb9 && copy.from_port == 20000 &&
                                               copy.payload == rtp_packet({.size = size}) &&
                                               copy.to == plan.legs[0].to.ip && copy.from == plan.legs[0].hop.source;
                            if (!right) FAIL("a copy is wrong");
                        }
                        REQUIRE(receivers.size() == legs);
                        REQUIRE(shared == (legs > 1 && size >= kShareFrom ? shareable : 0));
                        for (const auto& leg : track.legs) {
                            REQUIRE(leg->packets.read() == 1);
                            REQUIRE(leg->bytes.read() == size + (family.v6_receivers ? 48 : 28));
                        }
                        REQUIRE(track.path->reception.counters().packets.read() == 1);
                        REQUIRE(lab.buffers_out() == 0);
                    }
    const flow::Ledger end = lab.ledger();
    CHECK(end.rx - start.rx == packets);
    CHECK(end.forwarded == packets);
    CHECK(end.tx_wanted == copies);
    CHECK(end.sent == copies);
}

TEST_CASE("a leg's own TTL and DSCP replace those that came; ECN stays", "[copies]") {
    Lab lab;
    TrackPlan plan;
    plan.legs = {leg_to("10.0.1.20:6000", 1), leg_to("10.0.1.20:6002", 1)};
    plan.legs[1].ttl = 16;
    plan.legs[1].dscp = 34;
    const Track track = make_track(plan);
    lab.publish(track.flows());
    lab.arrive(packet().ttl(5).tos(0xbb).payload(rtp_packet()).build());
    lab.run();
    const auto out = lab.sent(1);
    REQUIRE(out.size() == 2);
    CHECK(dissect(out[0].frame).ttl == 5);
    CHECK(dissect(out[0].frame).tos == 0xbb);
    CHECK(dissect(out[1].frame).ttl == 16);
    CHECK(dissect(out[1].frame).tos == (34 << 2 | 3));
    CHECK(dissect(out[1].frame).ip_sum == Sum::right);
}

TEST_CASE("an IPv6 leg makes a checksum needed for all; a packet that came without one gets it", "[copies]") {
    Lab lab;
    TrackPlan plan;
    plan.legs = {leg_to("10.0.1.20:6000", 1), leg_to("[fd01::20]:6000", 1)};
    const Track track = make_track(plan);
    lab.publish(track.flows());
    lab.arrive(packet().no_checksum().payload(rtp_packet()).build());
    lab.run();
    for (const Sent& sent : lab.sent(1)) CHECK(dissect(sent.frame).udp_sum == Sum::right);
}

TEST_CASE("a burst longer than the buffers leaves in order", "[copies]") {
    Lab lab;
    TrackPlan plan;
    plan.legs = {leg_to("10.0.1.20:6000", 1), leg_to("10.0.1.20:6002", 1), leg_to("10.0.1.20:6004", 1)};
    plan.shareable = 3;
    const Track track = make_track(plan);
    lab.publish(track.flows());
    for (unsigned i = 0; i < 100; i++)
        lab.arrive(packet().payload(rtp_packet({.sequence = 65500 + i, .size = 100 + 3 * i})).build());
    lab.run();
    std::map<unsigned, std::vector<unsigned>> heard;
    for (const Sent& sent : lab.sent(1)) {
        const Dissected copy = dissect(sent.frame);
        heard[copy.to_port].push_back(at16(copy.payload, 2));
    }
    REQUIRE(heard.size() == 3);
    for (const auto& [port, sequence] : heard) {
        REQUIRE(sequence.size() == 100);
        for (unsigned i = 0; i < 100; i++) REQUIRE(sequence[i] == ((65500 + i) & 0xffff));
    }
    CHECK(track.path->reception.counters().lost.read() + track.path->reception.counters().missing.read() == 0);
}

TEST_CASE("RTCP goes to the ports for RTCP, whether it came on the next port or muxed", "[copies][rtcp]") {
    Lab lab;
    TrackPlan plan;
    plan.legs = {leg_to("10.0.1.20:6000", 1), leg_to("[fd01::20]:7000", 1, 8), leg_to("10.0.1.20:8000", 1)};
    plan.legs[2].rtcp_port = 8000;  // RFC 5761
    plan.shareable = GENERATE(0u, 3u);
    const Track track = make_track(plan);
    lab.publish(track.flows());
    const unsigned port = GENERATE(20000u, 20001u);
    lab.arrive(packet().udp(6001, port).payload(sender_report()).build());
    lab.run();
    const auto out = lab.sent(1);
    REQUIRE(out.size() == 3);
    for (size_t i = 0; i < out.size(); i++) {
        const Dissected copy = dissect(out[i].frame);
        CHECK(copy.to_port == std::array{6001u, 7001u, 8000u}[i]);
        CHECK(copy.from_port == std::array{20001u, 20001u, 20000u}[i]);
        CHECK(copy.udp_sum == Sum::right);
        CHECK(copy.payload == sender_report());
    }
    CHECK(track.path->rtcp_packets.read() == 1);
    CHECK(track.path->rtcp_bytes.read() == sender_report().size());
    CHECK(track.path->reception.counters().packets.read() == 0);
    CHECK(track.legs[0]->rtcp_packets.read() == 1);
    CHECK(track.legs[0]->packets.read() == 0);
}

TEST_CASE("BYE is passed on by a track of one path, of two paths one may end while the other goes on",
          "[copies][rtcp]") {
    Lab lab;
    TrackPlan plan;
    plan.legs = {leg_to("10.0.1.20:6000", 1)};
    const bool merged = GENERATE(false, true);
    if (merged) plan.merge = std::make_shared<flow::MergeState>();
    const Track track = make_track(plan);
    lab.publish(track.flows());
    for (const auto& rtcp : {sender_report(), bye()})
        for (const unsigned port : {20000u, 20001u}) lab.arrive(packet().udp(6001, port).payload(rtcp).build());
    lab.run();
    CHECK(lab.sent(1).size() == (merged ? 2 : 4));
    CHECK(lab.ledger().duplicate == (merged ? 2 : 0));
    CHECK(track.path->rtcp_packets.read() == 4);
}

TEST_CASE("of two paths each packet leaves once, and each path is counted", "[copies][merge]") {
    Lab lab;
    TrackPlan plan;
    plan.legs = {leg_to("10.0.1.20:6000", 1)};
    plan.merge = std::make_shared<flow::MergeState>();
    const Track one = make_track(plan);
    plan.at.port = 20010;
    plan.second_path = true;
    const Track two = make_track(plan);
    lab.publish({one.rtp, two.rtp});
    const auto arrive = [&](unsigned sequence, unsigned port) {
        lab.arrive(packet().udp(6000, port).payload(rtp_packet({.sequence = sequence})).build());
    };
    for (unsigned s = 1; s <= 20; s++) {
        if (s % 5 != 0) arrive(s, 20000);
        if (s % 3 != 0) arrive(s, 20010);
    }
    lab.run();
    std::vector<unsigned> heard, all;
    for (const Sent& sent : lab.sent(1)) heard.push_back(at16(dissect(sent.frame).payload, 2));
    for (unsigned s = 1; s <= 20; s++)
        if (s % 15 != 0) all.push_back(s);
    CHECK(heard == all);
    CHECK(lab.ledger().duplicate == 16 + 14 - 19);
    CHECK(one.path->reception.counters().packets.read() == 16);
    CHECK(two.path->reception.counters().packets.read() == 14);
}

TEST_CASE("a flow takes what comes from its sender by its port only", "[copies]") {
    Lab lab({.ports = {{}, {}, {}}});
    TrackPlan plan;
    plan.legs = {leg_to("10.0.1.20:6000", 2)};
    plan.has_sender = true;
    plan.sender = test::ip("10.0.0.9");
    plan.rx_port = 1;
    const Track track = make_track(plan);
    lab.publish(track.flows());
    lab.arrive(packet().payload(rtp_packet()).build(), 0);
    lab.arrive(packet().ipv4("10.0.0.8", "10.0.0.1").payload(rtp_packet()).build(), 1);
    lab.arrive(packet().vlan(7).payload(rtp_packet()).build(), 1);
    lab.run();
    CHECK(lab.ledger()[Drop::no_flow] == 3);
    lab.arrive(packet().payload(rtp_packet()).build(), 1);
    lab.run();
    CHECK(lab.sent(2).size() == 1);
}

TEST_CASE("where control asks, it is told who sent the first packet", "[copies]") {
    Lab lab;
    TrackPlan plan;
    plan.legs = {leg_to("10.0.1.20:6000", 1)};
    const Track track = make_track(plan);
    const auto send = [&](const char* from) {
        lab.arrive(packet().ipv4(from, "10.0.0.1").payload(rtp_packet()).build());
        lab.run();
    };
    lab.publish(track.flows());
    send("10.0.0.7");
    CHECK_FALSE(track.path->extras().first_sender.read());
    auto rtp = altered(track.rtp);
    rtp->tells_sender = true;
    lab.publish({rtp});
    send("10.0.0.8");
    send("10.0.0.9");
    CHECK(track.path->extras().first_sender.read() == test::ip("10.0.0.8"));
    CHECK(lab.sent(1).size() == 3);
}

TEST_CASE("jitter and loss are measured with the workers' clock", "[copies]") {
    Lab lab;
    TrackPlan plan;
    plan.legs = {leg_to("10.0.1.20:6000", 1)};
    const Track track = make_track(plan);
    lab.publish(track.flows());
    const uint64_t before = dataplane::clock_now();
    for (const unsigned s : {1u, 2u, 5u}) {
        lab.arrive(packet().payload(rtp_packet({.sequence = s, .timestamp = 0})).build());
        lab.run();
    }
    const uint64_t after = dataplane::clock_now();
    const auto& seen = track.path->reception.counters();
    CHECK(seen.missing.read() == 2);
    CHECK(seen.last_arrival.read() >= before);
    CHECK(seen.last_arrival.read() <= after);
    // All timestamps are equal, so the jitter is what passed between arrivals: at most all the time there was.
    CHECK(static_cast<double>(seen.jitter.read()) / 16 / 90000 <=
          static_cast<double>(after - before) / 4294967296.0 + 0.001);
    CHECK(seen.bytes.read() == 600);
}

TEST_CASE("what a viewer sends back ends here, and the first packet is noted", "[copies]") {
    Lab lab;
    flow::FirstPacket first;
    flow::Feedback feedback;
    TrackPlan plan;
    plan.legs = {leg_to("10.0.1.20:6000", 1)};
    const Track track = make_track(plan);
    auto rtp = altered(track.rtp);
    extras_of(*rtp).first = &first;
    rtp->notes_first = true;
    auto heard = std::make_shared<flow::Flow>();
    heard->key = {test::ip("10.0.0.1"), 21001, 0};
    heard->kind = flow::Kind::feedback;
    heard->has_sender = true;
    heard->sender = test::ip("10.0.0.9");
    flow::Watching watching;
    watching.feedback = &feedback;
    const flow::Flow::Extras extras{.watching = &watching};
    heard->more = &extras;
    lab.publish({rtp, heard});

    const auto back = [&](const char* payload) {
        lab.arrive(packet().udp(6001, 21001).payload(hex(payload)).build());
        lab.run();
    };
    back("81c90007 00000001 5eed5eed 40000007 00010203 0000002a 00000000 00000000");
    back("cefaedfe");  // live555 opens the way through a NAT with it
    back("80000000 00000000 00000000");
    back("81c9ffff");  // no RTCP
    CHECK(feedback.packets.read() == 3);
    CHECK(feedback.lost.read() == 7);
    CHECK(lab.ledger().feedback == 3);
    CHECK(lab.ledger()[Drop::rtcp_invalid] == 1);
    CHECK(lab.sent(1).empty());

    CHECK_FALSE(first.read());
    for (const unsigned s : {7u, 8u})
        lab.arrive(packet().payload(rtp_packet({.sequence = s, .timestamp = s * 10})).build());
    lab.run();
    CHECK(lab.sent(1).size() == 2);
    REQUIRE(first.read());
    CHECK(first.read()->sequence == 7);
    CHECK(first.read()->timestamp == 70);
}
