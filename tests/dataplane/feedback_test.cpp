// RTCP with receivers and sources, by the real model: what is asked for again is sent again, and what is missing is
// asked for.
#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/wire.hpp"
#include "dataplane/modelled.hpp"
#include "rtp/fec/flexfec.hpp"
#include "rtp/rtcp/feedback.hpp"
#include "rtp/rtcp/report.hpp"

using namespace penstock;
using namespace penstock::test;
using namespace std::chrono_literals;

namespace {

struct Watched : Modelled {
    explicit Watched(const config::Track& track, LabPlan plan = {}) : Modelled(std::move(plan)) { put(track); }
    const flow::Feedback& feedback(size_t output = 0) { return *track().outputs[output].extras().feedback; }
    void media(unsigned sequence, unsigned payload_type = 96) {
        lab.arrive(
            packet().udp(7000, 20000).payload(rtp_packet({.sequence = sequence, .payload_type = payload_type})).build(),
            kIn);
        lab.turn();
    }
    void from_receiver(const Bytes& rtcp, const char* ip = "10.0.1.20", uint16_t port = 6001) {
        lab.arrive(packet().ipv4(ip, "10.0.1.1").udp(port, 20001).payload(rtcp).build(), kOut);
        lab.turn();
    }
};

config::Track track_of() {
    config::Track track = video_track();
    track.payload_type = 96;
    track.outputs.emplace_back().rtp = endpoint("10.0.1.20:6000");
    track.feedback = config::Feedback{};
    return track;
}

// A NACK of these numbers for the media of rtp_packet().
Bytes nack(std::initializer_list<unsigned> numbers, const char* ssrc = "11223344") {
    Bytes p = hex(std::string("81cd") + (numbers.size() < 14 ? "000" : "00") + "0 00000001 " + ssrc);
    p[3] = static_cast<std::byte>(2 + numbers.size());
    for (const unsigned n : numbers) {
        append16(p, n);
        append16(p, 0);
    }
    return p;
}

}  // namespace

TEST_CASE("a receiver that asks for packets is sent them again, and nobody else", "[feedback]") {
    config::Track track = track_of();
    track.outputs.emplace_back().rtp = endpoint("10.0.1.21:6000");
    Watched stage(track);
    for (unsigned s = 100; s < 110; s++) stage.media(s);
    CHECK(stage.out(kOut).size() == 20);
    stage.from_receiver(nack({103, 107, 99}));
    const auto again = stage.out(kOut);
    REQUIRE(again.size() == 2);
    CHECK(again[0].payload == rtp_packet({.sequence = 103}));
    CHECK(again[1].payload == rtp_packet({.sequence = 107}));
    for (const Dissected& d : again) {
        CHECK(d.to == test::ip("10.0.1.20"));
        CHECK(d.to_port == 6000);
        CHECK(d.from_port == 20000);
    }
    CHECK(stage.feedback().asked.read() == 3);
    CHECK(stage.feedback().resent.packets.read() == 2);
    CHECK(stage.feedback().not_kept.read() == 1);
    CHECK(stage.feedback(1).asked.read() == 0);
    stage.from_receiver(nack({103}, "55667788"));   // of another source
    stage.from_receiver(nack({103}), "10.0.1.99");  // of somebody else
    CHECK(stage.out(kOut).empty());
    CHECK(stage.lab.ledger()[flow::Drop::no_flow] == 1);
    stage.from_receiver(nack({104}), "10.0.1.21", 40000);  // it has an address of its own: any port will do
    CHECK(stage.out(kOut).at(0).to == test::ip("10.0.1.21"));
}

TEST_CASE("of several receivers at one address the port says which it is", "[feedback]") {
    config::Track track = track_of();
    track.outputs.emplace_back().rtp = endpoint("10.0.1.20:6010");
    Watched stage(track);
    for (unsigned s = 0; s < 5; s++) stage.media(s);
    stage.out(kOut);
    stage.from_receiver(nack({3}), "10.0.1.20", 6011);
    CHECK(stage.out(kOut).at(0).to_port == 6010);
    stage.from_receiver(nack({3}), "10.0.1.20", 40000);
    CHECK(stage.out(kOut).empty());
    CHECK(stage.lab.ledger()[flow::Drop::no_flow] == 1);
}

TEST_CASE("what was overwritten is not sent again", "[feedback]") {
    config::Track track = track_of();
    track.feedback->retransmit = 16;
    Watched stage(track);
    for (unsigned s = 65530; s < 65530 + 20; s++) stage.media(s & 0xffff);
    stage.out(kOut);
    stage.from_receiver(nack({65530, 65533, 65534, 13}));
    const auto again = stage.out(kOut);
    REQUIRE(again.size() == 2);
    CHECK(at16(again[0].payload, 2) == 65534);
    CHECK(at16(again[1].payload, 2) == 13);
    CHECK(stage.feedback().not_kept.read() == 2);
}

TEST_CASE("what is kept does not starve who receives: when buffers are short it is copied out of them", "[feedback]") {
    config::Track track = track_of();
    track.feedback->retransmit = 2048;
    Watched stage(track, {.mbufs = 1024});
    const size_t before = stage.lab.buffers_out();
    for (unsigned s = 0; s < 3000; s++) {
        stage.media(s);
        REQUIRE(stage.out(kOut).size() == 1);
    }
    CHECK(stage.lab.ledger()[flow::Drop::no_buffer] == 0);
    CHECK(stage.lab.buffers_out() - before < 1024 - 1024 / 16);
    for (const unsigned s : {3000u - 2048, 2000u, 2999u}) {  // the oldest is a copy, the newest is not
        stage.from_receiver(nack({s}));
        const auto again = stage.out(kOut);
        REQUIRE(again.size() == 1);
        CHECK(again[0].payload == rtp_packet({.sequence = s}));
    }
    stage.from_receiver(nack({3000 - 2049}));
    CHECK(stage.out(kOut).empty());
}

TEST_CASE("a receiver is sent no more again than the budget", "[feedback]") {
    config::Track track = track_of();
    track.feedback->budget = 4;  // one at once
    Watched stage(track);
    for (unsigned s = 0; s < 10; s++) stage.media(s);
    stage.out(kOut);
    stage.from_receiver(nack({1, 2, 3, 4, 5}));
    CHECK(stage.out(kOut).size() == 1);
    CHECK(stage.feedback().over_budget.read() == 4);
}

TEST_CASE("where it is said, what is sent again is in a stream of its own", "[feedback]") {
    config::Track track = track_of();
    track.outputs[0].rtx = rtp::RtxStream{97, 0x99887766};
    Watched stage(track);
    for (unsigned s = 100; s < 110; s++) stage.media(s);
    stage.out(kOut);
    stage.from_receiver(nack({103, 105}));
    const auto again = stage.out(kOut);
    REQUIRE(again.size() == 2);
    Bytes wanted = rtp_packet({.sequence = 1, .ssrc = 0x99887766, .payload_type = 97, .size = 12});
    append16(wanted, 105);
    const Bytes was = rtp_packet({.sequence = 105});
    wanted.insert(wanted.end(), was.begin() + 12, was.end());
    CHECK(again[1].payload == wanted);
}

TEST_CASE("where it is said, what is sent again is FlexFEC, to where repair goes", "[feedback]") {
    const uint16_t port = GENERATE(as<uint16_t>{}, 0, 2);
    config::Track track = track_of();
    track.outputs[0].fec = config::OutputFec{
        .code = {.carriage = {rtp::fec::Scheme::flexfec, 110}, .matrix = {}}, .port = port, .retransmission = true};
    Watched stage(track);
    for (unsigned s = 100; s < 105; s++) stage.media(s);
    stage.out(kOut);
    stage.from_receiver(nack({103, 104}));
    const auto again = stage.out(kOut);
    REQUIRE(again.size() == 2);
    for (const unsigned i : {0u, 1u}) {
        CHECK(again[i].to_port == 6000u + port);
        const auto parsed = rtp::fec::parse_flexfec(again[i].payload, 110);
        REQUIRE(parsed);
        CHECK(parsed->header.line == rtp::fec::Line::retransmission);
        CHECK(at16(again[i].payload, 2) == i);
        CHECK(Bytes(again[i].payload.begin() + rtp::fec::kRetransmissionMore, again[i].payload.end()) ==
              rtp_packet({.sequence = 103 + i}));
    }
    CHECK(stage.feedback().resent.packets.read() == 2);
}

// Their numbers are others than those under which packets are kept: what was sent would be taken for another packet.
TEST_CASE("who gets repair among the media is heard, and sent nothing again", "[feedback]") {
    config::Track track = track_of();
    track.outputs[0].fec = config::OutputFec{
        .code = {.carriage = {rtp::fec::Scheme::ulpfec, 122, true}, .matrix = {.columns = 4, .column_repair = false}},
        .port = 0};
    Watched stage(track);
    for (unsigned s = 100; s < 110; s++) stage.media(s);
    CHECK(stage.out(kOut).size() == 12);
    stage.from_receiver(nack({103, 105}));
    CHECK(stage.out(kOut).empty());
    CHECK(stage.feedback().asked.read() == 2);
    CHECK(stage.feedback().not_kept.read() == 2);
    stage.from_receiver(hex("81c90007 00000001 11223344 00000007 00000001 00000000 00000000 00000000"));
    CHECK(stage.feedback().lost.read() == 7);
}

TEST_CASE("a report tells what the receiver lost, and how far it is", "[feedback]") {
    Watched stage(track_of());
    stage.media(1);
    stage.lab.arrive(packet().udp(7000, 20001).payload(sender_report()).build(), kIn);
    stage.lab.turn();
    stage.from_receiver(hex("81c90007 00000001 11223344 00000007 00000001 00000000 00000000 00000000"));
    CHECK(stage.feedback().lost.read() == 7);
    CHECK(stage.feedback().round_trip.read() == 0);
    stage.from_receiver(hex("81c90007 00000001 11223344 00000008 00000001 00000000 00000001 00000000"));
    CHECK(stage.feedback().round_trip.read() == 0);  // it refers to no report of ours
    CHECK(stage.lab.ledger().feedback == 2);
}

TEST_CASE("key frames that several want are asked of the source once", "[feedback]") {
    Watched stage(track_of());
    const auto pli = hex("81ce0002 00000001 11223344");
    stage.from_receiver(pli);
    CHECK(stage.out(kIn).empty());  // there is nobody yet
    stage.media(1);
    stage.lab.arrive(packet().ipv4("10.0.0.9", "10.0.0.1").udp(7001, 20001).payload(sender_report()).build(), kIn);
    stage.lab.turn();
    stage.out(kOut);
    stage.from_receiver(pli);
    stage.from_receiver(pli);
    stage.from_receiver(hex("81ce0002 00000001 99999999"));  // of another source
    const auto told = stage.out(kIn);
    REQUIRE(told.size() == 1);
    CHECK(told[0].to == test::ip("10.0.0.9"));
    CHECK(told[0].to_port == 7001);
    CHECK(told[0].from == test::ip("10.0.0.1"));
    CHECK(told[0].from_port == 20001);
    std::vector<rtp::RtcpType> types;
    bool asks = false;
    CHECK(rtp::valid_rtcp(told[0].payload));
    rtp::each_packet(told[0].payload, [&](const rtp::RtcpPacket& p) {
        types.push_back(p.type);
        asks |= rtp::asks_key_frame(p, 0x11223344);
    });
    CHECK(types == std::vector{rtp::RtcpType::rr, rtp::RtcpType::sdes, rtp::RtcpType::psfb});
    CHECK(asks);
    CHECK(stage.track().paths[0].state->upstream.key_frames_merged.read() == 1);
}

namespace {

config::Track asking() {
    config::Track track = track_of();
    track.feedback.reset();
    track.sources[0].nack = config::Nack{.wait = 0ms, .deadline = 5000ms, .budget = 500, .rtx = {}};
    return track;
}
std::vector<uint16_t> asked_for(const Dissected& rtcp) {
    std::vector<uint16_t> numbers;
    rtp::each_packet(rtcp.payload, [&](const rtp::RtcpPacket& p) {
        if (const auto nack = rtp::feedback(p, rtp::RtcpType::rtpfb, rtp::kNack))
            rtp::each_number(*nack, [&](uint16_t n) { numbers.push_back(n); });
    });
    return numbers;
}

}  // namespace

TEST_CASE("the source is asked for what is missing, and what it sends again goes on", "[feedback]") {
    Watched stage(asking());
    for (const unsigned s : {100u, 101u, 104u}) stage.media(s);
    const auto told = stage.out(kIn);
    REQUIRE(told.size() == 1);
    CHECK(asked_for(told[0]) == std::vector<uint16_t>{102, 103});
    const Dissected came = dissect(packet().udp(7000, 20000).build());
    CHECK(told[0].to == came.from);
    CHECK(told[0].to_port == came.from_port + 1);  // nobody said otherwise
    CHECK(told[0].from_port == 20001);
    CHECK(told[0].to_mac == came.from_mac);
    stage.media(102);
    stage.media(103);
    CHECK(stage.out(kOut).size() == 5);
    CHECK(stage.track().extras().asking->counters().recovered.read() == 2);
    CHECK(stage.track().extras().asking->counters().round_trip.read() > 0);
}

TEST_CASE("what the source sends again in a stream of its own goes on as what it was", "[feedback]") {
    config::Track track = asking();
    track.sources[0].nack->rtx = 97;
    track.outputs[0].fec.reset();
    Watched stage(track);
    for (const unsigned s : {100u, 102u}) stage.media(s);
    stage.out(kOut);
    Bytes rtx = rtp_packet({.sequence = 7, .ssrc = 0x99887766, .payload_type = 97, .size = 12});
    append16(rtx, 101);
    const Bytes was = rtp_packet({.sequence = 101});
    rtx.insert(rtx.end(), was.begin() + 12, was.end());
    stage.lab.arrive(packet().udp(7000, 20000).payload(rtx).build(), kIn);
    stage.lab.turn();
    const auto sent = stage.out(kOut);
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].payload == was);
    CHECK(stage.track().extras().asking->counters().recovered.read() == 1);
    CHECK(stage.lab.ledger().repair == 1);
    Bytes padding = rtp_packet({.sequence = 8, .ssrc = 0x99887766, .payload_type = 97, .size = 12});
    stage.lab.arrive(packet().udp(7000, 20000).payload(padding).build(), kIn);
    stage.lab.turn();
    CHECK(stage.out(kOut).empty());
}

TEST_CASE("what is sent again is taken when the skew is over, until the deadline", "[feedback]") {
    const size_t paths = GENERATE(1, 2);
    config::Track track = asking();
    track.skew = 1ms;
    if (paths == 2) track.sources.emplace_back().rtp = endpoint("10.0.0.1:20100");
    Watched stage(track);
    stage.media(100);
    stage.media(102);
    std::this_thread::sleep_until(std::chrono::steady_clock::now() + 3ms);
    stage.media(101);
    stage.media(101);
    CHECK(stage.out(kOut).size() == 3);
    CHECK(stage.lab.ledger().duplicate == 1);
    CHECK(stage.track().extras().asking->counters().recovered.read() == 1);
    CHECK(stage.track().extras().merge->counters().by_path.read() == 0);
}

TEST_CASE("a BYE of a source that is asked goes on: there is no other path", "[feedback]") {
    Watched stage(asking());
    stage.media(100);
    stage.lab.arrive(packet().udp(7000, 20001).payload(bye()).build(), kIn);
    stage.lab.turn();
    const auto sent = stage.out(kOut);
    REQUIRE(sent.size() == 2);
    CHECK(sent[1].payload == bye());
}

TEST_CASE("of two paths with SSRCs of their own the one that is asked is asked by its own", "[feedback]") {
    config::Track track = asking();
    track.sources.insert(track.sources.begin(), config::Source{});
    track.sources[0].rtp = endpoint("10.0.0.1:20100");
    track.sources[1].nack->rtx = 97;
    track.feedback = config::Feedback{};
    Watched stage(track);
    const auto arrive = [&](unsigned port, const Bytes& payload) {
        stage.lab.arrive(packet().udp(7000, port).payload(payload).build(), kIn);
        stage.lab.turn();
    };
    for (const unsigned s : {100u, 101u}) {
        arrive(20100, rtp_packet({.sequence = s, .ssrc = 0xaaaa1111}));
        arrive(20000, rtp_packet({.sequence = s, .ssrc = 0xbbbb2222}));
    }
    stage.out(kOut);
    arrive(20000, rtp_packet({.sequence = 103, .ssrc = 0xbbbb2222}));
    const auto told = stage.out(kIn);
    REQUIRE(told.size() == 1);
    CHECK(asked_for(told[0]) == std::vector<uint16_t>{102});
    rtp::each_packet(told[0].payload, [&](const rtp::RtcpPacket& p) {
        if (const auto nack = rtp::feedback(p, rtp::RtcpType::rtpfb, rtp::kNack)) CHECK(nack->media == 0xbbbb2222);
    });
    stage.out(kOut);
    Bytes rtx = rtp_packet({.sequence = 7, .ssrc = 0x99887766, .payload_type = 97, .size = 12});
    append16(rtx, 102);
    const Bytes was = rtp_packet({.sequence = 102, .ssrc = 0xaaaa1111});
    rtx.insert(rtx.end(), was.begin() + 12, was.end());
    arrive(20000, rtx);
    const auto sent = stage.out(kOut);
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].payload == was);
    arrive(20000, rtx);  // once more
    wire::store16(&rtx[12], 9000);
    arrive(20000, rtx);                                                // nobody waits for it
    arrive(20100, rtp_packet({.sequence = 102, .ssrc = 0xaaaa1111}));  // and by the other path
    CHECK(stage.out(kOut).empty());
    stage.lab.arrive(
        packet().ipv4("10.0.1.20", "10.0.1.1").udp(6001, 20101).payload(nack({102, 103}, "aaaa1111")).build(), kOut);
    stage.lab.turn();
    CHECK(stage.out(kOut).size() == 2);  // receivers know one source
}

TEST_CASE("viewers are answered, each told by the ports that it was given", "[feedback]") {
    config::Track track = track_of();
    track.outputs.clear();
    Watched stage(track);
    for (const uint16_t more : {uint16_t{0}, uint16_t{2}}) {
        const auto viewer =
            stage.mesh.add_viewer({.stream = "camera",
                                   .track = "video",
                                   .agreed = {{*Ip::parse("10.0.1.1"), static_cast<uint16_t>(21000 + more)},
                                              static_cast<uint16_t>(5001 + more)},
                                   .to = {*Ip::parse("10.0.1.30"), static_cast<uint16_t>(5000 + more)}});
        REQUIRE(viewer);
        stage.mesh.play(*viewer, true);
    }
    const flow::NextHop hop{
        .port = kOut, .mac = mac("02:00:00:00:01:30"), .source = *Ip::parse("10.0.1.1"), .mtu = 1500};
    for (const flow::Destination& to : stage.mesh.take_destinations().wanted) stage.mesh.resolve(to, {hop, ""});
    stage.lab.published().publish(stage.mesh.compile());
    for (unsigned s = 0; s < 5; s++) stage.media(s);
    CHECK(stage.out(kOut).size() == 10);
    // From whatever port: it came to the ones of the second.
    stage.lab.arrive(packet().ipv4("10.0.1.30", "10.0.1.1").udp(40000, 21003).payload(nack({3})).build(), kOut);
    stage.lab.turn();
    const auto again = stage.out(kOut);
    REQUIRE(again.size() == 1);
    CHECK(again[0].payload == rtp_packet({.sequence = 3}));
    CHECK(again[0].from_port == 21002);
    CHECK(again[0].to_port == 5002);
}
