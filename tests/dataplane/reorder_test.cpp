// Tracks with a delay, by the real model: packets leave in order, late ones are dropped by name, what waits leaves by
// itself when its time is over, and nothing of it is lost when the configuration changes.
#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <thread>

#include "base/wire.hpp"
#include "dataplane/stage.hpp"
#include "support/fec.hpp"

using namespace penstock;
using namespace penstock::test;
using namespace std::chrono_literals;
using flow::Drop;

namespace {

config::Track track_of(std::chrono::milliseconds delay) {
    config::Track track = one_track();
    track.delay = delay;
    return track;
}

struct Order : Stage {
    std::vector<unsigned> got;  // numbers that left, of one copy each

    using Stage::Stage;
    const flow::ReorderCounters& counters() { return track().extras().reorder->counters(); }
    void media(unsigned sequence, unsigned port = 20000) { arrive(rtp_packet({.sequence = sequence}), port); }
    const std::vector<unsigned>& left() {
        for (const Dissected& d : out(kOut)) {
            CHECK(d.ttl == 64);
            if (d.to_port != 6000) continue;
            CHECK(d.payload == rtp_packet({.sequence = at16(d.payload, 2)}));
            got.push_back(at16(d.payload, 2));
        }
        return got;
    }
    // Until so many have left, or far too long a time.
    std::chrono::duration<double> wait_for(size_t packets) {
        const auto began = Steady::now();
        while (left().size() < packets && Steady::now() - began < 5s) lab.turn();
        return Steady::now() - began;
    }
};

using Numbers = std::vector<unsigned>;

}  // namespace

TEST_CASE("packets that come in disorder leave in order, and the ledger balances", "[reorder]") {
    config::Track track = track_of(1000ms);
    track.outputs.emplace_back().rtp = endpoint("10.0.1.21:6002");
    Order stage(track);
    for (const unsigned n : {65533u, 65534u, 0u, 2u, 1u, 65535u, 3u, 5u, 5u, 4u, 4u, 6u}) stage.media(n);
    CHECK(stage.left() == Numbers{65533, 65534, 65535, 0, 1, 2, 3, 4, 5, 6});
    const flow::Ledger ledger = stage.lab.ledger();
    CHECK(ledger.delayed == 4);
    CHECK(ledger.duplicate == 2);
    CHECK(ledger.forwarded == 6);
    CHECK(ledger.tx_wanted == 20);
    CHECK(stage.counters().held.read() == 0);
    CHECK(stage.counters().reordered.read() == 4);
}

TEST_CASE("what waits leaves when its time is over though nothing comes any more, and what comes then is late",
          "[reorder]") {
    Order stage(track_of(20ms));
    stage.media(1);
    stage.media(3);
    stage.media(4);
    if (stage.left().size() == 1) CHECK(stage.counters().held.read() == 2);
    const auto waited = stage.wait_for(3);
    CHECK(waited > 10ms);
    CHECK(waited < 2s);
    CHECK(stage.left() == Numbers{1, 3, 4});
    stage.media(2);
    CHECK(stage.left() == Numbers{1, 3, 4});
    CHECK(stage.lab.ledger()[Drop::delay_late] == 1);
    CHECK(stage.counters().late.read() == 1);
    CHECK(stage.counters().missing.read() == 1);
}

// Under the same SSRC: RFC 3550 appendix A.1. Since its timestamps go on, the first may only be late.
TEST_CASE("a source that restarts below its former numbers goes on leaving", "[reorder]") {
    Order stage(track_of(1000ms));
    Numbers expected;
    for (unsigned n = 5000; n < 5200; n++) stage.media(n), expected.push_back(n);
    stage.media(5201);  // waits for 5200
    expected.push_back(5201);
    for (unsigned n = 4000; n < 4200; n++) {
        stage.media(n);
        if (n >= 4000 + rtp::Reception::kLateRun - 1) expected.push_back(n);
    }
    CHECK(stage.left() == expected);
    CHECK(stage.lab.ledger()[Drop::delay_late] == rtp::Reception::kLateRun - 1);
}

TEST_CASE("a worker that sleeps wakes in time", "[reorder]") {
    Order stage(track_of(20ms), {.sleep_when_idle = true});
    stage.media(1);
    stage.media(3);
    std::atomic<bool> stop{false};
    const auto began = Steady::now();
    std::thread worker([&] { stage.lab.worker().run(stop); });
    // By the counter: what left is the worker's until it has ended.
    while (stage.track().outputs[0].state->packets.read() < 2 && Steady::now() - began < 5s) std::this_thread::yield();
    const auto took = Steady::now() - began;
    stop = true;
    worker.join();
    CHECK(stage.left() == Numbers{1, 3});
    CHECK(took < 1s);
}

TEST_CASE("what the second path and FEC bring in time takes its place", "[reorder]") {
    config::Track track = track_of(1000ms);
    track.sources.emplace_back().rtp = endpoint("10.0.0.1:20100");
    Order stage(track);
    for (const unsigned n : {1u, 3u, 4u}) stage.media(n);
    stage.media(2, 20100);
    stage.media(3, 20100);
    CHECK(stage.left() == Numbers{1, 2, 3, 4});
    CHECK(stage.lab.ledger().duplicate == 1);

    track = track_of(1000ms);
    track.sources[0].fec = config::SourceFec{};
    Order mended(track);
    rtp::fec::Code code;
    code.matrix = {.columns = 1, .rows = 4, .row_repair = false};
    rtp::fec::Encoder encoder(code, 1500);
    std::optional<Bytes> repair;
    for (unsigned n = 100; n < 110; n++) {
        const Bytes media = rtp_packet({.sequence = n});
        const auto made = encoder.protect(media);
        if (made && !repair) {
            const auto head = made->head.span();
            repair.emplace(head.begin(), head.end());
            repair->insert(repair->end(), made->body.begin(), made->body.end());
        }
        if (n != 102) mended.media(n);
        if (n == 105) CHECK(mended.left() == Numbers{100, 101});
        if (n == 105) {
            REQUIRE(repair);
            mended.lab.arrive(packet().udp(7000, 20002).payload(*repair).build(), kIn);
            mended.lab.turn();
            CHECK(mended.left() == Numbers{100, 101, 102, 103, 104, 105});
        }
    }
    CHECK(mended.left().size() == 10);
}

TEST_CASE("repair for outputs, and packets that are sent again, follow the order in which packets leave", "[reorder]") {
    config::Track track = track_of(1000ms);
    track.outputs[0].fec = config::OutputFec{};
    track.outputs[0].fec->code.matrix = {.columns = 4, .rows = 4, .row_repair = false};
    track.feedback = config::Feedback{};
    Order stage(track);
    for (unsigned n = 0; n < 40; n += 4)
        for (const unsigned more : {0u, 3u, 2u, 1u}) stage.media(n + more);
    CHECK(std::ranges::is_sorted(stage.left()));
    CHECK(stage.left().size() == 40);
    CHECK(stage.track().extras().encodings[0].encoder->counters().abandoned.read() == 0);
    CHECK(stage.track().outputs[0].extras().repair->packets.read() >= 4);
}

TEST_CASE("another delay, or none: what waits leaves before what comes then", "[reorder]") {
    Order stage(track_of(1000ms));
    for (const unsigned n : {1u, 3u, 4u}) stage.media(n);
    stage.put(track_of(500ms));
    stage.media(5);
    CHECK(stage.left() == Numbers{1, 3, 4, 5});
    stage.media(7);
    stage.put(track_of(0ms));
    stage.media(8);
    CHECK(stage.left() == Numbers{1, 3, 4, 5, 7, 8});
    stage.put(track_of(300ms));
    for (const unsigned n : {9u, 11u}) stage.media(n);
    config::Track more = track_of(300ms);
    more.outputs.emplace_back().rtp = endpoint("10.0.1.21:6002");
    stage.put(more);  // the buffer stays
    stage.media(10);
    CHECK(stage.left() == Numbers{1, 3, 4, 5, 7, 8, 9, 10, 11});
}

TEST_CASE("stopped, what came before leaves when its time is over", "[reorder]") {
    Order stage(track_of(10ms));
    stage.media(1);
    stage.media(3);
    stage.mesh.set_forwarding(false);
    stage.publish(stage.mesh.compile());
    stage.wait_for(2);
    CHECK(stage.left() == Numbers{1, 3});
}

TEST_CASE("packets do not wait in the last buffers", "[reorder]") {
    Order stage(track_of(1000ms), {.mbufs = 1024});
    std::vector<rte_mbuf*> taken;
    while (rte_mempool_avail_count(stage.lab.pools().packet) > 1024 / 8)
        taken.push_back(rte_pktmbuf_alloc(stage.lab.pools().packet));
    stage.media(1);
    stage.media(3);
    CHECK(stage.left() == Numbers{1, 3});
    CHECK(stage.counters().cut_short.read() == 1);
    CHECK(stage.counters().missing.read() == 1);
    for (rte_mbuf* m : taken) rte_pktmbuf_free(m);
    for (int i = 0; i < 2; i++) stage.media(5);
    CHECK(stage.left() == Numbers{1, 3});
}
