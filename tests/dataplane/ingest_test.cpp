// What came by TCP goes the way of what came by UDP: the same flows, counters and copies; what cannot is counted.
#include "dataplane/ingest.hpp"

#include <catch2/catch.hpp>

#include "dataplane/lab.hpp"
#include "support/dissect.hpp"
#include "support/media.hpp"

using namespace penstock;
using namespace penstock::test;
using dataplane::IngestWay;
using flow::Drop;

namespace {

Track track_at(const Ip& address, uint16_t owner = 0, const Ip& sender = {}) {
    TrackPlan plan;
    plan.at.destination = address;
    plan.owner = owner;
    plan.has_sender = !sender.is_unspecified();
    plan.sender = sender;
    plan.legs = {leg_to("10.0.1.20:6000", 1), leg_to("[fd01::20]:6000", 1)};
    return make_track(plan);
}

}  // namespace

TEST_CASE("packets from TCP go to the legs of their source, from IPv4 and IPv6", "[ingest]") {
    for (const bool v4 : {true, false}) {
        Lab lab;
        const auto at = [&](const char* host, uint16_t port) {
            return endpoint((v4 ? "10.0.0." + std::string(host) : "[fd00::" + std::string(host) + "]") + ":" +
                            std::to_string(port));
        };
        const Track track = track_at(at("1", 1).ip, 0, at("9", 1).ip);
        lab.publish(track.flows());
        const IngestWay rtp(at("9", 40000), at("1", 20000), 0), rtcp(at("9", 40000), at("1", 20001), 0);
        const IngestWay stranger(at("8", 40000), at("1", 20000), 0);
        for (unsigned i = 0; i < 40; i++) CHECK(lab.ingest().offer(rtp, rtp_packet({.sequence = i, .size = 100 + i})));
        CHECK(lab.ingest().offer(rtcp, sender_report()));
        CHECK(lab.ingest().offer(stranger, rtp_packet()));
        CHECK(lab.ingest().offer(rtp, {}));
        lab.run();
        CHECK(lab.ledger().rx == 43);
        CHECK(lab.ledger().forwarded == 41);
        CHECK(lab.ledger()[Drop::no_flow] == 1);
        CHECK(lab.ledger()[Drop::not_rtp] == 1);
        CHECK(track.path->reception.counters().packets.read() == 40);
        CHECK(track.path->rtcp_packets.read() == 1);
        const auto out = lab.sent(1);
        REQUIRE(out.size() == 82);
        for (size_t i = 0; i < out.size(); i++) {
            const Dissected d = dissect(out[i].frame);
            const auto n = static_cast<unsigned>(i / 2);
            CHECK(d.payload == (n == 40 ? sender_report() : rtp_packet({.sequence = n, .size = 100 + n})));
            CHECK(d.udp_sum == Sum::right);  // derived from the one that the synthetic header has
            CHECK(d.ttl == 64);
        }
        CHECK(lab.ingest().counters().packets == 43);
    }
}

TEST_CASE("packets from TCP reach the owner, and another worker hands them over", "[ingest]") {
    Lab lab({.workers = 2});
    const Track track = track_at(endpoint("10.0.0.1:1").ip, 1);
    lab.publish(track.flows());
    for (const uint16_t worker : {uint16_t{1}, uint16_t{0}}) {
        const IngestWay way(endpoint("10.0.0.9:40000"), endpoint("10.0.0.1:20000"), worker);
        CHECK(lab.ingest().offer(way, rtp_packet({.sequence = worker})));
        lab.run();
        CHECK(lab.ledger(0).handed_over == (worker == 0));
        CHECK(lab.sent(1, 1).size() == 2);
    }
    lab.port_up(0, false);  // a set of ports is followed though none of them is TCP's
    CHECK(lab.ingest().offer({endpoint("10.0.0.9:40000"), endpoint("10.0.0.1:20000"), 1}, rtp_packet({.sequence = 2})));
    lab.run();
    CHECK(lab.sent(1, 1).size() == 2);
}

TEST_CASE("what cannot be taken from TCP is dropped and counted, and waits for nobody", "[ingest]") {
    Lab lab({.ingest = 8, .mbufs = 512});
    const Track track = track_at(endpoint("10.0.0.1:1").ip);
    lab.publish(track.flows());
    const IngestWay way(endpoint("10.0.0.9:40000"), endpoint("10.0.0.1:20000"), 0);
    const auto& counters = lab.ingest().counters();
    CHECK_FALSE(lab.ingest().offer(way, rtp_packet({.size = 1983})));
    CHECK(counters.too_long == 1);
    CHECK(lab.ingest().offer(way, rtp_packet({.size = 1982})));
    for (int i = 0; i < 10; i++) lab.ingest().offer(way, rtp_packet());
    CHECK(counters.packets == 7);  // a ring of 8 holds 7
    CHECK(counters.ring_full == 4);
    lab.run();
    CHECK(lab.ledger().rx == 7);
    CHECK(lab.ledger()[Drop::mtu] == 2);  // the long one, on its legs
    lab.sent(1);
    std::vector<rte_mbuf*> all;
    while (rte_mbuf* m = rte_pktmbuf_alloc(lab.pools().packet)) all.push_back(m);
    CHECK_FALSE(lab.ingest().offer(way, rtp_packet()));
    CHECK(counters.no_buffer == 1);
    for (rte_mbuf* m : all) rte_pktmbuf_free(m);
    CHECK(lab.ingest().offer(way, rtp_packet()));
    CHECK(counters.packets == 8);
}
