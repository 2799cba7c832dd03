// RTCP to sources and answers to receivers, by the real model: reports on a timer, times, requests to two sources.
#include <algorithm>
#include <chrono>

#include "base/wire.hpp"
#include "dataplane/told.hpp"
#include "rtp/rtcp/feedback.hpp"
#include "rtp/rtcp/report.hpp"
#include "rtp/rtcp/writer.hpp"

using namespace penstock;
using namespace penstock::test;
using namespace std::chrono_literals;
using rtp::RtcpType;

namespace {

std::vector<uint16_t> asked_for(const Bytes& rtcp) {
    std::vector<uint16_t> numbers;
    rtp::each_packet(rtcp, [&](const rtp::RtcpPacket& p) {
        if (const auto nack = rtp::feedback(p, RtcpType::rtpfb, rtp::kNack))
            rtp::each_number(*nack, [&](uint16_t n) { numbers.push_back(n); });
    });
    return numbers;
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
    const auto block = rtp::report_on(0, told[0].payload);
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
    CHECK(rtp::report_on(0, more[0].payload)->highest % 0x10000 == static_cast<uint16_t>(sequence));
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
        CHECK(rtp::report_on(0, told[0].rtcp)->ssrc == 0x11223344);
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
