// Viewers that come late, by the real model: what each one gets is compared with what arrived, packet by packet.
#include "dataplane/late_stage.hpp"
#include "support/random.hpp"

using namespace penstock;
using namespace penstock::test;

TEST_CASE("a viewer that comes late begins with the key frame and goes on with what is live", "[late]") {
    const unsigned outputs = GENERATE(0u, 1u, 3u);
    LateStage stage(size_t{1} << 20, camera(outputs));
    stage.picture(true);
    stage.picture(false);
    const size_t begin = stage.arrived.size();
    stage.picture(true);
    for (unsigned i = 0; i < 40; i++) stage.picture(false);
    const uint64_t viewer = stage.play();
    CHECK_FALSE(stage.mesh.first_packet(viewer));
    stage.turn();
    const auto first = stage.mesh.first_packet(viewer);
    REQUIRE(first);
    CHECK(first->sequence == at16(stage.arrived[begin], 2));
    CHECK(first->timestamp == wire::load32(&stage.arrived[begin][4]));
    CHECK(stage.of(viewer).size() == 8);  // a turn brings no more
    CHECK_FALSE(stage.mesh.settle_viewers());
    auto next = Steady::now();
    stage.until([&] {  // live packets wait for their turn
        if (Steady::now() >= next) stage.picture(false), next = Steady::now() + std::chrono::milliseconds(10);
        return stage.live(viewer);
    });
    CHECK(difference(stage.of(viewer), stage.since(begin)) == "");
    for (unsigned i = 0; i < 3; i++) stage.picture(false);  // it is served by itself still
    CHECK(difference(stage.of(viewer), stage.since(begin)) == "");
    CHECK(stage.mesh.settle_viewers());
    stage.publish();
    CHECK_FALSE(stage.mesh.settle_viewers());
    CHECK(stage.track().flows->front().leg_count == outputs + 1);
    for (unsigned i = 0; i < 3; i++) stage.picture(i == 0);
    CHECK(difference(stage.of(viewer), stage.since(begin)) == "");
    CHECK(stage.mesh.viewer(viewer)->leg.state->packets.read() == stage.of(viewer).size());
    CHECK(stage.mesh.first_packet(viewer)->sequence == first->sequence);
    CHECK(stage.track().extras().history->counters().with_picture.read() == 1);
}

TEST_CASE("RTCP comes to a viewer that is catching up", "[late]") {
    LateStage stage;
    stage.picture(true);
    for (unsigned i = 0; i < 100; i++) stage.picture(false);
    const uint64_t viewer = stage.play();
    stage.turn();
    REQUIRE_FALSE(stage.live(viewer));
    stage.lab.arrive(packet().udp(6000, 20001).payload(report_of(stage.ssrc, stage.timestamp)).build(), kIn);
    stage.turn();
    CHECK(stage.got[5001].size() == 1);
}

TEST_CASE("without a key frame to begin with a viewer is live at once", "[late]") {
    struct Case {
        const char* what;
        size_t history;
        const char* encoding;
        unsigned pictures;  // after the key frame; none: there was none
        bool overrun;
    };
    const auto c = GENERATE(values<Case>({{"none came", 1 << 20, "H264/90000", 0, false},
                                          {"too long ago", 65536, "H264/90000", 200, true},
                                          {"another codec", 1 << 20, "VP8/90000", 10, false},
                                          {"off", 0, "H264/90000", 10, false}}));
    INFO(c.what);
    LateStage stage(c.history, camera(1, c.encoding));
    if (c.pictures != 0) stage.picture(true);
    for (unsigned i = 0; i < std::max(c.pictures, 10u); i++) stage.picture(false);
    const uint64_t viewer = stage.play();
    stage.turn();
    CHECK(stage.of(viewer).empty());
    const size_t begin = stage.arrived.size();
    stage.picture(false);
    CHECK(difference(stage.of(viewer), stage.since(begin)) == "");
    CHECK(stage.mesh.first_packet(viewer)->sequence == at16(stage.arrived[begin], 2));
    const auto& history = stage.track().extras().history;
    const bool keeps = c.history != 0 && std::string_view(c.encoding) == "H264/90000";
    CHECK((history != nullptr) == keeps);
    if (keeps) CHECK(history->counters().without_picture.read() == 1);
    if (keeps) CHECK(history->packets().counters().overruns.read() == (c.overrun ? 1 : 0));
}

TEST_CASE("forwarding that is stopped is stopped for those who catch up", "[late]") {
    LateStage stage;
    stage.picture(true);
    for (unsigned i = 0; i < 100; i++) stage.picture(false);
    const uint64_t viewer = stage.play();
    stage.turn();
    const size_t before = stage.of(viewer).size();
    CHECK(before == 8);
    stage.mesh.set_forwarding(false);
    stage.publish();
    for (const auto end = Steady::now() + std::chrono::milliseconds(50); Steady::now() < end;) stage.turn();
    CHECK(stage.of(viewer).size() == before);
    stage.mesh.set_forwarding(true);
    stage.publish();
    stage.until([&] { return stage.live(viewer); });
    CHECK(difference(stage.of(viewer), stage.since(0)) == "");
}

TEST_CASE("what FEC recovers is kept, too", "[late]") {
    Lab lab;
    rtp::fec::Encoder encoder({{}, {.columns = 4, .rows = 4}}, 1472);
    mesh::Mesh mesh(lan_and_wan(), {20000, 29999}, 1);
    mesh.keep_history(size_t{1} << 20);
    config::Stream stream = camera(0);
    stream.tracks[0].sources[0].fec = config::SourceFec{};
    REQUIRE(mesh.put(stream));
    lab.published().publish(mesh.compile());
    std::vector<Bytes> sent;
    for (unsigned n = 0; n < 12; n++) {
        Bytes p = rtp_packet({.sequence = n, .timestamp = n * 3000, .size = 12});
        append(p, hex(n == 1 ? "65 88" : "41 9a"));
        sent.push_back(p);
        const auto repair = encoder.protect(p);
        if (n != 1 && n != 6) lab.arrive(packet().payload(p).build(), kIn);
        if (!repair) continue;
        const auto head = repair->head.span();
        Bytes whole(head.begin(), head.end());
        append(whole, repair->body);
        const bool row = repair->line == rtp::fec::Line::row;
        lab.arrive(packet().udp(6000, row ? 20004 : 20002).payload(whole).build(), kIn);
    }
    lab.run();
    const rtp::History& kept = mesh.tracks()[0]->extras().history->packets();
    REQUIRE(kept.beginning());  // at a packet that never arrived
    for (unsigned n = 0; n < 12; n++) CHECK(std::ranges::equal(kept.packet(*kept.beginning() + n - 1), sent[n]));
}

// Viewers come, pause, go on, go; tracks are made anew; packets are lost. Whoever plays has got all that arrived since
// the key frame with which it began, each once, in order.
TEST_CASE("any number of viewers under traffic and changes", "[late]") {
    Random random;
    INFO("seed " << seed());
    LateStage stage(size_t{4} << 20);
    struct Watching {
        size_t begin;  // in `arrived`: where it has to begin
        size_t before = 0;
    };
    std::map<uint64_t, Watching> playing;
    std::vector<uint64_t> paused;
    size_t group = 0;  // in `arrived`: where the newest begins
    stage.picture(true);
    const auto check = [&](uint64_t viewer, bool all) {
        const Watching& w = playing.at(viewer);
        const std::vector<Bytes> got(stage.of(viewer).begin() + static_cast<long>(w.before), stage.of(viewer).end());
        std::vector<Bytes> expected = stage.since(w.begin);
        REQUIRE(got.size() <= expected.size());
        if (!all) expected.resize(got.size());
        REQUIRE(difference(got, expected) == "");
    };
    const auto start = [&](uint64_t viewer) {
        stage.mesh.play(viewer, true);
        playing[viewer] = {group, stage.of(viewer).size()};
        stage.publish();
        stage.turn();  // its beginning is settled
    };
    unsigned outputs = 1;
    for (unsigned n = 0; n < 600; n++) {
        if (random.chance(0.04)) group = stage.arrived.size(), stage.picture(true, random.between(1, 12));
        if (random.chance(0.7)) stage.picture(false, random.between(1, 6), random.between<size_t>(10, 1200));
        if (random.chance(0.03))
            stage.sequence = static_cast<uint16_t>(stage.sequence + random.between(1, 20));  // loss
        switch (random.below(16)) {
            case 0: start(stage.add()); break;
            case 1:
                if (!paused.empty()) {
                    start(paused.back());
                    paused.pop_back();
                }
                break;
            case 2:
            case 3:
                if (!playing.empty()) {
                    const uint64_t viewer = playing.begin()->first;
                    check(viewer, stage.live(viewer));
                    playing.erase(viewer);
                    random.chance(0.5) ? stage.mesh.remove_viewer(viewer) : stage.mesh.play(viewer, false);
                    if (stage.mesh.viewer(viewer) != nullptr) paused.push_back(viewer);
                    stage.publish();
                }
                break;
            case 4: REQUIRE(stage.mesh.put(camera(outputs = random.below(4)))); [[fallthrough]];
            case 5: stage.mesh.settle_viewers(); [[fallthrough]];
            case 6: stage.publish(); break;
            default: stage.turn();
        }
    }
    for (const auto& [viewer, watching] : playing) {
        stage.until([&] { return stage.live(viewer); });
        stage.picture(false);
        check(viewer, true);
    }
    CHECK(stage.track().extras().history->counters().overtaken.read() == 0);
}

TEST_CASE("whom the memory's end overtakes goes on with the next key frame, or live", "[late]") {
    const bool key_frame = GENERATE(true, false);
    LateStage stage(65536);
    stage.picture(true);
    for (unsigned i = 0; i < 20; i++) stage.picture(false);
    const uint64_t viewer = stage.play();
    stage.turn();
    REQUIRE(stage.of(viewer).size() == 8);
    // All that it waits for is overwritten within a few turns, in which time earns it little.
    for (unsigned i = 0; i < 200; i++) stage.arrive(stage.packet_of("7c 01", 1300));
    const size_t begin = stage.arrived.size();
    if (key_frame) stage.arrive(stage.packet_of("65 88", 100));
    stage.until([&] { return stage.live(viewer); });
    stage.picture(false);
    stage.until([&] { return stage.of(viewer).back() == stage.arrived.back(); });
    const auto& counters = stage.track().extras().history->counters();
    CHECK(counters.overtaken.read() != 0);
    auto& got = stage.of(viewer);
    const auto rest = stage.since(begin);
    REQUIRE(got.size() >= rest.size());
    CHECK(difference({got.end() - static_cast<long>(rest.size()), got.end()}, rest) == "");
    for (size_t i = 1; i < got.size(); i++)  // never backwards
        REQUIRE(static_cast<int16_t>(at16(got[i], 2) - at16(got[i - 1], 2)) > 0);
}
