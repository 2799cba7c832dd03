// RTCP to receivers in the name of the source, by the real model: sender reports of what left, and BYE.
#include <algorithm>
#include <chrono>
#include <optional>

#include "base/wire.hpp"
#include "dataplane/told.hpp"
#include "rtp/rtcp/report.hpp"
#include "rtp/rtcp/writer.hpp"

using namespace penstock;
using namespace penstock::test;
using namespace std::chrono_literals;
using rtp::RtcpType;

namespace {

std::optional<rtp::SenderInfo> info_of(const Bytes& rtcp) {
    std::optional<rtp::SenderInfo> info;
    rtp::each_packet(rtcp, [&](const rtp::RtcpPacket& p) {
        if (const auto one = rtp::sender_info(p)) info = one;
    });
    return info;
}

}  // namespace

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
