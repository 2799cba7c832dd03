// Packets that came together leave as one, and what the kernel cuts from it is what would have left packet by packet.
#include <catch2/catch.hpp>

#include <map>
#include <set>

#include "dataplane/lab.hpp"
#include "support/dissect.hpp"
#include "support/media.hpp"
#include "support/random.hpp"

using namespace penstock;
using namespace penstock::test;
using dataplane::VirtioHeader;
using flow::Drop;

namespace {

constexpr uint16_t kIn = 0, kOut = 1;
constexpr int kLarge = 200'000;  // bytes: what anyone may ask for

LabPlan lab_plan(uint32_t trains_from = 1) {
    return {.ports = {{}, {.trains_from = trains_from, .socket_buffer = kLarge}}};
}

TrackPlan plan_of(unsigned legs, bool v6 = false) {
    TrackPlan plan;
    for (unsigned i = 0; i < legs; i++)
        plan.legs.push_back(leg_to((v6 ? "[fd01::20]:" : "10.0.1.20:") + std::to_string(6000 + 2 * i), kOut));
    return plan;
}

Bytes payload(unsigned sequence, size_t size = 1300) { return rtp_packet({.sequence = sequence, .size = size}); }
PacketBuilder media(unsigned sequence, size_t size = 1300) {
    return packet().ttl(63).tos(0xb8).payload(payload(sequence, size));
}

// As the kernel does: each segment gets the header, with its own lengths and checksum. That of the whole is completed
// likewise, and must be right.
std::vector<Dissected> cut(const SentBySocket& sent) {
    if (sent.how.segments == VirtioHeader::kWhole) {
        CHECK(sent.how.flags == 0);
        return {dissect(sent.frame)};
    }
    const size_t udp = sent.how.checksum_from;
    CHECK(sent.how.segments == VirtioHeader::kUdp);
    CHECK(sent.how.flags == VirtioHeader::kNeedsChecksum);
    CHECK(sent.how.checksum_at == 6);
    CHECK(sent.how.header_size == udp + 8);
    REQUIRE(sent.how.segment_size != 0);
    Bytes whole = sent.frame;
    unsigned sum = ~naive_sum(std::span{whole}.subspan(udp)) & 0xffff;
    if (sum == 0) sum = 0xffff;  // zero says that there is none
    whole[udp + 6] = static_cast<std::byte>(sum >> 8);
    whole[udp + 7] = static_cast<std::byte>(sum & 0xff);
    const Dissected all = dissect(whole);
    CHECK(all.lengths);
    CHECK(all.ip_sum == Sum::right);
    CHECK(all.udp_sum == Sum::right);
    std::vector<Dissected> segments;
    for (size_t at = 0; at < all.payload.size(); at += sent.how.segment_size) {
        Dissected& segment = segments.emplace_back(all);
        const size_t end = std::min<size_t>(at + sent.how.segment_size, all.payload.size());
        segment.payload.assign(all.payload.begin() + static_cast<ptrdiff_t>(at),
                               all.payload.begin() + static_cast<ptrdiff_t>(end));
    }
    CHECK(segments.size() > 1);
    return segments;
}

// How many packets each message had.
std::vector<size_t> sizes(const std::vector<SentBySocket>& sent) {
    std::vector<size_t> all;
    for (const SentBySocket& one : sent) all.push_back(cut(one).size());
    return all;
}

}  // namespace

TEST_CASE("a picture's packets leave as one to each receiver", "[trains]") {
    Lab lab(lab_plan());
    const bool v6 = GENERATE(false, true), summed = GENERATE(false, true);
    const auto plan = plan_of(16, v6);
    const Track track = make_track(plan);
    lab.publish(track.flows());
    for (unsigned i = 0; i < 17; i++) {
        auto frame = media(i, i == 16 ? 700 : 1300);
        if (!summed) frame.no_checksum();
        lab.arrive(frame.build());
    }
    REQUIRE(lab.turn());
    std::set<unsigned> receivers;
    for (const SentBySocket& sent : lab.sent_by_socket(kOut)) {
        const auto segments = cut(sent);
        REQUIRE(segments.size() == 17);
        receivers.insert(segments[0].to_port);
        for (unsigned i = 0; i < 17; i++) {
            REQUIRE(segments[i].payload == payload(i, i == 16 ? 700 : 1300));
            REQUIRE(segments[i].ttl == 63);
            REQUIRE(segments[i].tos == 0xb8);
            REQUIRE(segments[i].to == plan.legs[0].to.ip);
            REQUIRE(segments[i].from == plan.legs[0].hop.source);
            REQUIRE(segments[i].from_port == 20000);
        }
    }
    CHECK(receivers.size() == 16);
    CHECK(lab.sent(kOut).empty());
    for (const auto& leg : track.legs) {
        CHECK(leg->packets.read() == 17);
        CHECK(leg->bytes.read() == 16 * 1300 + 700 + 17 * (v6 ? 48 : 28));
    }
    CHECK(lab.ledger().forwarded == 17);
    CHECK(lab.ledger().tx_wanted == 17 * 16);
    CHECK(lab.ledger().sent == 17 * 16);
    CHECK(lab.socket_counters(kOut).packets.read() == 17 * 16);
    CHECK(lab.socket_counters(kOut).trains.read() == 16);
    CHECK(lab.socket_counters(kOut).bytes.read() == 16 * (16 * 1300 + 700 + 17 * (v6 ? 62 : 42)));
    CHECK(lab.buffers_out() == 0);
}

TEST_CASE("a packet that comes alone leaves as ever", "[trains]") {
    Lab lab(lab_plan());
    const Track track = make_track(plan_of(2));
    lab.publish(track.flows());
    for (unsigned i = 0; i < 3; i++) {
        lab.arrive(media(i).build());
        REQUIRE(lab.turn());  // it does not wait for another
        const auto sent = lab.sent(kOut);
        REQUIRE(sent.size() == 2);
        for (const Sent& copy : sent) {
            CHECK(dissect(copy.frame).udp_sum == Sum::right);
            CHECK(dissect(copy.frame).payload == payload(i));
        }
    }
    CHECK(lab.sent_by_socket(kOut).empty());
    CHECK(lab.buffers_out() == 0);
}

TEST_CASE("packets that differ in what a header says do not leave as one", "[trains]") {
    Lab lab(lab_plan());
    const Track track = make_track(plan_of(1));
    lab.publish(track.flows());
    const auto sent_of = [&](const std::vector<PacketBuilder>& frames) {
        for (const PacketBuilder& frame : frames) lab.arrive(frame.build());
        REQUIRE(lab.turn());
        return sizes(lab.sent_by_socket(kOut));
    };
    using Trains = std::vector<size_t>;
    CHECK(sent_of({media(1), media(2), media(3)}) == Trains{3});
    CHECK(sent_of({media(1, 1000), media(2, 1001)}) == Trains{1, 1});          // the second is larger
    CHECK(sent_of({media(1), media(2, 700), media(3, 700)}) == Trains{2, 1});  // a smaller one is the last
    CHECK(sent_of({media(1), media(2, 700), media(3, 100)}) == Trains{2, 1});
    CHECK(sent_of({media(1), media(2).ttl(62), media(3).ttl(62)}) == Trains{1, 2});
    CHECK(sent_of({media(1), media(2).tos(0), media(3)}) == Trains{1, 1, 1});  // nor is the second overtaken
    std::vector<PacketBuilder> many;
    for (unsigned i = 0; i < 60; i++) many.push_back(media(i, 1400));  // more than an IP packet holds
    for (const PacketBuilder& frame : many) lab.arrive(frame.build());
    lab.run();
    CHECK(sizes(lab.sent_by_socket(kOut)) == Trains{32, 28});  // a turn takes 32
}

TEST_CASE("what a leg sets itself may differ in the packets", "[trains]") {
    Lab lab(lab_plan());
    auto plan = plan_of(1);
    plan.legs[0].ttl = 9;
    plan.legs[0].dscp = 10;
    const Track track = make_track(plan);
    lab.publish(track.flows());
    lab.arrive(media(1).build());
    lab.arrive(media(2).build());
    lab.run();
    const auto sent = lab.sent_by_socket(kOut);
    REQUIRE(sizes(sent) == std::vector<size_t>{2});
    CHECK(cut(sent[0])[1].ttl == 9);
    CHECK(cut(sent[0])[1].tos == 10 << 2);
}

TEST_CASE("tracks that few receive take the port's queues", "[trains]") {
    Lab lab(lab_plan(16));
    const unsigned legs = GENERATE(1u, 15u, 16u);
    const Track track = make_track(plan_of(legs));
    lab.publish(track.flows());
    lab.arrive(media(1).build());
    lab.arrive(media(2).build());
    lab.run();
    CHECK(lab.sent(kOut).size() == (legs < 16 ? 2 * legs : 0));
    CHECK(lab.sent_by_socket(kOut).size() == (legs < 16 ? 0 : legs));
}

TEST_CASE("legs that cannot have trains get the same packets by their port's queues", "[trains]") {
    Lab lab({.ports = {{}, {.trains_from = 1, .socket_buffer = kLarge}, {}}});
    auto plan = plan_of(3);
    plan.legs[1].vlan = 7;
    plan.legs[2].hop.mtu = 1000;
    plan.legs.insert(plan.legs.begin(), {leg_to("10.0.1.20:7000", 2), leg_to("10.0.1.20:7002", 2)});
    plan.shareable = GENERATE(0u, 1u, 5u);
    const Track track = make_track(plan);
    lab.publish(track.flows());
    for (const size_t size : {1300, 1300, 500}) lab.arrive(media(1, size).build());
    lab.run();
    const auto trains = lab.sent_by_socket(kOut);
    REQUIRE(sizes(trains) == std::vector<size_t>{3});
    CHECK(cut(trains[0])[0].to_port == 6000);
    std::map<unsigned, std::vector<size_t>> by_queue;
    for (const uint16_t port : {uint16_t{1}, uint16_t{2}})
        for (const Sent& sent : lab.sent(port)) {
            const Dissected copy = dissect(sent.frame);
            CHECK(copy.udp_sum == Sum::right);
            by_queue[copy.to_port].push_back(copy.payload.size());
        }
    const std::vector<size_t> all{1300, 1300, 500};
    CHECK(by_queue == std::map<unsigned, std::vector<size_t>>{{6002, all}, {6004, {500}}, {7000, all}, {7002, all}});
    CHECK(track.legs[4]->drop(Drop::mtu).read() == 2);
}

TEST_CASE("whatever comes, each leg gets it once, in order and whole", "[trains]") {
    Random random(20);
    Lab lab({.ports = {{}, {.trains_from = 2, .socket_buffer = kLarge}, {}}});
    std::vector<Track> tracks;
    std::vector<flow::FlowPtr> flows;
    for (uint16_t t = 0; t < 5; t++) {
        TrackPlan plan;
        plan.at.port = static_cast<uint16_t>(20000 + 10 * t);
        for (unsigned i = 0; i < 1u + t; i++)
            plan.legs.push_back(leg_to("10.0.1.20:" + std::to_string(6000 + 100 * t + 2 * i), kOut));
        tracks.push_back(make_track(plan));
        for (const auto& f : tracks.back().flows()) flows.push_back(f);
    }
    lab.publish(flows);
    std::map<unsigned, std::vector<Bytes>> got;  // by port of the receiver
    unsigned sequence = 0;
    for (unsigned turn = 0; turn < 300; turn++) {
        const unsigned burst = static_cast<unsigned>(random.below(40));
        for (unsigned i = 0; i < burst; i++) {
            const auto t = static_cast<unsigned>(random.below(5));
            const bool rtcp = random.chance(0.05);
            const size_t size = random.chance(0.7) ? 1000 : 100 + random.below(1200);
            const Bytes bytes = rtcp ? sender_report() : payload(sequence++, size);
            lab.arrive(packet()
                           .udp(6000, 20000 + 10 * t + (rtcp ? 1 : 0))
                           .ttl(random.chance(0.9) ? 64 : 63)
                           .payload(bytes)
                           .build(),
                       random.chance(0.5) ? kIn : uint16_t{2});
        }
        lab.run();
        for (const Sent& sent : lab.sent(kOut)) {
            const Dissected copy = dissect(sent.frame);
            got[copy.to_port].push_back(copy.payload);
        }
        for (const SentBySocket& sent : lab.sent_by_socket(kOut))
            for (const Dissected& copy : cut(sent)) got[copy.to_port].push_back(copy.payload);
    }
    uint64_t all = 0;
    for (const auto& [port, packets] : got) all += packets.size();
    CHECK(all == lab.ledger().tx_wanted);
    CHECK(all == lab.ledger().sent);
    for (unsigned t = 0; t < 5; t++)
        for (unsigned i = 0; i < 1 + t; i++) {
            const auto& packets = got[6000 + 100 * t + 2 * i];
            CHECK(packets.size() == tracks[t].legs[i]->packets.read());
            CHECK(packets == got[6000 + 100 * t]);  // all receivers of a track got the same
            CHECK(packets.size() == tracks[t].path->reception.counters().packets.read());
        }
    CHECK(lab.socket_counters(kOut).trains.read() > 300);
}

TEST_CASE("a kernel that takes no trains gets packets, and the queues the next ones", "[trains]") {
    Lab lab({.ports = {{}, {.trains_from = 1, .socket_buffer = 5'000}}});  // no message is longer
    const Track track = make_track(plan_of(1));
    lab.publish(track.flows());
    for (unsigned i = 0; i < 10; i++) lab.arrive(media(i).build());
    REQUIRE(lab.turn());
    const auto sent = lab.sent_by_socket(kOut);
    REQUIRE_FALSE(sent.empty());
    for (size_t i = 0; i < sent.size(); i++) CHECK(dissect(sent[i].frame).payload == payload(static_cast<unsigned>(i)));
    CHECK(lab.ledger().sent == sent.size());
    CHECK(lab.ledger()[Drop::tx_full] == 10 - sent.size());  // the test's socket has no room for all of them
    CHECK(lab.socket_counters(kOut).refused.read() == 1);
    CHECK(lab.socket_counters(kOut).trains.read() == 0);
    for (unsigned i = 0; i < 3; i++) lab.arrive(media(i).build());
    lab.run();
    CHECK(lab.sent(kOut).size() == 3);
    CHECK(lab.sent_by_socket(kOut).empty());
    CHECK(lab.socket_counters(kOut).refused.read() == 1);
}

TEST_CASE("what the kernel has no room for is counted, packet by packet", "[trains]") {
    Lab lab(lab_plan());
    const Track track = make_track(plan_of(30));
    lab.publish(track.flows());
    for (unsigned i = 0; i < 30; i++) lab.arrive(media(i).build());
    lab.run();
    const size_t sent = lab.sent_by_socket(kOut).size();
    CHECK(sent > 0);
    CHECK(sent < 30);
    CHECK(lab.ledger().sent == 30 * sent);
    CHECK(lab.ledger()[Drop::tx_full] == 30 * (30 - sent));
    uint64_t by_leg = 0;
    for (const auto& leg : track.legs) by_leg += leg->drop(Drop::tx_full).read();
    CHECK(by_leg == 30 * (30 - sent));
}

TEST_CASE("a port that is down has no socket either", "[trains]") {
    Lab lab(lab_plan());
    const Track track = make_track(plan_of(4));
    lab.publish(track.flows());
    lab.port_up(kOut, false);
    lab.arrive(media(1).build());
    lab.arrive(media(2).build());
    lab.run();
    CHECK(lab.sent_by_socket(kOut).empty());
    CHECK(lab.ledger()[Drop::port_down] == 8);
    lab.port_up(kOut, true);
    lab.arrive(media(3).build());
    lab.arrive(media(4).build());
    lab.run();
    CHECK(sizes(lab.sent_by_socket(kOut)) == std::vector<size_t>{2, 2, 2, 2});
}

TEST_CASE("workers that share a track's legs each send their own as trains", "[trains]") {
    Lab lab({.ports = {{}, {.trains_from = 2, .socket_buffer = kLarge}}, .workers = 2});
    auto plan = plan_of(6);
    plan.shards = {{0, 0, 2, 0}, {1, 2, 4, 4}};
    const Track track = make_track(plan);
    lab.publish(track.flows());
    for (unsigned i = 0; i < 5; i++) lab.arrive(media(i).build());
    lab.run();
    CHECK(sizes(lab.sent_by_socket(kOut, 0)) == std::vector<size_t>{5, 5});
    CHECK(sizes(lab.sent_by_socket(kOut, 1)) == std::vector<size_t>{5, 5, 5, 5});
    CHECK(lab.ledger(0).sent == 10);
    CHECK(lab.ledger(1).sent == 20);
    CHECK(lab.buffers_out() == 0);
}

TEST_CASE("more than a worker holds leaves in several goes", "[trains]") {
    Lab lab({.ports = {{}, {.trains_from = 1, .socket_buffer = kLarge}, {}, {}}});
    const Track track = make_track(plan_of(1));
    lab.publish(track.flows());
    for (const uint16_t port : {uint16_t{0}, uint16_t{2}, uint16_t{3}})
        for (unsigned i = 0; i < 32; i++) lab.arrive(media(i, 100).build(), port);
    REQUIRE(lab.turn());
    CHECK(sizes(lab.sent_by_socket(kOut)) == std::vector<size_t>{64, 32});
    CHECK(lab.ledger().sent == 96);
}
