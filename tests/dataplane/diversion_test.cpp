// What workers hand on for viewers over TCP: every packet once a track, by reference, whatever becomes of it beside;
// and for the first of them what was kept since the newest key frame. The lab sees to it that all buffers come back and
// that ledgers balance.
#include "dataplane/diversion.hpp"

#include <catch2/catch.hpp>

#include "dataplane/modelled.hpp"

using namespace penstock;
using namespace penstock::test;
using flow::Drop;

namespace {

// A track that somebody watches over TCP, as `feed`, beside so many outputs.
Track watched(unsigned outputs, bool shareable, uint64_t feed = 7) {
    TrackPlan plan;
    for (unsigned i = 0; i < outputs; i++) plan.legs.push_back(leg_to("10.0.1.20:" + std::to_string(6000 + 2 * i), 1));
    plan.shareable = shareable ? outputs : 0;
    Track track = make_track(plan);
    auto rtp = altered(track.rtp);
    rtp->diverted = true;
    extras_of(*rtp).feed = feed;
    track.rtp = rtp;
    return track;
}

Bytes numbered_packet(uint32_t n, size_t size = 300) { return rtp_packet({.sequence = n, .size = size}); }

}  // namespace

TEST_CASE("viewers over TCP get what arrives, once, beside any number of outputs", "[diversion]") {
    const unsigned outputs = GENERATE(0u, 1u, 3u, 40u);
    const bool shareable = GENERATE(false, true);
    Lab lab;
    const Track track = watched(outputs, shareable);
    lab.publish(track.flows());
    for (uint32_t n = 0; n < 8; n++) lab.arrive(packet().payload(numbered_packet(n)).build());
    lab.arrive(packet().udp(6000, 20001).payload(sender_report()).build());
    lab.arrive(packet().payload(sender_report()).build());  // among the media, RFC 5761
    lab.run();
    CHECK(lab.ledger().forwarded == 10);
    CHECK(lab.ledger().sent == 10 * (outputs + 1));
    const auto sent = lab.sent(1);  // the driver is done with them: what is diverted lives on
    CHECK(sent.size() == 10 * outputs);
    const auto diverted = lab.diverted();
    REQUIRE(diverted.size() == 10);
    for (uint32_t n = 0; n < 10; n++) {
        CHECK(diverted[n].feed == 7);
        CHECK(diverted[n].rtcp == (n >= 8));
        CHECK(diverted[n].packet == (n < 8 ? numbered_packet(n) : sender_report()));
    }
    for (size_t i = 0; i < sent.size(); i++) {
        const Dissected copy = dissect(sent[i].frame);
        CHECK(copy.udp_sum == Sum::right);
        CHECK(copy.payload == diverted[i / std::max(outputs, 1u)].packet);
    }
    CHECK(lab.buffers_out() == 0);
}

TEST_CASE("a full ring costs viewers over TCP packets, counted, and nobody else", "[diversion]") {
    Lab lab({.diversion = 8});
    const Track track = watched(2, true);
    lab.publish(track.flows());
    for (uint32_t n = 0; n < 30; n++) lab.arrive(packet().payload(numbered_packet(n)).build());
    lab.run();
    CHECK(lab.ledger()[Drop::tcp_full] == 23);  // a ring of 8 holds 7
    CHECK(lab.sent(1).size() == 60);
    auto diverted = lab.diverted();
    REQUIRE(diverted.size() == 7);
    for (uint32_t n = 0; n < 7; n++) CHECK(diverted[n].packet == numbered_packet(n));
    lab.arrive(packet().payload(numbered_packet(99)).build());
    lab.run();
    diverted = lab.diverted();
    REQUIRE(diverted.size() == 1);
    CHECK(diverted[0].packet == numbered_packet(99));
    CHECK(lab.ledger()[Drop::tcp_full] == 23);
}

TEST_CASE("without a buffer for the note a packet is lost to viewers over TCP alone", "[diversion]") {
    Lab lab;
    const Track track = watched(1, true);
    lab.publish(track.flows());
    std::vector<rte_mbuf*> all;
    while (rte_mbuf* m = rte_pktmbuf_alloc(lab.pools().header)) all.push_back(m);
    lab.arrive(packet().payload(numbered_packet(1)).build());
    lab.run();
    for (rte_mbuf* m : all) rte_pktmbuf_free(m);
    CHECK(lab.sent(1).size() == 1);
    CHECK(lab.diverted().empty());
    CHECK(lab.ledger()[Drop::tcp_full] == 1);
}

namespace {

// A model with a track of H.264, whose viewers come over TCP.
struct OverTcp : Modelled {
    uint32_t sequence = 65500, timestamp = 0;
    std::vector<Bytes> arrived, got;

    explicit OverTcp(unsigned diversion = 256) : Modelled({.diversion = diversion}) {
        mesh.keep_history(size_t{1} << 20);
        put(video_track());
    }
    uint64_t add() {
        return *mesh.add_viewer(
            {.stream = "camera", .track = "video", .agreed = {}, .to = endpoint("10.0.1.30:50000"), .channel = 0});
    }
    void play(uint64_t viewer, bool on = true) {
        mesh.play(viewer, on);
        publish();
    }
    void arrive(const char* begin) {
        Bytes p = rtp_packet({.sequence = sequence++, .timestamp = timestamp, .size = 12});
        append(p, hex(begin));
        append(p, numbered(200, sequence));
        arrived.push_back(p);
        lab.arrive(packet().payload(p).build());
    }
    void picture(bool key) {
        timestamp += 3000;
        if (key) arrive("67 42c01e");
        for (int i = 0; i < 3; i++) arrive(key ? "65 88" : "41 9a");
        turn();
    }
    void turn() {
        lab.turn();
        for (Lab::Diverted& d : lab.diverted())
            if (d.feed == track().feed) got.push_back(std::move(d.packet));
    }
    bool live(uint64_t viewer) { return mesh.viewer(viewer)->join->live(); }
    void until_live(uint64_t viewer) {
        for (const auto end = Steady::now() + std::chrono::seconds(20); !live(viewer); turn())
            REQUIRE(Steady::now() < end);
    }
    std::vector<Bytes> since(size_t first) const { return {arrived.begin() + static_cast<long>(first), arrived.end()}; }
};

}  // namespace

TEST_CASE("the first viewer over TCP begins with the key frame and goes on with what is live", "[diversion][late]") {
    OverTcp stage;
    stage.picture(true);
    const size_t begin = stage.arrived.size();
    stage.picture(true);
    for (unsigned i = 0; i < 20; i++) stage.picture(false);
    const uint64_t one = stage.add(), two = stage.add();
    stage.play(one);
    stage.turn();
    CHECK(stage.got.size() == 8);
    stage.play(two);  // comes when the first is on its way
    stage.play(one, false);
    stage.picture(false);
    stage.until_live(two);
    CHECK(stage.got == stage.since(begin));
    stage.picture(false);  // by the join still
    CHECK(stage.mesh.settle_viewers());
    stage.publish();
    CHECK_FALSE(stage.mesh.settle_viewers());
    CHECK(stage.track().flows->front().diverted);
    stage.picture(true);
    CHECK(stage.got == stage.since(begin));
}

TEST_CASE("what was diverted before the first viewer came is not mistaken for what he is to get", "[diversion][late]") {
    OverTcp stage;
    stage.picture(true);
    const uint64_t one = stage.add();
    stage.play(one);
    stage.picture(false);
    stage.until_live(one);
    const uint64_t feed = stage.track().feed;
    stage.arrive("41 9a");
    stage.lab.turn();  // it waits on the ring
    stage.mesh.play(one, false);
    stage.mesh.play(one, true);  // before workers know that nobody watched
    CHECK(stage.track().feed != feed);
    stage.publish();
    stage.got.clear();
    stage.picture(false);
    stage.until_live(one);
    CHECK(stage.got == stage.arrived);
}

TEST_CASE("what is kept for viewers over TCP and finds no place is counted", "[diversion][late]") {
    OverTcp stage(4);
    stage.picture(true);
    const uint64_t one = stage.add();
    stage.play(one);
    stage.lab.turn();
    CHECK(stage.lab.ledger()[Drop::tcp_full] == 1);  // of four, to a ring of three
    CHECK(stage.lab.diverted().size() == 3);
    std::vector<rte_mbuf*> all;
    while (rte_mbuf* m = rte_pktmbuf_alloc(stage.lab.pools().packet)) all.push_back(m);
    for (int i = 0; i < 3; i++, all.pop_back()) rte_pktmbuf_free(all.back());
    stage.picture(
        false);  // for a copy of the first of the three there is no buffer, the others get that of the one before
    for (rte_mbuf* m : all) rte_pktmbuf_free(m);
    CHECK(stage.lab.ledger()[Drop::tcp_full] == 2);
    CHECK(stage.got == stage.since(5));
}
