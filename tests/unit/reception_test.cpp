// RFC 3550's appendix, on sequences short enough to reckon by hand.
#include "rtp/reception.hpp"

#include <catch2/catch.hpp>

using penstock::rtp::Reception;

namespace {

constexpr uint32_t kSsrc = 7;

void arrive(Reception& r, unsigned sequence, uint32_t timestamp = 0, uint32_t at = 0, uint32_t ssrc = kSsrc) {
    r.receive(static_cast<uint16_t>(sequence), timestamp, ssrc, 100, at, at, 90000);
}

}  // namespace

TEST_CASE("jitter as RFC 3550 appendix A.8 computes it", "[reception]") {
    Reception r;
    // Sent every 160 units. Transit: 1000, 1010, 1005, 1080, 1000: D = 10, 5, 75, 80.
    const uint32_t arrivals[] = {1000, 1170, 1325, 1560, 1640};
    uint32_t scaled = 0, transit = 1000;
    for (uint32_t i = 0; i < 5; i++) {
        arrive(r, 10 + i, i * 160, arrivals[i]);
        const uint32_t now = arrivals[i] - i * 160, d = now > transit ? now - transit : transit - now;
        if (i > 0) scaled = scaled + d - ((scaled + 8) >> 4);
        transit = now;
        CHECK(r.counters().jitter.read() == scaled);
    }
    CHECK(scaled == 10u + 5 - 1 + 75 - 1 + 80 - 6);  // by hand: 10, 14, 88, 162
}

TEST_CASE("jitter stays near that in real numbers, and clocks may wrap", "[reception]") {
    Reception r;
    double jitter = 0;
    uint32_t arrival = 0xffffff00, timestamp = 0xfffffe00;
    for (unsigned i = 0; i < 2000; i++) {
        const uint32_t late = i % 7 * 13;
        arrive(r, i, timestamp, arrival + late);
        const double d = i == 0 ? 0 : i % 7 == 0 ? 78 : 13;
        jitter += (d - jitter) / 16;
        arrival += 3000;
        timestamp += 3000;
    }
    CHECK(static_cast<double>(r.counters().jitter.read()) / 16 == Approx(jitter).margin(0.6));
}

TEST_CASE("a hole is missing until it leaves the window, then lost", "[reception]") {
    Reception r;
    arrive(r, 1);
    arrive(r, 3);
    CHECK(r.counters().missing.read() == 1);
    for (unsigned s = 4; s < 2 + Reception::kWindow; s++) arrive(r, s);
    CHECK(r.counters().lost.read() == 0);
    CHECK(r.counters().missing.read() == 1);
    arrive(r, 2 + Reception::kWindow);
    CHECK(r.counters().lost.read() == 1);
    CHECK(r.counters().missing.read() == 0);
}

TEST_CASE("a late packet fills its hole and is no loss", "[reception]") {
    Reception r;
    for (const unsigned s : {1u, 2u, 4u, 5u, 3u, 6u}) arrive(r, s);
    CHECK(r.counters().missing.read() == 0);
    CHECK(r.counters().lost.read() == 0);
    CHECK(r.counters().reordered.read() == 1);
    CHECK(r.counters().duplicate.read() == 0);
    CHECK(r.counters().packets.read() == 6);
    CHECK(r.counters().bytes.read() == 600);
    arrive(r, 3);
    arrive(r, 6);
    CHECK(r.counters().duplicate.read() == 2);
    CHECK(r.counters().reordered.read() == 1);
}

TEST_CASE("a path that begins with reordered packets", "[reception]") {
    Reception r;
    for (const unsigned s : {0u, 65534u, 65535u, 1u, 65530u}) arrive(r, s);
    CHECK(r.counters().reordered.read() == 3);
    CHECK(r.counters().missing.read() == 3);  // 65531 to 65533
    CHECK(r.counters().lost.read() == 0);
}

TEST_CASE("a stray packet moves nothing, two in a row are a restart", "[reception]") {
    Reception r;
    arrive(r, 1);
    arrive(r, 2);
    constexpr uint32_t kOther = 1u << 30;  // the timestamps of the other life
    arrive(r, 40000, kOther);
    CHECK(r.counters().restarts.read() == 0);
    arrive(r, 3);
    CHECK(r.counters().missing.read() + r.counters().lost.read() == 0);
    arrive(r, 40000, kOther);
    arrive(r, 40001, kOther);
    CHECK(r.counters().restarts.read() == 1);
    arrive(r, 40002, kOther);
    CHECK(r.counters().restarts.read() == 1);
    CHECK(r.counters().missing.read() + r.counters().lost.read() == 0);
    CHECK(r.counters().packets.read() == 7);
}

// 100 packets are 10 ms at 10,000 a second.
TEST_CASE("what a way that became shorter leaves far behind is late, and no restart", "[reception]") {
    Reception r;
    constexpr uint32_t kApart = 9, kLag = 500;  // a packet, in units of the clock; packets
    uint32_t at = 0;
    for (uint32_t n = 10'000; n < 11'000; n++, at += kApart) arrive(r, n, n * kApart, at + kLag * kApart);
    for (uint32_t n = 11'000; n < 12'000;
         n++, at += kApart) {  // those that were on the way, and the new ones beside them
        arrive(r, n + kLag, (n + kLag) * kApart, at + kLag * kApart);
        if (n < 11'000 + kLag) arrive(r, n, n * kApart, at + kLag * kApart);
    }
    CHECK(r.counters().restarts.read() == 0);
    CHECK(r.counters().lost.read() + r.counters().missing.read() <= kLag);
}

TEST_CASE("a source that restarts while its timestamps go on is followed all the same", "[reception]") {
    Reception r;
    uint32_t at = 0;
    for (uint32_t n = 10'000; n < 11'000; n++, at += 90) arrive(r, n, at, at);
    for (uint32_t n = 5'000; n < 6'000; n++, at += 90) arrive(r, n, at, at);
    CHECK(r.counters().restarts.read() == 1);
    CHECK(r.counters().lost.read() + r.counters().missing.read() == 0);
    CHECK(r.extent().highest % 0x10000 == 5'999);
}

TEST_CASE("a jump of less than 3000 is loss, from there on a restart", "[reception]") {
    Reception r, s;
    arrive(r, 1);
    arrive(r, 3000);
    CHECK(r.counters().lost.read() + r.counters().missing.read() == 2998);
    arrive(s, 1);
    arrive(s, 3001);
    CHECK(s.counters().lost.read() + s.counters().missing.read() == 0);
}

TEST_CASE("a new SSRC starts anew; what was missing is lost", "[reception]") {
    Reception r;
    arrive(r, 1);
    arrive(r, 5);
    CHECK(r.counters().missing.read() == 3);
    arrive(r, 900, 0, 0, 8);
    CHECK(r.ssrc() == 8);
    CHECK(r.counters().ssrc_changes.read() == 1);
    CHECK(r.counters().missing.read() == 0);
    CHECK(r.counters().lost.read() == 3);
    arrive(r, 901, 0, 0, 8);
    CHECK(r.counters().ssrc_changes.read() == 1);
    CHECK(r.counters().lost.read() == 3);
}

TEST_CASE("the first SSRC is no change, even when it is 0", "[reception]") {
    Reception r;
    arrive(r, 1, 0, 0, 0);
    arrive(r, 2, 0, 0, 0);
    CHECK(r.counters().ssrc_changes.read() == 0);
    CHECK(r.counters().packets.read() == 2);
    CHECK(r.counters().missing.read() + r.counters().lost.read() == 0);
}
