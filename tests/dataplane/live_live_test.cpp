// What goes twice, by the real model: two paths with SSRCs of their own, packets that are sent once more.
#include <catch2/catch.hpp>

#include <chrono>
#include <thread>

#include "base/wire.hpp"
#include "dataplane/modelled.hpp"
#include "flow/repeat.hpp"

using namespace penstock;
using namespace penstock::test;
using flow::Drop;

namespace {

struct Paths : Modelled {
    explicit Paths(const config::Track& track) { put(track); }
    void arrive(unsigned sequence, uint32_t ssrc, unsigned port = 20000) {
        lab.arrive(packet().udp(6000, port).payload(rtp_packet({.sequence = sequence, .ssrc = ssrc})).build(), kIn);
        lab.run();
    }
    std::vector<Bytes> left() {
        std::vector<Bytes> all;
        for (const Dissected& copy : out(kOut)) all.push_back(copy.payload);
        return all;
    }
};

config::Track two_paths() {
    config::Track track = video_track();
    track.sources.emplace_back().rtp = endpoint("10.0.0.1:20100");
    track.outputs.emplace_back().rtp = endpoint("10.0.1.20:6000");
    return track;
}

}  // namespace

TEST_CASE("two paths with SSRCs of their own leave under one", "[live-live]") {
    Paths stage(two_paths());
    for (unsigned n = 1; n <= 60; n++) {
        if (n % 5 != 3) stage.arrive(n, 0xaaaa1111, 20000);
        if (n % 5 != 4) stage.arrive(n, 0xbbbb2222, 20100);
    }
    const auto left = stage.left();
    REQUIRE(left.size() == 60);
    for (unsigned n = 0; n < 60; n++) {
        CHECK(at16(left[n], 2) == n + 1);
        CHECK(wire::load32(&left[n][8]) == 0xaaaa1111);
    }
}

TEST_CASE("what one of two paths brings too late or from elsewhere is dropped by name", "[live-live]") {
    auto track = two_paths();
    track.skew = std::chrono::milliseconds(1);
    Paths stage(track);
    stage.arrive(1, 7);
    stage.arrive(3, 7);
    std::this_thread::sleep_until(std::chrono::steady_clock::now() + std::chrono::milliseconds(3));
    stage.arrive(2, 7, 20100);
    stage.arrive(30'000, 8, 20100);
    CHECK(stage.left().size() == 2);
    CHECK(stage.lab.ledger()[Drop::path_late] == 1);
    CHECK(stage.lab.ledger()[Drop::path_apart] == 1);
    CHECK(stage.track().paths[1].state->extras().arrivals.late.read() == 1);
}

TEST_CASE("packets are sent once more when their time has come, under another SSRC", "[live-live]") {
    constexpr std::chrono::milliseconds kDelay{5};
    config::Track track;
    track.sources.emplace_back().rtp = endpoint("10.0.0.1:20000");
    track.outputs.emplace_back().rtp = endpoint("10.0.1.20:6000");
    track.outputs.back().duplicate_after = kDelay;
    track.outputs.emplace_back().rtp = endpoint("10.0.1.21:6000");
    Paths stage(track);
    const auto began = Steady::now();
    for (unsigned n = 1; n <= 10; n++) stage.arrive(n, 0x12345678);
    std::vector<Bytes> copies, others;
    const auto take = [&] {
        for (Bytes& packet : stage.left()) (wire::load32(&packet[8]) == 0x12345678 ? others : copies).push_back(packet);
    };
    take();
    CHECK(others.size() == 20);
    if (Steady::now() - began < kDelay) CHECK(copies.empty());
    while (copies.size() < 10 && Steady::now() - began < std::chrono::seconds(5)) {
        stage.lab.run();
        take();
        if (!copies.empty()) CHECK(Steady::now() - began >= kDelay);
    }
    REQUIRE(copies.size() == 10);
    for (unsigned n = 0; n < 10; n++) {
        CHECK(at16(copies[n], 2) == n + 1);
        CHECK(wire::load32(&copies[n][8]) == ~0x12345678u);
        CHECK(std::equal(copies[n].begin() + 12, copies[n].end(), others[2 * n].begin() + 12));
    }
    CHECK(stage.track().outputs[0].extras().repeated->packets.read() == 10);
    CHECK(stage.track().outputs[0].state->packets.read() == 10);
    CHECK(others.size() == 20);
}
