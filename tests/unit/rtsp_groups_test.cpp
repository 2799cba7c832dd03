// Groups of viewers by multicast: which are given, and who shares one.
#include <catch2/catch.hpp>
#include <set>

#include "control/rtsp/groups.hpp"
#include "control/rtsp/voices.hpp"

using namespace penstock;
using rtsp::Groups;

namespace {

Ip ip(const char* text) { return *Ip::parse(text); }
const auto kAny = [](const Ip&) { return true; };

}  // namespace

TEST_CASE("groups go round, none is given twice, and then there is none", "[groups]") {
    Groups groups(*Prefix::parse("239.10.0.6/30"));  // where it begins does not matter
    CHECK(groups.size() == 4);
    std::set<Ip> given;
    for (int i = 0; i < 4; i++) given.insert(groups.take(kAny).value());
    CHECK(given == std::set{ip("239.10.0.4"), ip("239.10.0.5"), ip("239.10.0.6"), ip("239.10.0.7")});
    CHECK(groups.taken() == 4);
    CHECK_FALSE(groups.take(kAny));
    groups.give_back(ip("239.10.0.6"));
    CHECK(groups.take(kAny) == ip("239.10.0.6"));
    for (const char* back : {"239.10.0.4", "239.10.0.6", "239.10.0.7"}) groups.give_back(ip(back));
    CHECK(groups.take(kAny) == ip("239.10.0.7"));  // the last to be given again is the one that was given last
    CHECK(groups.take([](const Ip& group) { return group != ip("239.10.0.4"); }) == ip("239.10.0.6"));
    CHECK_FALSE(groups.take([](const Ip&) { return false; }));
    CHECK(groups.taken() == 3);
}

TEST_CASE("networks of one group, of IPv6, and of as many as there may be", "[groups]") {
    Groups one(*Prefix::parse("239.10.0.7/32"));
    CHECK(one.take(kAny) == ip("239.10.0.7"));
    CHECK_FALSE(one.take(kAny));
    Groups six(*Prefix::parse("ff15::10:0/112"));
    CHECK(six.size() == 65536);
    CHECK(six.take(kAny) == ip("ff15::10:0"));
    CHECK(six.take(kAny) == ip("ff15::10:1"));
    Groups large(*Prefix::parse("239.20.0.0/16"));
    Ip last;
    while (const auto group = large.take(kAny)) last = *group;
    CHECK(last == ip("239.20.255.255"));
    large.give_back(last);
    CHECK(large.taken() == 65535);
}

TEST_CASE("a leg is there until its last session, and sent while one of them plays", "[groups]") {
    Groups groups(*Prefix::parse("239.10.0.0/24"));
    groups.join(7, 1);
    groups.join(7, 2);
    groups.join(8, 1);
    CHECK(groups.has(7));
    CHECK(groups.sessions(7) == std::vector<rtsp::SessionId>{1, 2});
    CHECK_FALSE(groups.sent(7));
    groups.play(7, 1, true);
    groups.play(7, 2, true);
    groups.play(7, 1, false);
    CHECK(groups.sent(7));
    CHECK_FALSE(groups.sent(8));
    CHECK_FALSE(groups.leave(7, 2));
    CHECK_FALSE(groups.sent(7));  // who is left has paused
    CHECK_FALSE(groups.leave(7, 2));
    CHECK(groups.leave(7, 1));
    CHECK_FALSE(groups.has(7));
    CHECK_FALSE(groups.leave(7, 1));
    CHECK(groups.sessions(7).empty());
    CHECK(groups.has(8));
}

TEST_CASE("of several sessions at one address each is heard by an SSRC of its own", "[groups]") {
    using Heard = std::vector<rtsp::SessionId>;
    rtsp::Voices voices;
    voices.join(1);
    CHECK(voices.look(std::vector<rtsp::Voices::Voice>{{100, 1, 0}}) == Heard{1});
    CHECK(voices.look(std::vector<rtsp::Voices::Voice>{{100, 1, 0}}).empty());  // nothing new
    voices.join(2);
    CHECK(voices.look(std::vector<rtsp::Voices::Voice>{{100, 2, 0}, {200, 1, 0}}) == Heard{1, 2});
    CHECK(voices.ssrc(2) == 200u);
    // The first one is killed. What else is heard there is nobody's: it does not keep it alive.
    CHECK(voices.look(std::vector<rtsp::Voices::Voice>{{100, 2, 0}, {200, 5, 0}, {300, 9, 0}}) == Heard{2});
    // A player that begins anew there is not the former one.
    voices.join(3);
    CHECK(voices.look(std::vector<rtsp::Voices::Voice>{{100, 2, 0}, {200, 5, 0}, {300, 9, 0}, {400, 1, 0}}) ==
          Heard{3});
    voices.leave(1);
    voices.leave(3);
    CHECK_FALSE(voices.empty());
    // Who is alone there is the one, though its SSRC is another by now.
    CHECK(voices.look(std::vector<rtsp::Voices::Voice>{{500, 1, 0}}) == Heard{2});
    voices.leave(2);
    CHECK(voices.empty());
}
