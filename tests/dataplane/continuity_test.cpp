// A source that is restarted under viewers, by the real model: they see one SSRC and one numbering, outputs see what
// came; RTCP goes with the media, and what is asked for finds its way back.
#include <array>

#include "base/wire.hpp"
#include "dataplane/late_stage.hpp"
#include "flow/retransmission.hpp"
#include "rtp/rtcp/bye.hpp"

using namespace penstock;
using namespace penstock::test;

namespace {

struct Numbers {
    uint16_t sequence;
    uint32_t timestamp, ssrc;
};
Numbers numbers_of(const Bytes& p) {
    return {static_cast<uint16_t>(at16(p, 2)), wire::load32(&p[4]), wire::load32(&p[8])};
}

Bytes rest_of(const Bytes& p) {
    Bytes rest(p.begin(), p.begin() + 2);
    rest.insert(rest.end(), p.begin() + 12, p.end());
    return rest;
}

void restart(LateStage& stage) {
    stage.ssrc = stage.ssrc * 7 + 1;
    stage.sequence = static_cast<uint16_t>(stage.sequence * 3 + 20000);
    stage.timestamp = stage.timestamp * 5 + 12345;
}

// RTCP of a viewer.
void say(LateStage& stage, uint64_t viewer, const Bytes& rtcp) {
    const auto port = static_cast<uint16_t>(stage.ports[viewer] - 9000 + 1);
    stage.lab.arrive(packet().ipv4("10.0.1.30", "10.0.1.1").udp(5001, port).payload(rtcp).build(), kOut);
    stage.turn();
}

// All of these are asked for again.
Bytes nack_of(const std::vector<Bytes>& packets) {
    Bytes nack = hex("81cd0000 00000001");
    nack[3] = static_cast<std::byte>(2 + packets.size());
    append32(nack, numbers_of(packets[0]).ssrc);
    for (const Bytes& p : packets) {
        append16(nack, numbers_of(p).sequence);
        append16(nack, 0);
    }
    return nack;
}

// What leaves towards the source.
std::vector<Bytes> to_source(LateStage& stage) {
    std::vector<Bytes> all;
    for (const Sent& sent : stage.lab.sent(kIn)) all.push_back(dissect(sent.frame).payload);
    return all;
}

}  // namespace

TEST_CASE("viewers see a source that goes on, outputs see what came", "[continuity]") {
    const unsigned outputs = GENERATE(0u, 1u, 3u);
    const unsigned watching = GENERATE(1u, 3u);
    const bool over_tcp = GENERATE(false, true);
    INFO(outputs << " outputs, " << watching << " viewers" << (over_tcp ? ", and over TCP" : ""));
    LateStage stage(size_t{1} << 20, camera(outputs));
    std::vector<uint64_t> viewers;
    for (unsigned v = 0; v < watching; v++) viewers.push_back(stage.play());
    if (over_tcp) {
        const auto viewer = stage.mesh.add_viewer(
            {.stream = "camera", .track = "video", .agreed = {}, .to = endpoint("10.0.1.40:4000"), .channel = 0});
        REQUIRE(viewer);
        stage.mesh.play(*viewer, true);
        stage.publish();
    }
    const uint32_t ssrc = stage.ssrc;
    std::vector<Bytes> diverted;
    for (unsigned life = 0; life < 4; life++) {
        if (life != 0) restart(stage);
        for (unsigned i = 0; i < 5; i++) {
            stage.picture(i == 0);
            for (auto& d : stage.lab.diverted()) diverted.push_back(d.packet);
        }
        if (stage.mesh.settle_viewers()) stage.publish();
    }
    for (unsigned i = 0; i < outputs; i++) CHECK(difference(stage.got[6000 + 2 * i], stage.arrived) == "");
    const auto check = [&](const std::vector<Bytes>& got) {
        REQUIRE(got.size() == stage.arrived.size());
        uint16_t next = numbers_of(stage.arrived[0]).sequence;
        for (size_t i = 0; i < got.size(); i++) {
            const Numbers n = numbers_of(got[i]);
            REQUIRE(n.ssrc == ssrc);
            REQUIRE(n.sequence == next++);
            REQUIRE(rest_of(got[i]) == rest_of(stage.arrived[i]));
            if (i == 0) continue;
            const auto step = static_cast<int32_t>(n.timestamp - numbers_of(got[i - 1]).timestamp);
            // A test takes moments only: what passed is little.
            REQUIRE(step >= 0);
            REQUIRE(step < 90000 * 20);
        }
    };
    for (const uint64_t viewer : viewers) check(stage.of(viewer));
    if (over_tcp) check(diverted);
    CHECK(stage.track().seen_ssrc() == ssrc);
    CHECK(stage.track().extras().continuity->restarts() == 3);
}

TEST_CASE("RTCP of a source that was restarted goes with its media", "[continuity]") {
    const unsigned outputs = GENERATE(0u, 2u);
    LateStage stage(size_t{1} << 20, camera(outputs));
    const uint64_t viewer = stage.play();
    const uint32_t ssrc = stage.ssrc;
    stage.picture(true);
    const auto say = [&](uint32_t from, uint32_t timestamp) {
        const Bytes report = report_of(from, timestamp);
        stage.lab.arrive(packet().udp(6000, 20001).payload(report).build(), kIn);
        stage.turn();
        for (unsigned i = 0; i < outputs; i++) CHECK(stage.got[6001 + 2 * i].back() == report);
        return report;
    };
    CHECK(stage.got[5001].empty());
    const Bytes report = say(ssrc, stage.timestamp);
    REQUIRE(stage.got[5001].size() == 1);
    CHECK(stage.got[5001].back() == report);
    restart(stage);
    // It has sent no media yet: its time would mean nothing to them.
    say(stage.ssrc, stage.timestamp);
    CHECK(stage.got[5001].size() == 1);
    CHECK(stage.lab.ledger()[flow::Drop::rtcp_ssrc] == (outputs == 0 ? 1 : 0));
    stage.picture(true);
    say(stage.ssrc, stage.timestamp);
    REQUIRE(stage.got[5001].size() == 2);
    CHECK(stage.got[5001].back() == report_of(ssrc, numbers_of(stage.of(viewer).back()).timestamp));
}

TEST_CASE("who comes after a restart begins with what the new source sent", "[continuity]") {
    const unsigned outputs = GENERATE(0u, 1u);
    LateStage stage(size_t{1} << 20, camera(outputs));
    const uint64_t first = stage.play();
    stage.picture(true);
    for (unsigned i = 0; i < 3; i++) stage.picture(false);
    restart(stage);
    stage.picture(false);
    const uint64_t live = stage.play();
    stage.turn();
    CHECK(stage.of(live).empty());  // pictures of the former source are no beginning
    const size_t begin = stage.arrived.size();
    stage.picture(true);
    for (unsigned i = 0; i < 30; i++) stage.picture(false);
    const uint64_t late = stage.play();
    stage.until([&] { return stage.live(late); });
    stage.picture(false);
    const auto& all = stage.of(first);
    const auto& got = stage.of(late);
    CHECK(difference(got, {all.begin() + static_cast<long>(begin), all.end()}) == "");
    CHECK(stage.mesh.first_packet(late)->sequence == numbers_of(got[0]).sequence);
    CHECK(stage.mesh.first_packet(late)->timestamp == numbers_of(got[0]).timestamp);
}

TEST_CASE("who is catching up when the source is restarted gets all of both, in order", "[continuity]") {
    LateStage stage(size_t{1} << 20, camera(GENERATE(0u, 1u)));
    stage.picture(true);
    for (unsigned i = 0; i < 100; i++) stage.picture(false);
    const uint64_t viewer = stage.play();
    stage.turn();
    REQUIRE_FALSE(stage.live(viewer));
    const uint32_t ssrc = stage.ssrc;
    restart(stage);
    stage.picture(true);
    stage.picture(false);
    stage.until([&] { return stage.live(viewer); });
    const auto& got = stage.of(viewer);
    REQUIRE(got.size() == stage.arrived.size());
    for (size_t i = 0; i < got.size(); i++) {
        REQUIRE(rest_of(got[i]) == rest_of(stage.arrived[i]));
        REQUIRE(numbers_of(got[i]).sequence == static_cast<uint16_t>(65500 + i));
        REQUIRE(numbers_of(got[i]).ssrc == ssrc);
    }
    CHECK(stage.track().extras().history->packets().counters().restarts.read() == 0);
}

TEST_CASE("what a viewer asks for again is found, before a restart and after", "[continuity]") {
    const unsigned outputs = GENERATE(0u, 1u);
    auto stream = camera(outputs);
    stream.tracks[0].feedback = config::Feedback{};
    LateStage stage(0, stream);
    const uint64_t viewer = stage.play();
    const uint32_t ssrc = stage.ssrc;
    stage.picture(false);
    restart(stage);
    stage.picture(false);
    const auto sent = stage.of(viewer);
    REQUIRE(sent.size() == 8);
    stage.of(viewer).clear();
    say(stage, viewer, nack_of(sent));
    CHECK(difference(stage.of(viewer), sent) == "");
    // A key frame is asked of the source by the name that it has itself.
    stage.lab.arrive(packet().udp(6001, 20001).payload(report_of(stage.ssrc, 1)).build(), kIn);
    stage.turn();
    to_source(stage);
    Bytes pli = hex("81ce0002 00000001");
    append32(pli, ssrc);
    say(stage, viewer, pli);
    const auto asked = to_source(stage);
    REQUIRE(asked.size() == 1);
    CHECK(wire::load32(&asked[0][asked[0].size() - 4]) == stage.ssrc);
}

TEST_CASE("what a viewer asks for again in a stream of its own has the number that the viewer knows", "[continuity]") {
    const unsigned outputs = GENERATE(0u, 1u);
    auto stream = camera(outputs);
    stream.tracks[0].feedback = config::Feedback{};
    LateStage stage(0, stream);
    const uint64_t viewer = stage.play(rtp::RtxStream{97, 0});
    const uint32_t ssrc = stage.ssrc;
    stage.picture(false);
    restart(stage);
    stage.picture(false);
    const auto sent = stage.of(viewer);
    REQUIRE(sent.size() == 8);
    stage.of(viewer).clear();
    say(stage, viewer, nack_of(sent));
    std::vector<Bytes> again;
    for (const Bytes& rtx : stage.of(viewer)) {
        std::array<std::byte, 2048> room;
        const auto packet = rtp::read_rtx(room, rtx, {static_cast<uint8_t>(at8(sent[0], 1) & 0x7f), ssrc});
        REQUIRE(packet);
        again.emplace_back(packet->begin(), packet->end());
    }
    CHECK(difference(again, sent) == "");
}

TEST_CASE("a source that was restarted is asked for a key frame", "[continuity]") {
    LateStage stage;
    stage.play();
    stage.picture(true);
    stage.lab.arrive(packet().udp(6001, 20001).payload(report_of(stage.ssrc, 1)).build(), kIn);
    stage.turn();
    to_source(stage);
    restart(stage);
    stage.picture(false);
    const auto asked = to_source(stage);
    REQUIRE(asked.size() == 1);
    CHECK(wire::load32(&asked[0][asked[0].size() - 4]) == stage.ssrc);
    stage.picture(false);
    CHECK(to_source(stage).empty());
}

TEST_CASE("whoever is told that a track ended is told by the SSRC that he saw", "[continuity]") {
    LateStage stage;
    stage.play();
    const uint32_t seen = stage.ssrc;
    stage.picture(true);
    restart(stage);
    stage.picture(true);
    stage.lab.arrive(packet().udp(6001, 20001).payload(report_of(stage.ssrc, 1)).build(), kIn);
    stage.turn();
    stage.lab.sent(kOut);
    stage.lab.published().publish(stage.mesh.last_table());
    stage.lab.turn();
    std::map<unsigned, uint32_t> left;  // by receiver: who leaves
    for (const Dissected& copy : stage.out(kOut))
        if (rtp::says_bye(copy.payload)) left[copy.to_port] = wire::load32(&copy.payload[copy.payload.size() - 4]);
    CHECK(left == std::map<unsigned, uint32_t>{{6001, stage.ssrc}, {5001, seen}});
}

TEST_CASE("of a track with delay, restarted, viewers see one numbering in order", "[continuity]") {
    auto stream = camera(1);
    stream.tracks[0].delay = std::chrono::milliseconds{500};
    LateStage stage(0, stream);
    const uint64_t viewer = stage.play();
    const uint32_t seen = stage.ssrc;
    for (unsigned life = 0; life < 3; life++) {
        if (life != 0) restart(stage);
        for (unsigned i = 0; i < 2; i++) stage.arrive(stage.packet_of("41 9a", 20));  // then a source is known
        const Bytes a = stage.packet_of("41 9a", 20), b = stage.packet_of("41 9a", 20);
        for (const Bytes& p : {b, a}) stage.arrive(p);
        stage.until([&] { return stage.of(viewer).size() == 4 * (life + 1); });
    }
    uint16_t next = 65500;
    for (const Bytes& p : stage.of(viewer)) {
        CHECK(numbers_of(p).sequence == next++);
        CHECK(numbers_of(p).ssrc == seen);
    }
}
