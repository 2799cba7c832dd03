// The pure parts of penstock-gen: what is sent when, and what is made of what comes back.
#include <catch2/catch.hpp>

#include "expect.hpp"
#include "findings.hpp"
#include "mark.hpp"
#include "options.hpp"
#include "pace.hpp"
#include "plan.hpp"
#include "tally.hpp"
#include "window.hpp"

namespace penstock::gen {
namespace {

constexpr uint64_t kHertz = 1'000'000;

std::vector<std::byte> frame_of(const Group& group, const Mark& mark, const Endpoint& to) {
    std::vector<std::byte> frame(kUdpHeaders + size_of(group, mark.stream, mark.number));
    write_rtp(std::span(frame).subspan(kUdpHeaders), group, mark);
    write_headers(frame, {{}, {}, group.from, to});
    return frame;
}

}  // namespace

TEST_CASE("gen: a window tells new, late, doubled and stale numbers") {
    Window window;
    for (const uint64_t n : {0, 1, 2, 5, 4, 5, 4, 6}) window.see(n);  // 3 is lost, 4 late, 4 and 5 doubled
    CHECK(window.fresh() == 6);
    CHECK(window.late() == 1);
    CHECK(window.duplicates() == 2);

    window.see(5 * Window::kSize);  // a gap above the window forgets what was in it, not what comes later
    window.see(5 * Window::kSize - 1);
    CHECK(window.fresh() == 8);
    CHECK(window.late() == 2);
    window.see(3);
    CHECK(window.stale() == 1);
    CHECK(window.fresh() == 8);
}

TEST_CASE("gen: streams take turns, evenly spaced, and a lagging path sends the same packets later") {
    const auto plan = parse_plan("streams to=10.1.0.1:20000,10.1.0.1:21000 pps=100 count=4 skew=0,20");
    REQUIRE(plan.has_value());
    const Group& group = plan->groups.front();
    Pace first(group, group.paths[0], 1000, kHertz, 1), second(group, group.paths[1], 1000, kHertz, 1);
    CHECK(first.total() == 400);
    CHECK(first.due(1000));
    first.advance();
    CHECK_FALSE(first.due(1000 + 2499));
    CHECK(first.due(1000 + 2500));
    for (int i = 0; i < 4; i++) first.advance();
    CHECK(first.stream() == 1);
    CHECK(first.number() == 1);
    CHECK(second.moment() == 1000 + 20'000);
    CHECK(second.nominal() == 1000);
    second.end_at(0);
    CHECK(second.done());
}

TEST_CASE("gen: a plan is read, and what is wrong with it is said by line") {
    const auto plan = parse_plan(
        "# comment\n"
        "streams name=v to=10.1.0.1:20000 pps=0.5 count=5 per-address=2 size=64*7+100-1300\n"
        "wire from=10.2.0.1:6000 to=10.1.0.1:22000 loss=0.1\n");
    REQUIRE(plan.has_value());
    CHECK(plan->streams() == 5);
    const Group& group = plan->groups.front();
    CHECK(group.sizes == std::vector<Size>{{64, 64, 7}, {100, 1300, 1}});
    CHECK(group.destination(group.paths[0], 4) == *Endpoint::parse("10.1.0.3:20000"));
    CHECK(plan->wires ==
          std::vector<Wire>{{*Endpoint::parse("10.2.0.1:6000"), *Endpoint::parse("10.1.0.1:22000"), 0.1}});

    for (const auto& [text, wrong] : {std::pair{"", "1: no streams"},
                                      {"\nflows to=10.1.0.1:1 pps=1", "2: 'flows'"},
                                      {"streams pps=1", "1: streams need to="},
                                      {"streams to=10.1.0.1:60000 pps=1 count=4000", "1: port 60000"},
                                      {"streams to=10.1.0.1:20000 pps=nan", "1: 'pps=nan'"},
                                      {"streams to=10.1.0.1:20000 pps=1 size=20", "1: 'size=20'"},
                                      {"streams to=10.1.0.1:20000 pps=1 loss=0.1,0.1", "1: 'loss=0.1,0.1'"},
                                      {"streams to=10.1.0.1:20000 pps=1 count=2000000", "1: 'count=2000000'"}}) {
        const auto parsed = parse_plan(text);
        REQUIRE_FALSE(parsed.has_value());
        CHECK(parsed.error().text.starts_with(wrong));
    }
}

TEST_CASE("gen: what arrives is counted by leg, whatever address it comes back by") {
    const auto plan = parse_plan("streams name=v to=10.1.0.1:20000 pps=100 count=2 size=200 copies=2");
    REQUIRE(plan.has_value());
    const Group& group = plan->groups.front();
    Tally tally(*plan, kHertz, 3);
    const Endpoint a = *Endpoint::parse("10.2.1.1:6000"), b = *Endpoint::parse("10.2.1.2:6000");
    for (uint64_t n = 0; n < 10; n++) {
        tally.sent(0);
        tally.received(frame_of(group, {0, n, 1000}, a), 2000);
        if (n != 4) tally.received(frame_of(group, {0, n, 1000}, b), 2000);  // b loses one
    }
    tally.received(frame_of(group, {0, 9, 1000}, a), 2000);  // and a has one twice
    auto damaged = frame_of(group, {1, 0, 1000}, a);
    damaged.back() ^= std::byte{1};
    tally.received(damaged, 2000);
    tally.received(frame_of(group, {7, 0, 1000}, a), 2000);  // no such stream
    tally.received(std::vector<std::byte>(60), 2000);
    CHECK(tally.damaged() == 1);
    CHECK(tally.unwanted() == 1);
    CHECK(tally.other() == 1);

    const auto findings = findings_of(tally, {});
    CHECK(find(findings, "sent") == 10);
    CHECK(find(findings, "wanted") == 20);
    CHECK(tally.totals()[0].received == 19);
    CHECK(tally.totals()[0].legs == 2);
    CHECK(find(findings, "lost") == 1);
    CHECK(find(findings, "duplicates") == 1);
    CHECK(*find(findings, "latency_p50_ms") > 0.9);
    CHECK(*find(findings, "latency_p50_ms") < 1.3);
    CHECK_FALSE(find(findings, "nonsense"));
}

TEST_CASE("gen: expectations hold, do not, or only advise") {
    const auto wanted = parse_expectations("lost: == 0\nlatency: advice <= 1 # a machine's\nnode.drops: == 0\n");
    REQUIRE(wanted.has_value());
    CHECK(judge(*wanted, {{"lost", 0}, {"latency", 9}}).met);
    CHECK_FALSE(judge(*wanted, {{"lost", 1}, {"latency", 0}}).met);
    CHECK_FALSE(judge(*wanted, {{"latency", 0}}).met);
    CHECK(parse_expectations("lost: == 0\nlost 5\n").error().text.starts_with("2: "));
}

TEST_CASE("gen: the command line says what is missing or unknown") {
    using Words = std::vector<std::string_view>;
    const auto options =
        parse_options(Words{"--plan", "p", "--tx", "af_packet:tx0", "--seconds", "2", "--scale", "0.5"});
    REQUIRE(options.has_value());
    CHECK(options->tx.driver == "af_packet");
    CHECK(options->tx.argument == "tx0");
    CHECK(options->seconds == 2);
    for (const Words& words :
         {Words{}, Words{"--plan", "p"}, Words{"--plan", "p", "--tx", "af_packet"},
          Words{"--plan", "p", "--tx", "ring", "--seconds", "-1"}, Words{"--bogus", "1"}, Words{"--plan"}})
        CHECK_FALSE(parse_options(words).has_value());
}

}  // namespace penstock::gen
