// Two sources of a track at one address, told by their SSRCs (RFC 7198), by the real model: paths as any two.
#include <algorithm>
#include <set>

#include "base/wire.hpp"
#include "dataplane/told.hpp"
#include "rtp/rtcp/report.hpp"

using namespace penstock;
using namespace penstock::test;
using namespace std::chrono_literals;
using flow::Drop;

namespace {

constexpr uint32_t kFirst = 0xaaaa1111, kAgain = 0xbbbb2222;

config::Track twice(std::optional<uint32_t> first, std::optional<uint32_t> again) {
    config::Track track = one_track();
    track.payload_type = 96;
    track.sources[0].ssrc = first;
    track.sources.push_back(track.sources[0]);
    track.sources[1].ssrc = again;
    return track;
}

struct Twice : Stage {
    explicit Twice(const config::Track& track) : Stage(track) {}
    void come(unsigned sequence, uint32_t ssrc) {
        arrive(rtp_packet({.sequence = sequence, .timestamp = sequence * 3000, .ssrc = ssrc}));
    }
    // Their numbers; all have this SSRC.
    std::vector<unsigned> left(uint32_t ssrc) {
        std::vector<unsigned> numbers;
        for (const Dissected& copy : out(kOut)) {
            numbers.push_back(at16(copy.payload, 2));
            CHECK(wire::load32(&copy.payload[8]) == ssrc);
        }
        return numbers;
    }
    const rtp::ReceptionCounters& came(size_t path) { return track().paths[path].state->reception.counters(); }
    const rtp::Arrivals& arrivals(size_t path) { return track().paths[path].state->more->arrivals; }
};

std::vector<unsigned> numbers(unsigned from, unsigned to) {
    std::vector<unsigned> all;
    for (unsigned n = from; n <= to; n++) all.push_back(n);
    return all;
}

std::set<uint32_t> senders(const Bytes& rtcp) {
    std::set<uint32_t> all;
    rtp::each_packet(rtcp, [&](const rtp::RtcpPacket& p) { all.insert(wire::load32(p.body.data())); });
    return all;
}

}  // namespace

TEST_CASE("two SSRCs on one port are two paths", "[by-ssrc]") {
    const auto [first, again] = GENERATE(table<std::optional<uint32_t>, std::optional<uint32_t>>(
        {{std::nullopt, config::kOtherSsrc}, {kFirst, kAgain}, {kFirst, config::kOtherSsrc}, {std::nullopt, kAgain}}));
    Twice stage(twice(first, again));
    constexpr unsigned kLag = 5;  // packets that copies come later
    for (unsigned n = 1; n <= 100 + kLag; n++) {
        if (n <= 100 && n % 10 != 3) stage.come(n, kFirst);
        if (n > kLag && n % 10 != 4) stage.come(n - kLag, kAgain);
    }
    auto left = stage.left(kFirst);
    std::ranges::sort(left);
    CHECK(left == numbers(1, 100));
    for (size_t path = 0; path < 2; path++) {
        CHECK(stage.came(path).packets.read() == 90);
        CHECK(stage.came(path).ssrc_changes.read() == 0);
        CHECK(stage.came(path).ssrc.read() == (path == 0 ? kFirst : kAgain));
        CHECK(stage.came(path).duplicate.read() == 0);
    }
    CHECK(stage.arrivals(0).first.read() == 90);
    CHECK(stage.arrivals(1).first.read() == 10);
    CHECK(stage.arrivals(1).second.read() == 80);
    CHECK(stage.lab.ledger().duplicate == 80);
}

TEST_CASE("a copy may come before the original", "[by-ssrc]") {
    Twice stage(twice(std::nullopt, kAgain));
    for (unsigned n = 1; n <= 20; n++) {
        stage.come(n, kAgain);
        stage.come(n, kFirst);
    }
    CHECK(stage.left(kAgain) == numbers(1, 20));
    CHECK(stage.arrivals(0).second.read() == 20);
    CHECK(stage.arrivals(1).first.read() == 20);
    CHECK(stage.track().ssrc() == kAgain);
}

TEST_CASE("what is of neither SSRC that is configured is dropped by name", "[by-ssrc]") {
    Twice stage(twice(kFirst, kAgain));
    stage.come(1, kFirst);
    stage.come(2, 0xcccc3333);
    stage.come(2, kFirst);
    CHECK(stage.left(kFirst) == numbers(1, 2));
    CHECK(stage.lab.ledger()[Drop::path_apart] == 1);
    CHECK(stage.came(0).packets.read() + stage.came(1).packets.read() == 2);
}

TEST_CASE("a stray of a third SSRC disturbs neither", "[by-ssrc]") {
    Twice stage(twice(std::nullopt, config::kOtherSsrc));
    for (unsigned n = 1; n <= 60; n++) {
        stage.come(n, kFirst);
        if (n > 3) stage.come(n - 3, kAgain);
        if (n % 7 == 0) stage.come(30'000 + n, 0xcccc3333 + n);
    }
    CHECK(stage.left(kFirst) == numbers(1, 60));
    CHECK(stage.lab.ledger()[Drop::path_apart] == 8);
    CHECK(stage.arrivals(1).second.read() == 57);
    CHECK(stage.track().extras().merge->counters().lives.read() == 1);
}

TEST_CASE("a source that comes back with two other SSRCs is followed without loss", "[by-ssrc]") {
    Twice stage(twice(std::nullopt, config::kOtherSsrc));
    for (unsigned n = 1; n <= 20; n++) {
        stage.come(n, kFirst);
        stage.come(n, kAgain);
    }
    CHECK(stage.left(kFirst) == numbers(1, 20));
    constexpr uint32_t kNext = 0x11110000, kNextAgain = 0x22220000;
    for (unsigned n = 7001; n <= 7040; n++) {
        stage.come(n, kNext);
        if (n > 7005) stage.come(n - 5, kNextAgain);
    }
    std::vector<unsigned> left;
    std::set<uint32_t> ssrcs;
    for (const Dissected& copy : stage.out(kOut)) {
        left.push_back(at16(copy.payload, 2));
        ssrcs.insert(wire::load32(&copy.payload[8]));
    }
    std::ranges::sort(left);
    CHECK(left == numbers(7001, 7040));
    CHECK(ssrcs.size() == 1);
    CHECK(stage.track().extras().merge->counters().lives.read() == 2);
}

TEST_CASE("sender reports of both, in one datagram or two, tell what left under its SSRC", "[by-ssrc]") {
    Twice stage(twice(std::nullopt, config::kOtherSsrc));
    for (unsigned n = 1; n <= 10; n++) {
        stage.come(n, kFirst);
        stage.come(n, kAgain);
    }
    stage.left(kFirst);
    const auto report = [](uint32_t ssrc) {
        Bytes rtcp = sender_report();
        for (const size_t at : {4u, 32u}) wire::store32(&rtcp[at], ssrc);
        return rtcp;
    };
    Bytes both = report(kFirst);
    for (const std::byte b : report(kAgain)) both.push_back(b);
    stage.arrive(both, 20001, 7001);
    for (const mesh::Path& path : stage.track().paths) CHECK(path.state->upstream.cname() == "a@b");
    stage.out(kOut);
    for (const Bytes& rtcp : {report(kFirst), report(kAgain), both}) {
        for (const unsigned port : {20001u, 20000u}) {  // as RTCP has it, or muxed (RFC 5761)
            stage.arrive(rtcp, port, 7001);
            const auto sent = stage.out(kOut);
            REQUIRE(sent.size() == 1);
            CHECK(sent[0].to_port == 6001);
            CHECK(senders(sent[0].payload) == std::set{kFirst});
            rtp::each_packet(sent[0].payload, [&](const rtp::RtcpPacket& p) {
                if (const auto info = rtp::sender_info(p)) CHECK(info->packets == 10);
            });
        }
    }
    CHECK(stage.track().paths[0].state->rtcp_packets.read() == 5);
    CHECK(stage.track().paths[1].state->rtcp_packets.read() == 2);
}

TEST_CASE("the source gets a report of each SSRC", "[by-ssrc]") {
    Twice stage(twice(std::nullopt, config::kOtherSsrc));
    std::set<uint32_t> reported;
    const auto began = Steady::now();
    for (unsigned n = 1; reported.size() < 2 && Steady::now() - began < 20s; n++) {
        stage.come(n, kFirst);
        stage.come(n, kAgain);
        stage.out(kOut);
        for (const Dissected& told : stage.out(kIn)) {
            CHECK(told.to_port == 7001);
            const auto block = rtp::report_on(0, told.payload);
            REQUIRE(block);
            reported.insert(block->ssrc);
        }
    }
    CHECK(reported == std::set{kFirst, kAgain});
}

TEST_CASE("while forwarding is stopped each of the two is counted", "[by-ssrc]") {
    Twice stage(twice(std::nullopt, config::kOtherSsrc));
    for (unsigned n = 1; n <= 3; n++) {
        stage.come(n, kFirst);
        stage.come(n, kAgain);
    }
    stage.left(kFirst);
    stage.mesh.set_forwarding(false);
    Modelled& model = stage;
    model.publish();
    for (unsigned n = 4; n <= 5; n++) {
        stage.come(n, kFirst);
        stage.come(n, kAgain);
    }
    CHECK(stage.out(kOut).empty());
    CHECK(stage.lab.ledger()[Drop::stopped] == 4);
    for (size_t path = 0; path < 2; path++) {
        CHECK(stage.came(path).packets.read() == 5);
        CHECK(stage.came(path).lost.read() == 0);
    }
}

TEST_CASE("repair on the port of both mends what neither brought", "[by-ssrc]") {
    // Media, and repair of each row of two, by another penstock.
    config::Track other = one_track();
    other.outputs[0].fec = config::OutputFec{
        .code = {.carriage = {rtp::fec::Scheme::flexfec, 110, false}, .matrix = {.columns = 2, .column_repair = false}},
        .port = 0};
    std::vector<Bytes> made;
    {
        Stage sender(other);
        for (unsigned n = 1; n <= 6; n++)
            sender.arrive(rtp_packet({.sequence = n, .timestamp = n * 3000, .ssrc = kFirst}));
        for (const Dissected& d : sender.out(kOut)) made.push_back(d.payload);
    }
    REQUIRE(made.size() == 9);
    config::Track track = twice(std::nullopt, config::kOtherSsrc);
    track.sources[0].fec = config::SourceFec{{rtp::fec::Scheme::flexfec, 110, false}, 0, 0};
    Twice stage(track);
    for (const Bytes& packet : made) {
        const bool media = (std::to_integer<unsigned>(packet[1]) & 0x7f) == 96;
        if (!media) {
            stage.arrive(packet);
            continue;
        }
        const unsigned n = at16(packet, 2);
        if (n == 3) continue;  // lost by both
        // Now this one, now that one has been silent for longer when repair comes.
        stage.come(n, n % 4 == 0 ? kAgain : kFirst);
        stage.come(n, n % 4 == 0 ? kFirst : kAgain);
    }
    auto left = stage.left(kFirst);
    std::ranges::sort(left);
    CHECK(left == numbers(1, 6));
    CHECK(stage.came(0).ssrc_changes.read() + stage.came(1).ssrc_changes.read() == 0);
}

TEST_CASE("who gets packets once more gets reports of them, with their own counts", "[by-ssrc]") {
    config::Track track = one_track();
    track.outputs[0].duplicate_after = 1ms;
    track.feedback = config::Feedback{};
    config::Output other;
    other.rtp = endpoint("10.0.1.21:6000");
    track.outputs.push_back(other);
    Twice stage(track);
    for (unsigned n = 1; n <= 10; n++) stage.arrive(rtp_packet({.sequence = n, .size = 112}));
    const auto& output = stage.track().outputs[0];
    const auto began = Steady::now();
    while (output.extras().repeated->packets.read() < 10 && Steady::now() - began < 20s) stage.lab.turn();
    stage.out(kOut);
    stage.arrive(sender_report(), 20001, 7001);
    std::vector<Dissected> to_it;
    for (const Dissected& d : stage.out(kOut))
        if (d.to == *Ip::parse("10.0.1.20")) to_it.push_back(d);
    REQUIRE(to_it.size() == 2);
    for (const Dissected& d : to_it) CHECK(d.to_port == 6001);
    const bool original_first = senders(to_it[0].payload) == std::set<uint32_t>{0x11223344};
    const Bytes& original = to_it[original_first ? 0 : 1].payload;
    const Bytes& duplicate = to_it[original_first ? 1 : 0].payload;
    CHECK(original == sender_report());
    CHECK(senders(duplicate) == std::set{flow::Repeat::ssrc_for(0x11223344)});
    CHECK(said(duplicate).name == "a@b");
    CHECK(said(duplicate).named == flow::Repeat::ssrc_for(0x11223344));
    rtp::each_packet(duplicate, [&](const rtp::RtcpPacket& p) {
        if (const auto info = rtp::sender_info(p)) {
            CHECK(info->packets == 10);
            CHECK(info->octets == 1000);
            CHECK(info->timestamp == 0xbb8);
        }
    });
    // What its receiver says of either is about the same packets.
    const auto hear = [&](std::string_view words) {
        stage.lab.arrive(packet().ipv4("10.0.1.20", "10.0.1.1").udp(6001, 20001).payload(hex(words)).build(), kOut);
        stage.lab.turn();
    };
    // A report of two blocks: 9 lost of the duplicate, 3 of the original; and a request for number 7 of the duplicate.
    hear(
        "82c9000d 00000001 eeddccbb 00000009 00000000 00000000 00000000 00000000"
        "11223344 00000003 00000000 00000000 00000000 00000000");
    CHECK(output.extras().feedback->lost.read() == 3);
    hear("80c90001 00000001 81cd0003 00000001 eeddccbb 00070000");
    CHECK(output.extras().feedback->resent.packets.read() == 1);
    const auto again = stage.out(kOut);
    REQUIRE(again.size() == 1);
    CHECK(at16(again[0].payload, 2) == 7);
    hear("80c90001 00000001 81ce0002 00000001 eeddccbb");
    CHECK(output.extras().feedback->key_frames.read() == 1);
    stage.out(kIn);
    CHECK(output.rtcp_packets() == 2);
    CHECK(output.extras().repeated->packets.read() == 10);
    // And that both end.
    stage.publish(stage.mesh.last_table());
    std::set<uint32_t> left;
    for (const Dissected& d : stage.out(kOut))
        if (d.to == *Ip::parse("10.0.1.20")) left.insert(said(d.payload).leaving);
    CHECK(left == std::set{0x11223344u, flow::Repeat::ssrc_for(0x11223344)});
}
