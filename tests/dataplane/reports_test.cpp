// RTCP that we send of our own accord, by the real model: reports to sources on a timer, requests to two of them,
// sender reports of what left, and BYE.
#include <algorithm>
#include <chrono>
#include <optional>

#include "base/wire.hpp"
#include "dataplane/stage.hpp"
#include "rtp/rtcp/description.hpp"
#include "rtp/rtcp/feedback.hpp"
#include "rtp/rtcp/report.hpp"
#include "rtp/rtcp/writer.hpp"

using namespace penstock;
using namespace penstock::test;
using namespace std::chrono_literals;
using rtp::RtcpType;

namespace {

std::vector<RtcpType> types_of(const Bytes& rtcp) {
    std::vector<RtcpType> types;
    rtp::each_packet(rtcp, [&](const rtp::RtcpPacket& p) { types.push_back(p.type); });
    return types;
}
std::vector<uint16_t> asked_for(const Bytes& rtcp) {
    std::vector<uint16_t> numbers;
    rtp::each_packet(rtcp, [&](const rtp::RtcpPacket& p) {
        if (const auto nack = rtp::feedback(p, RtcpType::rtpfb, rtp::kNack))
            rtp::each_number(*nack, [&](uint16_t n) { numbers.push_back(n); });
    });
    return numbers;
}
std::optional<rtp::SenderInfo> info_of(const Bytes& rtcp) {
    std::optional<rtp::SenderInfo> info;
    rtp::each_packet(rtcp, [&](const rtp::RtcpPacket& p) {
        if (const auto one = rtp::sender_info(p)) info = one;
    });
    return info;
}
// Who says, in SDES, who it is; and who leaves.
struct Said {
    uint32_t named = 0, leaving = 0;
    std::string name;
};
Said said(const Bytes& rtcp) {
    Said s;
    rtp::each_packet(rtcp, [&](const rtp::RtcpPacket& p) {
        rtp::each_item(p, [&](uint32_t ssrc, uint8_t, std::string_view text) { s.named = ssrc, s.name = text; });
        rtp::each_leaving(p, [&](uint32_t ssrc) { s.leaving = ssrc; });
    });
    return s;
}

// Packets of so many bytes, until the source got something, or far too long.
std::vector<Dissected> until_told(Stage& stage, unsigned& sequence, uint32_t ssrc = 0x11223344, unsigned port = 20000) {
    const auto began = Steady::now();
    std::vector<Dissected> told;
    while (told.empty() && Steady::now() - began < 20s) {
        stage.arrive(rtp_packet({.sequence = sequence++, .ssrc = ssrc, .size = 1400}), port);
        stage.out(kOut);
        told = stage.out(kIn);
    }
    return told;
}

}  // namespace

TEST_CASE("a source that sends no reports gets ours, by itself, on the port after that of its media", "[reports]") {
    Stage stage(one_track());
    unsigned sequence = 100;
    const auto told = until_told(stage, sequence);
    REQUIRE(told.size() == 1);
    CHECK(told[0].to_port == 7001);
    CHECK(told[0].from_port == 20001);
    CHECK(types_of(told[0].payload) == std::vector{RtcpType::rr, RtcpType::sdes, RtcpType::xr});
    const auto block = rtp::first_report(told[0].payload);
    REQUIRE(block);
    CHECK(block->ssrc == 0x11223344);
    CHECK(block->last_report == 0);
    CHECK(block->highest % 0x10000 == static_cast<uint16_t>(sequence - 1));
    // The next one needs no packet to go with; a source that is silent gets none.
    stage.arrive(rtp_packet({.sequence = sequence}));
    const auto began = Steady::now();
    std::vector<Dissected> more;
    while (more.empty() && Steady::now() - began < 20s) {
        stage.lab.turn();
        more = stage.out(kIn);
    }
    REQUIRE(more.size() == 1);
    CHECK(rtp::first_report(more[0].payload)->highest % 0x10000 == static_cast<uint16_t>(sequence));
    CHECK(stage.path().upstream.reports.read() == 2);
}

TEST_CASE("a source that answers to the time that it was told is so far away", "[reports]") {
    Stage stage(one_track());
    unsigned sequence = 1;
    const auto told = until_told(stage, sequence);
    REQUIRE(told.size() == 1);
    uint32_t ssrc = 0;
    std::optional<uint64_t> time;
    rtp::each_packet(told[0].payload, [&](const rtp::RtcpPacket& p) {
        if (p.type == RtcpType::rr) ssrc = wire::load32(p.body.data());
        if (const auto one = rtp::reference_time(p)) time = one;
    });
    REQUIRE(time);
    const auto answer = [&](uint32_t to, uint32_t last, uint32_t since) {
        std::array<std::byte, 64> room;
        rtp::RtcpWriter writer(room);
        writer.receiver_report(0x11223344, {});
        writer.since_reference(0x11223344, {to, last, since});
        stage.arrive({writer.written().begin(), writer.written().end()}, 20001, 7001);
    };
    const auto round_trip = [&] { return stage.path().upstream.round_trip.read(); };
    answer(ssrc + 1, rtp::middle_of(*time), 0);  // to somebody else
    answer(ssrc, rtp::middle_of(*time) - 1, 0);  // to what nobody said
    CHECK(round_trip() == 0);
    const auto began = Steady::now();
    while (round_trip() == 0 && Steady::now() - began < 20s) answer(ssrc, rtp::middle_of(*time), 0);
    CHECK(round_trip() != 0);
    answer(ssrc, rtp::middle_of(*time), 0x7fff0000);  // longer than it was away
    CHECK(round_trip() == 0);
}

TEST_CASE("a receiver that tells its time is answered at once, in the name of the source", "[reports]") {
    config::Track track = one_track();
    track.feedback = config::Feedback{.retransmit = 0};
    Stage stage(track);
    stage.arrive(rtp_packet());
    stage.arrive(sender_report(), 20001, 7001);
    stage.out(kOut);
    std::array<std::byte, 64> room;
    rtp::RtcpWriter writer(room);
    writer.receiver_report(7, {});
    writer.reference_time(7, 0x0123456789abcdef);
    const Bytes asked{writer.written().begin(), writer.written().end()};
    const auto hear = [&](const char* from) {
        stage.lab.arrive(packet().ipv4(from, "10.0.1.1").udp(6001, 20001).payload(asked).build(), kOut);
        stage.lab.turn();
        return stage.out(kOut);
    };
    CHECK(hear("10.0.1.99").empty());  // a stranger
    const auto told = hear("10.0.1.20");
    REQUIRE(told.size() == 1);
    CHECK(told[0].to_port == 6001);
    CHECK(told[0].from_port == 20001);
    CHECK(types_of(told[0].payload) == std::vector{RtcpType::rr, RtcpType::sdes, RtcpType::xr});
    CHECK(said(told[0].payload).named == 0x11223344);
    CHECK(said(told[0].payload).name == "a@b");
    std::vector<rtp::SinceReference> since;
    rtp::each_packet(told[0].payload, [&](const rtp::RtcpPacket& p) {
        rtp::each_since_reference(p, [&](const rtp::SinceReference& one) { since.push_back(one); });
    });
    CHECK(since == std::vector{rtp::SinceReference{7, 0x456789ab, 0}});
}

TEST_CASE("groups are not reported to: nobody said where their sender is", "[reports]") {
    config::Track track = one_track();
    track.sources[0].rtp = endpoint("239.1.1.1:5004");
    Stage stage(track);
    for (unsigned n = 0; n < 50; n++)
        stage.lab.arrive(packet()
                             .ipv4("10.0.0.9", "239.1.1.1")
                             .udp(7000, 5004)
                             .payload(rtp_packet({.sequence = n, .size = 1400}))
                             .build(),
                         kIn);
    stage.lab.run();
    CHECK(stage.path().reception.counters().packets.read() == 50);
    CHECK_FALSE(stage.path().upstream.reached());
}

TEST_CASE("a source by TCP is told by its connection: reports, key frames, and that we go", "[reports]") {
    config::Track track = one_track();
    track.feedback = config::Feedback{.retransmit = 0};
    for (const bool fir : {false, true}) {
        track.takes_fir = fir;
        Stage stage(track);
        const dataplane::IngestWay rtp(endpoint("10.0.0.9:40000"), endpoint("10.0.0.1:20000"), 0),
            rtcp(endpoint("10.0.0.9:40000"), endpoint("10.0.0.1:20001"), 0);
        const auto come = [&](const dataplane::IngestWay& way, const Bytes& packet) {
            REQUIRE(stage.lab.ingest().offer(way, packet));
            stage.lab.turn();
            stage.lab.sent(kOut);
        };
        unsigned sequence = 1;
        come(rtp, rtp_packet({.sequence = sequence++}));
        come(rtcp, sender_report());
        const auto began = Steady::now();
        std::vector<Lab::Reply> told;
        while (told.empty() && Steady::now() - began < 20s) {
            come(rtp, rtp_packet({.sequence = sequence++, .size = 1400}));
            told = stage.lab.replies();
        }
        REQUIRE(told.size() == 1);
        CHECK(told[0].at == endpoint("10.0.0.1:20001"));
        CHECK(types_of(told[0].rtcp) == std::vector{RtcpType::rr, RtcpType::sdes, RtcpType::xr});
        CHECK(rtp::first_report(told[0].rtcp)->ssrc == 0x11223344);
        // Two receivers want a key frame: the source is asked once, in the way that it takes.
        const Bytes pli =
            hex("81c90007 00000001 11223344 00000000 00000064 00000000 00000000 00000000"
                "81ce0002 00000001 11223344");
        for (int i = 0; i < 2; i++)
            stage.lab.arrive(packet().ipv4("10.0.1.20", "10.0.1.1").udp(6001, 20001).payload(pli).build(), kOut);
        stage.lab.turn();
        told = stage.lab.replies();
        REQUIRE(told.size() == 1);
        unsigned plis = 0;
        std::vector<uint8_t> firs;
        rtp::each_packet(told[0].rtcp, [&](const rtp::RtcpPacket& p) {
            plis += rtp::feedback(p, RtcpType::psfb, rtp::kPli).has_value();
            const auto one = rtp::feedback(p, RtcpType::psfb, rtp::kFir);
            if (!one) return;
            REQUIRE(one->entries.size() == 8);
            CHECK(wire::load32(one->entries.data()) == 0x11223344);
            firs.push_back(wire::load8(&one->entries[4]));
        });
        CHECK(plis == (fir ? 0 : 1));
        CHECK(firs == (fir ? std::vector<uint8_t>{0} : std::vector<uint8_t>{}));
        CHECK(stage.path().upstream.key_frames.read() == 1);
        CHECK(stage.path().upstream.key_frames_merged.read() == 1);
        stage.publish(stage.mesh.last_table());
        told = stage.lab.replies();
        REQUIRE(told.size() == 1);
        CHECK(said(told[0].rtcp).leaving == said(told[0].rtcp).named);
        CHECK(stage.out(kIn).empty());
    }
}

TEST_CASE("what sources by TCP are to be told and finds no room is counted", "[reports]") {
    config::Track track = one_track();
    Stage stage(track, {.replies = 2});  // a ring of one
    const dataplane::IngestWay rtp(endpoint("10.0.0.9:40000"), endpoint("10.0.0.1:20000"), 0);
    const auto began = Steady::now();
    for (unsigned n = 1; stage.lab.ledger()[flow::Drop::tcp_full] == 0 && Steady::now() - began < 20s; n++) {
        REQUIRE(stage.lab.ingest().offer(rtp, rtp_packet({.sequence = n, .size = 1400})));
        stage.lab.turn();
        stage.lab.sent(kOut);
    }
    CHECK(stage.lab.ledger()[flow::Drop::tcp_full] == 1);
    CHECK(stage.lab.replies().size() == 1);
}

TEST_CASE("reports of a thousand receivers cost the source one", "[reports]") {
    config::Track track = one_track();
    track.outputs.clear();
    track.feedback = config::Feedback{.retransmit = 0};
    for (unsigned n = 0; n < 1000; n++)
        track.outputs.emplace_back().rtp = endpoint("10.0.1.20:" + std::to_string(6000 + 2 * n));
    Stage stage(track, {.ports = {{}, {.wire = 4096}}, .mbufs = 8192});
    unsigned sequence = 100;
    stage.arrive(rtp_packet({.sequence = sequence++}));
    stage.arrive(sender_report(), 20001, 7001);
    stage.out(kOut);
    unsigned told = 0;
    const uint64_t before = stage.path().upstream.reports.read();
    const Bytes report = hex("81c90007 00000001 11223344 0000002a 00000064 00000000 00000000 00000000");
    for (unsigned n = 0; n < 1000; n++) {
        stage.lab.arrive(packet().ipv4("10.0.1.20", "10.0.1.1").udp(6001 + 2 * n, 20001).payload(report).build(), kOut);
        if (n % 32 == 31) stage.lab.turn();
        told += static_cast<unsigned>(stage.out(kIn).size());
    }
    stage.lab.run();
    CHECK(stage.lab.ledger().feedback == 1000);
    for (const mesh::Output& output : stage.track().outputs) CHECK(output.extras().feedback->lost.read() == 42);
    const auto began = Steady::now();
    for (unsigned turns = 0; told == 0 && Steady::now() - began < 20s; turns++) {
        if (turns % 1000 == 0) {  // it is not silent
            stage.arrive(rtp_packet({.sequence = sequence++}));
            stage.lab.sent(kOut);
        }
        stage.lab.turn();
        told += static_cast<unsigned>(stage.out(kIn).size());
    }
    CHECK(told == 1);
    CHECK(stage.path().upstream.reports.read() - before == 1);
}

TEST_CASE("of two sources that may be asked the second is when the first does not answer", "[reports]") {
    config::Track track = one_track();
    track.sources.emplace_back().rtp = endpoint("10.0.0.1:20100");
    for (config::Source& source : track.sources)
        source.nack = config::Nack{.wait = 0ms, .deadline = 5000ms, .budget = 500, .rtx = {}};
    Stage stage(track);
    unsigned sequence = 100;
    const auto both = [&] {
        stage.arrive(rtp_packet({.sequence = sequence}), 20000, 7000);
        stage.arrive(rtp_packet({.sequence = sequence}), 20100, 7100);
        sequence++;
    };
    both();
    sequence += 2;
    std::vector<unsigned> asked;  // which port, each time
    const auto began = Steady::now();
    while (asked.size() < 4 && Steady::now() - began < 10s) {
        both();
        stage.out(kOut);
        for (const Dissected& d : stage.out(kIn))
            if (const auto numbers = asked_for(d.payload); !numbers.empty()) {
                CHECK(numbers == std::vector<uint16_t>{101, 102});
                asked.push_back(d.to_port);
            }
    }
    CHECK(asked == std::vector<unsigned>{7001, 7101, 7001, 7101});
}

TEST_CASE("sender reports of two paths tell what left, under the SSRC under which it left", "[reports]") {
    config::Track track = one_track();
    track.sources.emplace_back().rtp = endpoint("10.0.0.1:20100");
    Stage stage(track);
    for (unsigned n = 1; n <= 10; n++) {
        if (n != 4) stage.arrive(rtp_packet({.sequence = n, .ssrc = 0xaaaa1111, .size = 112}), 20000);
        if (n != 7) stage.arrive(rtp_packet({.sequence = n, .ssrc = 0xbbbb2222, .size = 112}), 20100);
    }
    CHECK(stage.out(kOut).size() == 10);
    Bytes report = sender_report();
    for (const size_t at : {4u, 32u}) wire::store32(&report[at], 0xbbbb2222);
    const auto theirs = *info_of(report);
    stage.arrive(report, 20101);
    const auto sent = stage.out(kOut);
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].to_port == 6001);
    const auto ours = *info_of(sent[0].payload);
    CHECK(ours.ssrc == 0xaaaa1111);
    CHECK(ours.packets == 10);
    CHECK(ours.octets == 1000);
    CHECK(ours.ntp == theirs.ntp);
    CHECK(ours.timestamp == theirs.timestamp);
    CHECK(said(sent[0].payload).named == 0xaaaa1111);
    CHECK(said(sent[0].payload).name == "a@b");
}

TEST_CASE("who gets repair among the media is told of both by sender reports, others of the media", "[reports]") {
    const bool others = GENERATE(true, false);
    config::Track track = one_track();
    config::Output among;
    among.rtp = endpoint("10.0.1.20:7000");
    among.fec = config::OutputFec{
        .code = {.carriage = {rtp::fec::Scheme::ulpfec, 122, true}, .matrix = {.columns = 4, .column_repair = false}},
        .port = 0};
    if (!others) track.outputs.clear();
    track.outputs.push_back(among);
    Stage stage(track);
    for (unsigned n = 1; n <= 10; n++) stage.arrive(rtp_packet({.sequence = n, .size = 112}));
    unsigned packets = 0;
    size_t octets = 0;
    for (const Dissected& d : stage.out(kOut)) {
        if (d.to_port != 7000) continue;
        packets++;
        octets += d.payload.size() - 12;
    }
    CHECK(packets == 12);
    stage.arrive(sender_report(), 20001);
    const auto check = [&](const std::vector<Dissected>& sent) {
        REQUIRE(sent.size() == (others ? 2 : 1));
        for (const Dissected& d : sent) {
            if (d.to_port == 6001) {
                CHECK(d.payload == sender_report());
                continue;
            }
            CHECK(d.to_port == 7001);
            const auto info = *info_of(d.payload);
            CHECK(info.packets == packets);
            CHECK(info.octets == octets);
            CHECK(info.ntp == info_of(sender_report())->ntp);
        }
    };
    check(stage.out(kOut));
    CHECK(stage.lab.ledger().forwarded == 11);
    // Another source counts anew.
    for (unsigned n = 1; n <= 2; n++) stage.arrive(rtp_packet({.sequence = n, .ssrc = 0x5eed, .size = 112}));
    stage.out(kOut);
    Bytes other = sender_report();
    for (const size_t at : {4u, 32u}) wire::store32(&other[at], 0x5eed);
    stage.arrive(other, 20001);
    CHECK(info_of(stage.out(kOut).front().payload)->packets == 2);
    // And all of them hear that it ends.
    stage.publish(stage.mesh.last_table());
    const auto ends = stage.out(kOut);
    CHECK(ends.size() == (others ? 2 : 1));
    for (const Dissected& d : ends) CHECK(said(d.payload).leaving == 0x5eed);
}

TEST_CASE("sender reports of what leaves as it came are left alone", "[reports]") {
    Stage stage(one_track());
    for (unsigned n = 1; n <= 10; n++) stage.arrive(rtp_packet({.sequence = n}));
    stage.out(kOut);
    stage.arrive(sender_report(), 20001);
    CHECK(stage.out(kOut).at(0).payload == sender_report());
}

TEST_CASE("what waits for its turn has not left: the report does not count it", "[reports]") {
    config::Track track = one_track();
    track.delay = 1000ms;
    Stage stage(track);
    for (const unsigned n : {1u, 2u, 4u, 5u}) stage.arrive(rtp_packet({.sequence = n, .size = 112}));
    stage.out(kOut);
    const auto counted = [&] {
        stage.arrive(sender_report(), 20001);
        const auto info = *info_of(stage.out(kOut).back().payload);
        CHECK(info.octets == 100 * info.packets);
        return info.packets;
    };
    CHECK(counted() == 2);
    stage.arrive(rtp_packet({.sequence = 3, .size = 112}));
    CHECK(counted() == 5);
    for (const unsigned n : {1u, 2u}) stage.arrive(rtp_packet({.sequence = n, .ssrc = 0x5eed, .size = 112}));
    Bytes other = sender_report();
    for (const size_t at : {4u, 32u}) wire::store32(&other[at], 0x5eed);
    stage.out(kOut);
    stage.arrive(other, 20001);
    CHECK(info_of(stage.out(kOut).back().payload)->packets == 2);  // of the source that is there now
}

TEST_CASE("a track that ends: receivers hear BYE in the name of the source, and the source ours", "[reports]") {
    const bool stops = GENERATE(false, true);
    Stage stage(one_track());
    unsigned sequence = 100;
    stage.arrive(rtp_packet({.sequence = sequence++}));
    stage.arrive(sender_report(), 20001, 7001);
    REQUIRE(until_told(stage, sequence).size() == 1);
    stage.out(kOut);
    if (!stops) REQUIRE(stage.mesh.remove("camera"));
    stage.publish(stops ? stage.mesh.last_table() : stage.mesh.compile());
    const auto receiver = stage.out(kOut), source = stage.out(kIn);
    REQUIRE(receiver.size() == 1);
    CHECK(receiver[0].to_port == 6001);
    CHECK(types_of(receiver[0].payload) == std::vector{RtcpType::rr, RtcpType::sdes, RtcpType::bye});
    CHECK(said(receiver[0].payload).leaving == 0x11223344);
    CHECK(said(receiver[0].payload).name == "a@b");
    REQUIRE(source.size() == 1);
    CHECK(source[0].to_port == 7001);
    CHECK(types_of(source[0].payload) == std::vector{RtcpType::rr, RtcpType::sdes, RtcpType::bye});
    CHECK(said(source[0].payload).leaving == said(source[0].payload).named);
    CHECK(said(source[0].payload).leaving != 0x11223344);
    stage.lab.run();
    CHECK(stage.out(kOut).empty());
    if (stops) return;
    stage.put(one_track());  // what follows is told nothing of it
    CHECK(stage.out(kOut).empty());
}

TEST_CASE("nobody is told of a track that goes on with other settings, ended by itself, or never was", "[reports]") {
    Stage stage(one_track());
    SECTION("other settings") {
        stage.arrive(rtp_packet());
        config::Track more = one_track();
        more.delay = 50ms;
        stage.out(kOut);
        stage.put(more);
    }
    SECTION("the source said so itself") {
        stage.arrive(rtp_packet());
        stage.arrive(bye(), 20001);
        stage.arrive(bye(), 20001);
        CHECK(stage.out(kOut).size() == 3);
        CHECK(stage.path().ended());
        CHECK(stage.path().byes.read() == 1);
        stage.mesh.remove("camera");
        stage.publish(stage.mesh.compile());
    }
    SECTION("nothing came") {
        stage.mesh.remove("camera");
        stage.publish(stage.mesh.compile());
    }
    SECTION("tracks of a protocol, which may come again") {
        stage.mesh.remove("camera");
        stage.publish(stage.mesh.compile());
        REQUIRE(stage.mesh.bring("live", {one_track()}));
        for (const auto& to : stage.mesh.take_destinations().wanted)
            stage.mesh.resolve(to, {leg_to("10.0.1.20:6000", kOut).hop, ""});
        stage.publish(stage.mesh.compile());
        stage.arrive(rtp_packet());
        CHECK(stage.out(kOut).size() == 1);
        stage.mesh.withdraw("live");
        stage.publish(stage.mesh.compile());
    }
    CHECK(stage.out(kOut).empty());
}

TEST_CASE("a source that said BYE and sends again has not ended", "[reports]") {
    Stage stage(one_track());
    stage.arrive(rtp_packet({.sequence = 1}));
    stage.arrive(hex("80c90001 11223344 81cb0001 99999999"), 20001);  // somebody else
    CHECK_FALSE(stage.path().ended());
    stage.arrive(bye(), 20001);
    CHECK(stage.path().ended());
    stage.arrive(rtp_packet({.sequence = 2}));
    CHECK_FALSE(stage.path().ended());
    stage.arrive(bye(), 20001);
    CHECK(stage.path().byes.read() == 2);
}
