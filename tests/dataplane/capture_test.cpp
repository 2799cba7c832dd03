// What a capture under bypass sees: packets as they came, copies as they left, drops with their reason; and that the
// forwarding beside it goes on as ever.
#include <catch2/catch.hpp>

#include <map>
#include <thread>

#include "dataplane/lab.hpp"
#include "support/dissect.hpp"
#include "support/media.hpp"

using namespace penstock;
using namespace penstock::test;
using flow::Drop;
using What = flow::CaptureFilter::What;

namespace {

constexpr uint32_t kRate = 1'000'000;

// Taps for every worker of a lab. What is asked for is that state; no state: all drops.
class Tapped {
public:
    Tapped(Lab& lab, What what, std::vector<std::shared_ptr<const void>> states, uint32_t rate = kRate,
           size_t ring = 256, unsigned workers = 1)
        : lab_(lab) {
        auto filter = std::make_shared<flow::CaptureFilter>();
        filter->what = what;
        filter->anyone = states.empty();
        for (uint32_t i = 0; i < states.size(); i++) filter->add(states[i], 10 + i);
        filter->sort();
        for (unsigned w = 0; w < workers; w++) taps_.push_back(std::make_shared<flow::CaptureTap>(filter, rate, ring));
        publish(taps_);
    }
    void end() { publish({}); }
    flow::CaptureTap& tap(unsigned worker = 0) { return *taps_[worker]; }
    std::vector<std::weak_ptr<flow::CaptureTap>> forget() {
        std::vector<std::weak_ptr<flow::CaptureTap>> watched(taps_.begin(), taps_.end());
        taps_.clear();
        return watched;
    }

    struct Seen {
        uint32_t subject, original;
        uint16_t port;
        uint8_t drop;
        bool leaving;
        uint64_t time;
        Bytes frame;
    };
    std::vector<Seen> seen(unsigned worker = 0) {
        std::vector<Seen> all;
        for (auto& ring = tap(worker).ring(); const auto* r = ring.front(); ring.pop())
            all.push_back({r->subject,
                           r->original,
                           r->port,
                           r->drop,
                           r->leaving,
                           r->time,
                           {r->frame().begin(), r->frame().end()}});
        return all;
    }

private:
    void publish(std::vector<std::shared_ptr<flow::CaptureTap>> taps) {
        auto next = std::make_unique<flow::Capture>();
        next->number = ++number_;
        next->taps = std::move(taps);
        lab_.captures().publish(std::move(next));
    }
    Lab& lab_;
    std::vector<std::shared_ptr<flow::CaptureTap>> taps_;
    static inline uint64_t number_ = 0;
};

Track track_of(std::vector<const char*> receivers, uint16_t tx = 1) {
    TrackPlan plan;
    plan.payload_type = 96;
    for (const char* receiver : receivers) plan.legs.push_back(leg_to(receiver, tx));
    return make_track(plan);
}

Bytes media(unsigned sequence, size_t size = 200) {
    return packet().payload(rtp_packet({.sequence = sequence, .size = size})).build();
}

constexpr auto kNoDrop = static_cast<uint8_t>(flow::kDrops);
uint8_t code(Drop drop) { return static_cast<uint8_t>(drop); }

}  // namespace

TEST_CASE("a path is captured as it was received, RTCP too, whoever else sends", "[capture]") {
    Lab lab;
    const Track track = track_of({"10.0.1.20:6000"});
    TrackPlan plan;
    plan.at.port = 20010;
    plan.legs = {leg_to("10.0.1.20:7000", 1)};
    const Track other = make_track(plan);
    lab.publish({track.rtp, track.rtcp, other.rtp, other.rtcp});
    Tapped tapped(lab, What::arrivals, {track.path});
    const uint64_t before = dataplane::clock_now();
    const Bytes in[] = {media(1), packet().udp(6001, 20001).payload(sender_report()).build(), media(2, 1300),
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
    rte_mbuf* m = lab.mbuf(media(1));
    m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
    m->vlan_tci = 0x6007;
    lab.arrive(m);
    lab.run();
    const auto seen = tapped.seen();
    REQUIRE(seen.size() == 1);
    CHECK(dissect(seen[0].frame).vlan == 0x6007);
    CHECK(dissect(seen[0].frame).payload == dissect(media(1)).payload);
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
    Tapped tapped(lab, What::copies, {track.legs[leg], track.rtcp_legs[leg]});
    for (unsigned i = 0; i < 40; i++) lab.arrive(media(i));  // more than a tx burst
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
        REQUIRE(seen[i].subject == (i < 40 ? 10u : 11u));
        REQUIRE(seen[i].port == 1);
        REQUIRE(seen[i].leaving);
        REQUIRE(seen[i].drop == kNoDrop);
    }
}

TEST_CASE("a copy that the driver refused is in the leg's capture, and says so", "[capture]") {
    Lab lab({.ports = {{}, {.wire = 8}}});
    const Track track = track_of({"10.0.1.20:6000", "10.0.1.20:6002"});
    lab.publish(track.flows());
    Tapped tapped(lab, What::copies, {track.legs[1]});
    for (unsigned i = 0; i < 6; i++) lab.arrive(media(i));  // 12 copies, of which the wire takes 7: 4 and 3
    lab.run();
    const auto seen = tapped.seen();
    REQUIRE(seen.size() == 6);
    for (size_t i = 0; i < 6; i++) CHECK(seen[i].drop == (i < 3 ? kNoDrop : code(Drop::tx_full)));
    CHECK(lab.sent(1).size() == 7);
}

TEST_CASE("each arriving packet that a stream drops is captured with its reason", "[capture]") {
    Lab lab;
    const Track track = track_of({"10.0.1.20:6000"});
    TrackPlan plan;
    plan.at.port = 20010;
    const Track nobody = make_track(plan);
    lab.publish({track.rtp, track.rtcp, nobody.rtp, nobody.rtcp});
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
        {Drop::udp_checksum, media(3)}};
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
        lab.arrive(media(1));  // passes
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
    for (unsigned i = 0; i < count; i++) lab.arrive(media(i, 600));
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
    const Track track = track_of({"10.0.1.20:6000"});
    lab.publish(track.flows());
    const auto send = [&](unsigned from, unsigned count) {
        for (unsigned i = from; i < from + count; i++) lab.arrive(media(i));
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

TEST_CASE("a capture is the owner's where packets change workers; a full inbox is the receiver's drop", "[capture]") {
    Lab lab({.workers = 2, .inbox = 2});
    TrackPlan plan;
    plan.owner = 1;
    plan.legs = {leg_to("10.0.1.20:6000", 1)};
    const Track track = make_track(plan);
    lab.publish(track.flows());
    const bool drops = GENERATE(false, true);
    Tapped tapped(lab, drops ? What::drops : What::arrivals, {track.path}, kRate, 256, 2);
    for (unsigned i = 0; i < 3; i++) lab.arrive(media(i), 0, 0);
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
        for (unsigned i = 0; i < 5; i++) lab.arrive(media(i), 0, 0);
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
        for (unsigned i = 0; i < 10; i++) lab.arrive(media(i), 0, 0);  // the ring takes seven
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
    const Track track = track_of({"10.0.1.20:6000"});
    lab.publish(track.flows());
    Tapped tapped(lab, GENERATE(What::arrivals, What::copies, What::drops), {track.path, track.legs[0]});
    const auto send = [&] {
        for (unsigned i = 0; i < 10; i++) lab.arrive(media(i));  // the wire takes seven
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
    const Track track = track_of({"10.0.1.20:6000"});
    lab.publish(track.flows());
    for (int round = 0; round < 20; round++) {
        Tapped tapped(lab, What::arrivals, {track.path});
        lab.arrive(media(1));
        lab.run();
        CHECK(tapped.seen().size() == 1);
        tapped.end();
        const auto watched = tapped.forget();
        lab.captures().reclaim();
        CHECK_FALSE(watched[0].expired());  // the worker has not passed through a quiescent state
        lab.turn();
        CHECK(lab.captures().reclaim() == 0);
        CHECK(watched[0].expired());
        if (round % 2 == 0) lab.arrive(media(2));
        lab.run();
        lab.sent(1);
    }
}

TEST_CASE("captures come and go under traffic, drained by another thread", "[capture][race]") {
    Lab lab;
    const Track track = track_of({"10.0.1.20:6000", "10.0.1.20:6002"});
    lab.publish(track.flows());
    std::atomic<bool> stop{false};
    std::atomic<unsigned> forwarded{0};
    std::thread worker([&] {
        for (unsigned next = 0; !stop.load();) {
            for (unsigned i = 0; i < 8; i++) lab.arrive(media(next++ & 0xffff));
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

TEST_CASE("packets of a train are captured one by one, as they would leave alone", "[capture]") {
    Lab lab({.ports = {{}, {.trains_from = 1, .socket_buffer = 200'000}}});
    const Track track = track_of({"10.0.1.20:6000", "10.0.1.20:6002"});
    lab.publish(track.flows());
    Tapped tapped(lab, What::copies, {track.legs[1]});
    for (unsigned i = 0; i < 5; i++) lab.arrive(media(i, 1300));
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
    const Track track = track_of(receivers);
    lab.publish(track.flows());
    const What what = GENERATE(What::copies, What::drops);
    Tapped tapped(lab, what, {track.legs.back()});
    for (unsigned i = 0; i < 5; i++) lab.arrive(media(i, 1300));
    lab.run();
    const auto seen = tapped.seen();
    REQUIRE(seen.size() == 5);
    for (const auto& record : seen) CHECK(record.drop == code(Drop::tx_full));
}
