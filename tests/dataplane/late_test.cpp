// Viewers that come late, by the real model: what each one gets is compared with what arrived, packet by packet.
#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <map>

#include "control/mesh/mesh.hpp"
#include "dataplane/lab.hpp"
#include "support/dissect.hpp"
#include "support/media.hpp"
#include "support/random.hpp"

using namespace penstock;
using namespace penstock::test;
using Steady = std::chrono::steady_clock;

namespace {

constexpr uint16_t kIn = 0, kOut = 1;

std::vector<flow::PortInfo> two_ports(uint16_t workers) {
    std::vector<flow::PortInfo> all(2);
    for (uint16_t i = 0; i < 2; i++) {
        all[i].index = i;
        all[i].name = i == 0 ? "lan" : "wan";
        all[i].mac = mac("02:00:00:00:00:01");
        all[i].multi_segment = true;
        all[i].rx_workers = {0};
        if (workers > 1) all[i].rx_workers.push_back(1);
    }
    return all;
}

config::Stream camera(unsigned outputs, const std::string& encoding = "H264/90000") {
    config::Stream s;
    s.name = "camera";
    config::Track track;
    track.media = "video";
    track.encoding = encoding;
    track.sources.emplace_back().rtp = endpoint("10.0.0.1:20000");
    for (unsigned i = 0; i < outputs; i++)
        track.outputs.emplace_back().rtp = endpoint("10.0.1.20:" + std::to_string(6000 + 2 * i));
    s.tracks.push_back(std::move(track));
    return s;
}

// Where they differ first, in few words; empty: nowhere. Catch would print them whole.
std::string difference(const std::vector<Bytes>& got, const std::vector<Bytes>& wanted) {
    const auto [g, w] = std::ranges::mismatch(got, wanted);
    if (g == got.end() && w == wanted.end()) return "";
    const auto number = [](auto at, const auto& of) { return at == of.end() ? "end" : std::to_string(at16(*at, 2)); };
    return "packet " + std::to_string(g - got.begin()) + " of " + std::to_string(got.size()) + " is " + number(g, got) +
           ", wanted of " + std::to_string(wanted.size()) + ": " + number(w, wanted);
}

// A model and a worker, and a source whose groups of pictures begin when the test says so.
struct Stage {
    Lab lab;
    mesh::Mesh mesh;
    uint16_t sequence = 65500;
    uint32_t timestamp = 0xffffff00;
    uint32_t ssrc = 0x5eed5eed;
    std::vector<Bytes> arrived;
    std::map<unsigned, std::vector<Bytes>> got;  // by port of the receiver
    std::map<uint64_t, unsigned> ports;          // by viewer
    unsigned next_port = 30000;

    explicit Stage(size_t history = size_t{1} << 20, const config::Stream& stream = camera(1), unsigned workers = 1)
        : lab({.workers = workers}), mesh(two_ports(static_cast<uint16_t>(workers)), {20000, 29999}, 1) {
        mesh.keep_history(history);
        REQUIRE(mesh.put(stream));
        publish();
    }
    const mesh::Track& track() { return *mesh.tracks()[0]; }
    void publish() {
        const flow::NextHop hop{
            .port = kOut, .mac = mac("02:00:00:00:01:20"), .source = *Ip::parse("10.0.1.1"), .mtu = 1500};
        for (const flow::Destination& to : mesh.take_destinations().wanted) mesh.resolve(to, {hop, ""});
        if (auto table = mesh.compile()) lab.published().publish(std::move(table));
        lab.published().reclaim();
    }
    void turn() {
        lab.turn();
        for (const Sent& sent : lab.sent(kOut)) {
            const Dissected copy = dissect(sent.frame);
            REQUIRE(copy.lengths);
            REQUIRE(copy.ip_sum == Sum::right);
            REQUIRE(copy.udp_sum == Sum::right);
            if (copy.payload.size() > 12) got[copy.to_port].push_back(copy.payload);
        }
    }
    Bytes packet_of(const char* begin, size_t size) {
        Bytes p = rtp_packet({.sequence = sequence++, .timestamp = timestamp, .ssrc = ssrc, .size = 12});
        append(p, hex(begin));
        append(p, numbered(size, sequence));
        return p;
    }
    void arrive(const Bytes& p) {
        arrived.push_back(p);
        lab.arrive(packet().payload(p).build(), kIn);
    }
    void picture(bool key, unsigned packets = 4, size_t size = 200) {
        timestamp += 3000;
        if (key) arrive(packet_of("67 42c01e", 10));
        arrive(packet_of(key ? "7c 85" : "7c 81", size));
        for (unsigned i = 1; i < packets; i++) arrive(packet_of(key ? "7c 05" : "7c 01", size));
        turn();
    }
    uint64_t add() {
        next_port += 2;
        const auto viewer =
            mesh.add_viewer({.stream = "camera",
                             .track = "video",
                             .agreed = {{*Ip::parse("10.0.1.1"), static_cast<uint16_t>(next_port - 9000)}, 5001},
                             .to = {*Ip::parse("10.0.1.30"), static_cast<uint16_t>(next_port)}});
        REQUIRE(viewer);
        ports[*viewer] = next_port;
        return *viewer;
    }
    uint64_t play() {
        const uint64_t viewer = add();
        mesh.play(viewer, true);
        publish();
        return viewer;
    }
    std::vector<Bytes>& of(uint64_t viewer) { return got[ports[viewer]]; }
    bool live(uint64_t viewer) {
        const auto& join = mesh.viewer(viewer)->join;
        return !join || join->live();
    }
    template <class Condition>
    void until(Condition condition) {
        for (const auto end = Steady::now() + std::chrono::seconds(20); !condition();) {
            REQUIRE(Steady::now() < end);
            turn();
        }
    }
    std::vector<Bytes> since(size_t first) const { return {arrived.begin() + static_cast<long>(first), arrived.end()}; }
};

}  // namespace

TEST_CASE("a viewer that comes late begins with the key frame and goes on with what is live", "[late]") {
    const unsigned outputs = GENERATE(0u, 1u, 3u);
    Stage stage(size_t{1} << 20, camera(outputs));
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
    CHECK(stage.track().flows[0]->leg_count == outputs + 1);
    for (unsigned i = 0; i < 3; i++) stage.picture(i == 0);
    CHECK(difference(stage.of(viewer), stage.since(begin)) == "");
    CHECK(stage.mesh.viewer(viewer)->leg.rtp->packets.read() == stage.of(viewer).size());
    CHECK(stage.mesh.first_packet(viewer)->sequence == first->sequence);
    CHECK(stage.track().history->counters().with_picture.read() == 1);
}

TEST_CASE("RTCP comes to a viewer that is catching up", "[late]") {
    Stage stage;
    stage.picture(true);
    for (unsigned i = 0; i < 100; i++) stage.picture(false);
    const uint64_t viewer = stage.play();
    stage.turn();
    REQUIRE_FALSE(stage.live(viewer));
    stage.lab.arrive(packet().udp(6000, 20001).payload(sender_report()).build(), kIn);
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
    Stage stage(c.history, camera(1, c.encoding));
    if (c.pictures != 0) stage.picture(true);
    for (unsigned i = 0; i < std::max(c.pictures, 10u); i++) stage.picture(false);
    const uint64_t viewer = stage.play();
    stage.turn();
    CHECK(stage.of(viewer).empty());
    const size_t begin = stage.arrived.size();
    stage.picture(false);
    CHECK(difference(stage.of(viewer), stage.since(begin)) == "");
    CHECK(stage.mesh.first_packet(viewer)->sequence == at16(stage.arrived[begin], 2));
    const auto& history = stage.track().history;
    const bool keeps = c.history != 0 && std::string_view(c.encoding) == "H264/90000";
    CHECK((history != nullptr) == keeps);
    if (keeps) CHECK(history->counters().without_picture.read() == 1);
    if (keeps) CHECK(history->packets().counters().overruns.read() == (c.overrun ? 1 : 0));
}

TEST_CASE("forwarding that is stopped is stopped for those who catch up", "[late]") {
    Stage stage;
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
    mesh::Mesh mesh(two_ports(1), {20000, 29999}, 1);
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
    const rtp::History& kept = mesh.tracks()[0]->history->packets();
    REQUIRE(kept.beginning());  // at a packet that never arrived
    for (unsigned n = 0; n < 12; n++) CHECK(std::ranges::equal(kept.packet(*kept.beginning() + n - 1), sent[n]));
}

// Viewers come, pause, go on, go; tracks are made anew; packets are lost. Whoever plays has got all that arrived since
// the key frame with which it began, each once, in order.
TEST_CASE("any number of viewers under traffic and changes", "[late]") {
    Random random;
    INFO("seed " << seed());
    Stage stage(size_t{4} << 20);
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
    CHECK(stage.track().history->counters().overtaken.read() == 0);
}

TEST_CASE("whom the memory's end overtakes goes on with the next key frame, or live", "[late]") {
    const bool key_frame = GENERATE(true, false);
    Stage stage(65536);
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
    const auto& counters = stage.track().history->counters();
    CHECK(counters.overtaken.read() != 0);
    auto& got = stage.of(viewer);
    const auto rest = stage.since(begin);
    REQUIRE(got.size() >= rest.size());
    CHECK(difference({got.end() - static_cast<long>(rest.size()), got.end()}, rest) == "");
    for (size_t i = 1; i < got.size(); i++)  // never backwards
        REQUIRE(static_cast<int16_t>(at16(got[i], 2) - at16(got[i - 1], 2)) > 0);
}

TEST_CASE("a source that restarts makes those who catch up live", "[late]") {
    Stage stage;
    stage.picture(true);
    for (unsigned i = 0; i < 100; i++) stage.picture(false);
    const uint64_t viewer = stage.play();
    stage.turn();
    REQUIRE_FALSE(stage.live(viewer));
    stage.ssrc = 1;
    stage.sequence = 30000;
    const size_t begin = stage.arrived.size();
    stage.picture(true);
    stage.picture(false);
    CHECK(stage.live(viewer));
    auto& got = stage.of(viewer);
    const auto rest = stage.since(begin);
    REQUIRE(got.size() > rest.size());
    CHECK(std::equal(rest.begin(), rest.end(), got.end() - static_cast<long>(rest.size())));
    CHECK(stage.track().history->packets().counters().restarts.read() == 1);
}
