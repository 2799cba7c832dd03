#include "control/metrics/health.hpp"

#include <catch2/catch.hpp>

using namespace penstock;
using namespace std::chrono_literals;
using metrics::Pulse;
using News = Pulse::News;

namespace {

constexpr Instant kStart{1000s};

// Looks at a worker that stands, every 100 ms: what came out, and when.
Duration until(Pulse& pulse, uint64_t turns, News wanted, Instant from) {
    for (Instant now = from; now < from + 10s; now += Pulse::kLook)
        if (pulse.look(turns, now) == wanted) return now - from;
    return Duration::max();
}

}  // namespace

TEST_CASE("a worker that turns between looks is never stalled", "[health]") {
    Pulse pulse;
    for (unsigned i = 0; i < 100; i++) {
        CHECK(pulse.look(i, kStart + i * Pulse::kLook) == News::none);
        CHECK_FALSE(pulse.stalled());
    }
}

TEST_CASE("a worker that stands is told once, within a second, and once that it turns again", "[health]") {
    Pulse pulse;
    pulse.look(7, kStart);
    const Instant stands = kStart + Pulse::kLook;
    const Duration after = until(pulse, 7, News::stalled, stands);
    CHECK(after >= 300ms);
    CHECK(after < 900ms);
    CHECK(pulse.stalled());
    CHECK(pulse.look(7, stands + 2s) == News::none);  // said already
    CHECK(pulse.still() >= 1900ms);
    CHECK(pulse.look(8, stands + 3s) == News::recovered);
    CHECK_FALSE(pulse.stalled());
    CHECK(pulse.pause() >= 1900ms);
    CHECK(pulse.still() == 0s);
    CHECK(pulse.look(9, stands + 4s) == News::none);
}

TEST_CASE("a worker that never turned is stalled, too", "[health]") {
    Pulse pulse;
    CHECK(until(pulse, 0, News::stalled, kStart) < 900ms);
}

TEST_CASE("a pause of control itself is not held against the worker", "[health]") {
    Pulse pulse;
    pulse.look(7, kStart);
    CHECK(pulse.look(7, kStart + 60s) == News::none);
    CHECK_FALSE(pulse.stalled());
    CHECK(pulse.look(8, kStart + 60s + Pulse::kLook) == News::none);
}

TEST_CASE("ready is who has started, with every port up and every worker turning", "[health]") {
    std::vector<Pulse> workers(2);
    std::vector<metrics::PortHealth> ports{{"lan", ""}, {"wan", ""}};
    auto said = metrics::readiness(true, ports, workers);
    CHECK(said.ready);
    CHECK(said.text == "ready\n");

    said = metrics::readiness(false, ports, workers);
    CHECK_FALSE(said.ready);
    CHECK_THAT(said.text, Catch::StartsWith("starting"));

    ports[1].why_not = "interface eth1 has no carrier";
    until(workers[1], 0, News::stalled, kStart);
    said = metrics::readiness(true, ports, workers);
    CHECK_FALSE(said.ready);
    CHECK_THAT(said.text, Catch::Contains("port 'wan': interface eth1 has no carrier\n"));
    CHECK_THAT(said.text, Catch::Contains("worker 1: has not turned for 0.5 s\n"));
    CHECK_THAT(said.text, !Catch::Contains("lan") && !Catch::Contains("worker 0"));
}
