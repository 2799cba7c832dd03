// Control publishes as fast as it may while a worker forwards. Under TSan this is the proof of dataplane/rcu.hpp.
#include <catch2/catch.hpp>

#include <thread>

#include "dataplane/lab.hpp"
#include "flow/publisher.hpp"
#include "support/media.hpp"

using namespace penstock;
using namespace penstock::test;

TEST_CASE("tables change under traffic: each packet sees one whole table, and old ones are freed", "[race]") {
    constexpr unsigned kTables = 3000, kLegs = 3;
    Lab lab;
    std::atomic<bool> stop{false};
    std::atomic<unsigned> turns{0}, torn{0}, forwarded{0};
    // All packets stay with this one thread: the library's pools are not instrumented, so TSan cannot see them change
    // hands.
    std::thread worker([&] {
        while (!stop.load()) {
            for (unsigned i = 0; i < 8; i++) lab.arrive(packet().payload(rtp_packet({.sequence = i})).build());
            lab.worker().turn();
            const auto out = lab.sent(1);
            // All copies of a packet have the TTL and the receiver port that this table gave them.
            for (size_t i = 0; i + kLegs <= out.size(); i += kLegs)
                for (size_t leg = 0; leg < kLegs; leg++) {
                    const unsigned ttl = at8(out[i].frame, 22);
                    torn +=
                        at8(out[i + leg].frame, 22) != ttl || at16(out[i + leg].frame, 36) != 6000 + 256 * leg + ttl;
                }
            torn += out.size() % kLegs != 0;
            forwarded += static_cast<unsigned>(out.size());
            turns++;
        }
    });
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    size_t most_pending = 0, pending = 0;
    for (unsigned i = 0; i < kTables; i++) {
        TrackPlan plan;
        const unsigned ttl = 1 + i % 250;
        for (unsigned leg = 0; leg < kLegs; leg++) {
            plan.legs.push_back(leg_to("10.0.1.20:" + std::to_string(6000 + 256 * leg + ttl), 1));
            plan.legs.back().ttl = static_cast<uint8_t>(ttl);
        }
        lab.publish(make_track(plan).flows());
        // As control does it: when too many wait for their grace period, collect changes instead of publishing.
        while ((pending = lab.published().reclaim()) > flow::Publisher::kMaxPending &&
               std::chrono::steady_clock::now() < deadline)
            std::this_thread::yield();
        most_pending = std::max(most_pending, pending);
    }
    while (lab.published().reclaim() != 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    CHECK(lab.published().reclaim() == 0);
    while (forwarded < 1000 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    stop = true;
    worker.join();
    CHECK(torn == 0);
    CHECK(forwarded >= 1000);
    CHECK(most_pending <= flow::Publisher::kMaxPending);
    CHECK(lab.ledger().balanced());
}

TEST_CASE("a table that a worker may still read is not freed", "[race]") {
    Lab lab;
    Track track = make_track({});
    const std::weak_ptr<const flow::Flow> watched = track.rtp;
    lab.publish({track.rtp});
    track = {};
    lab.turn();
    REQUIRE(lab.published().reclaim() == 0);
    REQUIRE_FALSE(watched.expired());
    lab.publish({});
    CHECK(lab.published().reclaim() == 1);  // the worker has not passed through a quiescent state
    CHECK_FALSE(watched.expired());
    lab.turn();
    CHECK(lab.published().reclaim() == 0);
    CHECK(watched.expired());
}
