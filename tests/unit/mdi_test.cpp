#include "rtp/mdi.hpp"

#include <catch2/catch.hpp>

using penstock::rtp::Mdi;

namespace {

constexpr uint64_t kSecond = uint64_t{1} << 32;

}  // namespace

TEST_CASE("the delay factor of an even stream is one packet, and of a bursty one the burst", "[mdi]") {
    const uint64_t burst = GENERATE(1u, 10u, 100u);  // packets at once, of a thousand a second
    Mdi mdi;
    for (uint64_t n = 0; n < 5000; n++) mdi.receive(1328, kSecond + n / burst * burst * (kSecond / 1000), n / 100);
    CHECK(mdi.counters().rate.read() == Approx(1'328'000).epsilon(0.02));
    CHECK(mdi.counters().delay_factor.read() == Approx(1000.0 * static_cast<double>(burst)).epsilon(0.05));
    CHECK(mdi.counters().lost.read() == Approx(10).margin(1));
    CHECK(mdi.counters().intervals.read() >= 3);
}

TEST_CASE("what stands still for a while and then comes at once is a delay factor of that while", "[mdi]") {
    Mdi mdi;
    uint64_t now = kSecond;
    for (int n = 0; n < 3500; n++, now += kSecond / 1000) mdi.receive(1000, now, 0);
    const uint64_t held = now + kSecond / 5;
    for (int n = 0; n < 1200; n++, now += kSecond / 1000) mdi.receive(1000, std::max(now, held), 0);
    CHECK(mdi.counters().delay_factor_max.read() == Approx(200'000).epsilon(0.05));
}

TEST_CASE("after silence the rate is that of before", "[mdi]") {
    Mdi mdi;
    uint64_t now = kSecond;
    for (int n = 0; n < 3000; n++, now += kSecond / 1000) mdi.receive(1000, now, 0);
    const uint64_t rate = mdi.counters().rate.read();
    mdi.receive(1000, now + 60 * kSecond, 0);
    CHECK(mdi.counters().rate.read() == rate);
}
