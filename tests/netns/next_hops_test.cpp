#include "control/io/next_hops.hpp"

#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <catch2/catch.hpp>

#include <cstring>
#include <fstream>
#include <random>
#include <set>
#include <utility>

#include "netns/namespaces.hpp"

using namespace penstock;
using namespace penstock::io;
using namespace penstock::test;
using namespace std::chrono_literals;

namespace {

Ip ip(const std::string& text) { return Ip::parse(text).value(); }
Mac mac(const char* text) { return Mac::parse(text).value(); }
flow::Destination to(const char* text, std::optional<uint16_t> port = std::nullopt) { return {ip(text), port}; }

const Mac kPeerMac = mac("02:00:00:00:00:02");

flow::PortInfo twin(uint16_t index, const char* netdev) {
    flow::PortInfo port;
    port.index = index;
    port.name = fmt::format("port{}", index);
    port.netdev = netdev;
    return port;
}

flow::PortInfo vhost(uint16_t index) {
    flow::PortInfo port;
    port.index = index;
    port.name = "vm";
    port.mtu = 1400;
    port.addresses = {Prefix::parse("10.8.0.1/16").value(), Prefix::parse("10.8.1.1/24").value(),
                      Prefix::parse("fd08::1/64").value()};
    port.peer_mac = mac("02:00:00:00:08:02");
    return port;
}

// A NextHops with what it has told, on a loop that stops whenever it tells something.
struct Node {
    explicit Node(std::vector<flow::PortInfo> ports) {
        auto opened = NextHops::open(
            loop, log, std::move(ports),
            [this](const flow::Destination& destination, const flow::Resolution& resolution) {
                told[destination] = resolution;
                times_told++;
                loop.stop();
            },
            [this](const std::string& netdev) {
                netdevs.insert(netdev);
                loop.stop();
            });
        REQUIRE(opened);
        next_hops = std::move(*opened);
    }
    bool until(auto&& condition, Duration limit = 1s) { return run_until(loop, condition, limit); }
    const std::optional<flow::NextHop>& hop(const flow::Destination& destination) { return told[destination].hop; }
    std::string why_not(const flow::Destination& destination) { return told[destination].why_not; }
    bool resolves(const flow::Destination& destination, Duration limit = 1s) {
        return until([&] { return hop(destination).has_value(); }, limit);
    }
    bool fails(const flow::Destination& destination, const std::string& why, Duration limit = 1s) {
        const bool said = until([&] { return why_not(destination) == why; }, limit);
        CHECK(why_not(destination) == why);
        return said && !hop(destination);
    }
    // Lets everything that is due be told: what is not told by then stays untold.
    void settle() {
        for (int turn = 0; turn < 3; turn++) until([] { return false; }, 30ms);
    }

    EventLoop loop;
    Log log{Level::warning, LogFormat::text};
    std::map<flow::Destination, flow::Resolution> told;
    std::set<std::string> netdevs;
    int times_told = 0;
    std::unique_ptr<NextHops> next_hops;
};

const std::string kStates = "ip neigh show dev eth1 to ";

}  // namespace

TEST_CASE("a neighbour that answers gives MAC, source, port and MTU, IPv4 and IPv6") {
    if (needs_root()) return;
    const Namespaces namespaces;
    Node node{{twin(3, "eth1")}};
    for (const char* end : {"2", "::2"}) {
        const bool v4 = end[0] == '2';
        const auto peer = to(v4 ? "10.0.0.2" : "fd00::2");
        node.next_hops->want(peer);
        CHECK(node.told.count(peer) == 0);  // only ever from the loop
        REQUIRE(node.resolves(peer));
        CHECK(*node.hop(peer) == flow::NextHop{3, kPeerMac, ip(v4 ? "10.0.0.1" : "fd00::1"), 1500});
        CHECK(node.why_not(peer).empty());
    }
    CHECK(node.next_hops->mac("eth1") == mac("02:00:00:00:00:01"));
    CHECK_FALSE(node.next_hops->mac("eth9"));
}

TEST_CASE("another MAC of the neighbour is followed within a second") {
    if (needs_root()) return;
    const Namespaces namespaces;
    namespaces.peer(
        "echo 1 > /proc/sys/net/ipv4/conf/peer1/arp_notify; echo 1 > /proc/sys/net/ipv6/conf/peer1/ndisc_notify");
    Node node{{twin(0, "eth1")}};
    for (const auto& peer : {to("10.0.0.2"), to("fd00::2")}) {
        node.next_hops->want(peer);
        REQUIRE(node.resolves(peer));
    }
    namespaces.peer("ip link set peer1 address 02:00:00:00:00:99");
    for (const auto& peer : {to("10.0.0.2"), to("fd00::2")}) {
        INFO(peer.ip.text());
        CHECK(node.until([&] { return node.hop(peer) && node.hop(peer)->mac == mac("02:00:00:00:00:99"); }));
    }
}

TEST_CASE("a neighbour that does not answer is asked for until it does") {
    if (needs_root()) return;
    const Namespaces namespaces;
    Node node{{twin(0, "eth1")}};
    for (const auto& late : {to("10.0.0.7"), to("fd00::7")}) {
        node.next_hops->want(late);
        REQUIRE(node.fails(late, fmt::format("neighbour {} on eth1 does not answer", late.ip.text())));
    }
    // Past the three probes after which the kernel gives up: from here on it asks only because it is told to.
    const auto failed = [&] { return std::system((kStates + "10.0.0.7 nud failed | grep -q FAILED").c_str()) == 0; };
    REQUIRE(run_until(node.loop, failed, 6s, 20ms));
    namespaces.peer("ip addr add 10.0.0.7/24 dev peer1; ip addr add fd00::7/64 dev peer1 nodad");
    CHECK(node.resolves(to("10.0.0.7"), 3s));
    CHECK(node.resolves(to("fd00::7"), 3s));
    CHECK(node.hop(to("10.0.0.7"))->mac == kPeerMac);
}

TEST_CASE("a stale neighbour that is in use is made sure of, and one that is gone is noticed") {
    if (needs_root()) return;
    const Namespaces namespaces;
    namespaces.node(
        "cd /proc/sys/net/ipv4/neigh/eth1; echo 1 > delay_first_probe_time; echo 1 > ucast_solicit; "
        "echo 100 > retrans_time_ms");
    Node node{{twin(0, "eth1")}};
    const auto peer = to("10.0.0.2");
    node.next_hops->want(peer);
    REQUIRE(node.resolves(peer));
    const auto make_stale = "ip neigh change 10.0.0.2 dev eth1 lladdr 02:00:00:00:00:02 nud stale";
    const auto reachable = [] { return std::system((kStates + "10.0.0.2 | grep -q REACHABLE").c_str()) == 0; };
    const int before = node.times_told;
    namespaces.node(make_stale);
    REQUIRE_FALSE(reachable());
    CHECK(run_until(node.loop, reachable, 5s, 20ms));
    CHECK(node.times_told == before);  // all the while it stayed resolved

    namespaces.peer("ip addr del 10.0.0.2/24 dev peer1");
    namespaces.node(make_stale);
    CHECK(node.fails(peer, "neighbour 10.0.0.2 on eth1 does not answer", 5s));
    namespaces.peer("ip addr add 10.0.0.2/24 dev peer1");
    CHECK(node.resolves(peer, 3s));
}

TEST_CASE("a neighbour that is stale when it is first wanted is made sure of, a permanent one is left alone") {
    if (needs_root()) return;
    const Namespaces namespaces;
    namespaces.node("echo 1 > /proc/sys/net/ipv4/neigh/eth1/delay_first_probe_time");
    namespaces.node("ip neigh add 10.0.0.2 dev eth1 lladdr 02:00:00:00:00:02 nud stale");
    namespaces.node("ip neigh add 10.0.0.5 dev eth1 lladdr 02:00:00:00:00:05 nud permanent");
    Node node{{twin(0, "eth1")}};
    node.next_hops->want(to("10.0.0.2"));
    node.next_hops->want(to("10.0.0.5"));
    REQUIRE(node.resolves(to("10.0.0.2")));
    REQUIRE(node.resolves(to("10.0.0.5")));
    const auto reachable = [] { return std::system((kStates + "10.0.0.2 | grep -q REACHABLE").c_str()) == 0; };
    CHECK(run_until(node.loop, reachable, 5s, 20ms));
    CHECK(node.hop(to("10.0.0.5"))->mac == mac("02:00:00:00:00:05"));
    CHECK(std::system((kStates + "10.0.0.5 | grep -q PERMANENT").c_str()) == 0);
}

TEST_CASE("a neighbour that was written down a moment ago, unheard of yet, is left alone") {
    if (needs_root()) return;
    const Namespaces namespaces;
    EventLoop loop;
    Log log{Level::warning, LogFormat::text};
    std::map<flow::Destination, flow::Resolution> told;
    bool first = true;
    auto opened = NextHops::open(
        loop, log, {twin(0, "eth1")},
        [&](const flow::Destination& destination, const flow::Resolution& resolution) {
            // All are looked up in one turn; what happens between is read only after it.
            if (std::exchange(first, false))
                for (const auto& address : {"10.0.0.5", "fd00::5"})
                    namespaces.node(
                        fmt::format("ip neigh replace {} dev eth1 lladdr 02:00:00:00:00:05 nud permanent", address));
            told[destination] = resolution;
            loop.stop();
        },
        [](const std::string&) {});
    REQUIRE(opened);
    for (const auto& wanted : {to("10.0.0.7"), to("10.0.0.5"), to("fd00::5")}) (*opened)->want(wanted);
    for (const auto& written : {to("10.0.0.5"), to("fd00::5")}) {
        CHECK(run_until(
            loop, [&] { return told[written].hop && told[written].hop->mac == mac("02:00:00:00:00:05"); }, 1s));
        CHECK(std::system((kStates + written.ip.text() + " | grep -q PERMANENT").c_str()) == 0);
    }
}

TEST_CASE("routes are followed: none, by a gateway, by another, prohibited, gone") {
    if (needs_root()) return;
    const Namespaces namespaces;
    namespaces.peer("ip addr add 10.0.0.3/24 dev peer1; ip addr add fd00::3/64 dev peer1 nodad");
    Node node{{twin(0, "eth1")}};
    const auto far = to("10.9.0.1"), far6 = to("fd09::1");
    node.next_hops->want(far);
    node.next_hops->want(far6);
    CHECK(node.fails(far, "no route to 10.9.0.1"));
    CHECK(node.fails(far6, "no route to fd09::1"));

    namespaces.node("ip route add 10.9.0.0/16 via 10.0.0.2 mtu 1400; ip -6 route add fd09::/64 via fd00::2 mtu 1300");
    REQUIRE(node.resolves(far));
    CHECK(*node.hop(far) == flow::NextHop{0, kPeerMac, ip("10.0.0.1"), 1400});
    REQUIRE(node.resolves(far6));
    CHECK(*node.hop(far6) == flow::NextHop{0, kPeerMac, ip("fd00::1"), 1300});

    namespaces.node("ip addr add 10.0.0.44/24 dev eth1; ip route replace 10.9.0.0/16 via 10.0.0.3 src 10.0.0.44");
    CHECK(node.until([&] { return node.hop(far) == flow::NextHop{0, kPeerMac, ip("10.0.0.44"), 1500}; }));

    namespaces.node("ip route replace prohibit 10.9.0.0/16");
    CHECK(node.fails(far, "the route to 10.9.0.1 is prohibited"));
    namespaces.node("ip route replace blackhole 10.9.0.0/16");
    CHECK(node.fails(far, "the route to 10.9.0.1 is a blackhole"));
    namespaces.node("ip route replace unreachable 10.9.0.0/16; ip -6 route replace unreachable fd09::/64");
    CHECK(node.fails(far, "no route to 10.9.0.1"));
    CHECK(node.fails(far6, "no route to fd09::1"));

    // An IPv4 route by an IPv6 neighbour (RFC 8950), and rules that choose another table.
    namespaces.node("ip route replace 10.9.0.0/16 via inet6 fd00::2 dev eth1");
    CHECK(node.resolves(far));
    namespaces.node("ip route add blackhole default table 100; ip rule add to 10.9.0.1 lookup 100");
    CHECK(node.fails(far, "the route to 10.9.0.1 is a blackhole"));
    namespaces.node("ip rule del to 10.9.0.1 lookup 100; ip route del 10.9.0.0/16");
    CHECK(node.fails(far, "no route to 10.9.0.1"));
}

TEST_CASE("what is no way to a receiver says why") {
    if (needs_root()) return;
    const Namespaces namespaces;
    namespaces.add_other("eth0");
    namespaces.node("ip addr add 10.1.0.1/24 dev eth0");
    namespaces.node("ip route add default via 10.1.0.2");
    Node node{{twin(0, "eth1"), vhost(1)}};
    const auto check = [&](const flow::Destination& destination, const std::string& why) {
        node.next_hops->want(destination);
        CHECK(node.fails(destination, why));
    };
    check(to("10.9.0.1"), "route to 10.9.0.1 leaves by eth0, which is no port of penstock");
    check(to("10.0.0.1"), "10.0.0.1 is an address of this node");
    check(to("fd00::1"), "fd00::1 is an address of this node");
    check(to("10.0.0.1", 0), "10.0.0.1 is an address of this node");
    check(to("10.0.0.255"), "10.0.0.255 is a broadcast address");
    check(to("10.0.0.2", 7), "there is no port 7");
    check(to("10.8.0.1"), "10.8.0.1 is our own address on port vm");
    // With the port named, the route by eth0 does not count: the receiver is taken to be on the link.
    check(to("10.9.0.1", 0), "neighbour 10.9.0.1 on eth1 does not answer");
}

TEST_CASE("an interface without an address of the family cannot send") {
    if (needs_root()) return;
    const Namespaces namespaces;
    Node node{{twin(0, "eth1")}};
    namespaces.node(
        "ip addr flush dev eth1 scope global; ip addr flush dev eth1 scope link; ip route add 10.9.0.0/16 dev eth1");
    node.next_hops->want(to("10.9.0.1"));
    CHECK(node.fails(to("10.9.0.1"), "eth1 has no IPv4 address to send from"));
    node.next_hops->want(to("239.1.1.1", 0));
    CHECK(node.fails(to("239.1.1.1", 0), "eth1 has no IPv4 address to send from"));
    namespaces.node("ip addr add 10.0.0.1/24 dev eth1");
    CHECK(node.resolves(to("239.1.1.1", 0)));
}

TEST_CASE("multicast needs no neighbour: by the named port, by route, or by the only port") {
    if (needs_root()) return;
    const Namespaces namespaces;
    namespaces.add_other("eth2");
    namespaces.node("ip addr add 10.2.0.1/24 dev eth2");
    namespaces.add_other("eth0");
    namespaces.node("ip addr add 10.1.0.1/24 dev eth0");
    namespaces.node("ip addr add fe80::77/64 dev eth1 nodad; ip -6 addr del fe80::ff:fe00:1/64 dev eth1");
    const auto hop = [](Node& node, const flow::Destination& group) {
        node.next_hops->want(group);
        REQUIRE(node.resolves(group));
        return *node.hop(group);
    };
    const Mac group_mac = mac("01:00:5e:01:01:01"), group6_mac = mac("33:33:00:00:12:34");
    {
        Node node{{twin(0, "eth1")}};
        CHECK(hop(node, to("239.1.1.1")) == flow::NextHop{0, group_mac, ip("10.0.0.1"), 1500});
        CHECK(hop(node, to("ff15::1234")) == flow::NextHop{0, group6_mac, ip("fd00::1"), 1500});
        CHECK(hop(node, to("ff12::1234")) == flow::NextHop{0, group6_mac, ip("fe80::77"), 1500});
    }
    namespaces.node("ip route add default dev eth0");
    Node node{{twin(0, "eth1"), twin(1, "eth2")}};
    CHECK(hop(node, to("239.1.1.1", 0)).source == ip("10.0.0.1"));
    CHECK(hop(node, to("239.1.1.1", 1)) == flow::NextHop{1, group_mac, ip("10.2.0.1"), 1500});
    node.next_hops->want(to("239.1.1.1"));
    CHECK(node.fails(to("239.1.1.1"), "no route to 239.1.1.1 leaves by a port of penstock: name the port"));
    namespaces.node("ip route add 239.0.0.0/8 dev eth2 mtu 1280");
    REQUIRE(node.resolves(to("239.1.1.1")));
    CHECK(*node.hop(to("239.1.1.1")) == flow::NextHop{1, group_mac, ip("10.2.0.1"), 1280});
}

TEST_CASE("link-local receivers are reached by the named port, or the only one") {
    if (needs_root()) return;
    const Namespaces namespaces;
    namespaces.add_other("eth2");
    namespaces.peer("ip addr add fe80::2/64 dev peer1 nodad");
    {
        Node node{{twin(0, "eth1")}};
        node.next_hops->want(to("fe80::2"));
        CHECK(node.resolves(to("fe80::2")));
    }
    Node node{{twin(0, "eth1"), twin(1, "eth2")}};
    node.next_hops->want(to("fe80::2"));
    CHECK(node.fails(to("fe80::2"), "fe80::2 is link-local: name the port"));
    node.next_hops->want(to("fe80::2", 0));
    REQUIRE(node.resolves(to("fe80::2", 0)));
    CHECK(node.hop(to("fe80::2", 0))->mac == kPeerMac);
}

TEST_CASE("a link that goes down, comes up, changes its MTU, loses its carrier") {
    if (needs_root()) return;
    const Namespaces namespaces;
    Node node{{twin(0, "eth1")}};
    const auto peer = to("10.0.0.2"), named = to("10.0.0.2", 0), group = to("239.1.1.1");
    for (const auto& wanted : {peer, named, group}) {
        node.next_hops->want(wanted);
        REQUIRE(node.resolves(wanted));
    }
    namespaces.node("ip link set eth1 mtu 1350");
    for (const auto& wanted : {peer, named, group})
        CHECK(node.until([&] { return node.hop(wanted) && node.hop(wanted)->mtu == 1350; }));

    namespaces.node("ip link set eth1 down");
    CHECK(node.fails(named, "eth1 is down"));
    CHECK(node.fails(group, "eth1 is down"));
    CHECK(node.fails(peer, "no route to 10.0.0.2, eth1 is down"));
    namespaces.node("ip link set eth1 up");
    for (const auto& wanted : {peer, named, group}) CHECK(node.resolves(wanted, 3s));

    namespaces.peer("ip link set peer1 down");
    for (const auto& wanted : {peer, named, group}) CHECK(node.fails(wanted, "eth1 has no carrier", 3s));
    namespaces.peer("ip link set peer1 up");
    for (const auto& wanted : {peer, named, group}) CHECK(node.resolves(wanted, 3s));
}

TEST_CASE("an interface that leaves a bridge is not taken for deleted") {
    if (needs_root()) return;
    const Namespaces namespaces;
    Node node{{twin(0, "eth1")}};
    node.next_hops->want(to("10.0.0.2"));
    REQUIRE(node.resolves(to("10.0.0.2")));
    namespaces.node("ip link add br0 type bridge; ip link set eth1 master br0; ip link set eth1 nomaster");
    node.settle();
    CHECK(node.next_hops->mac("eth1") == mac("02:00:00:00:00:01"));
    CHECK(node.resolves(to("10.0.0.2")));
}

TEST_CASE("an interface that is deleted and made anew is followed by its name, with its addresses") {
    if (needs_root()) return;
    Namespaces namespaces;
    Node node{{twin(0, "eth1")}};
    const auto peer = to("fd00::2"), named = to("10.0.0.2", 0);
    node.next_hops->want(peer);
    node.next_hops->want(named);
    REQUIRE(node.resolves(peer));
    REQUIRE(node.resolves(named));
    const auto has = [&](const char* address) {
        const auto all = node.next_hops->addresses("eth1");
        return std::ranges::count(all, ip(address)) == 1;
    };
    CHECK((has("10.0.0.1") && has("fd00::1")));
    CHECK(node.netdevs.empty());

    namespaces.node("ip link del eth1");
    CHECK(node.fails(named, "eth1 does not exist"));
    CHECK(node.fails(peer, "no route to fd00::2, eth1 does not exist"));
    CHECK(node.netdevs == std::set<std::string>{"eth1"});
    CHECK(node.next_hops->addresses("eth1").empty());

    node.netdevs.clear();
    namespaces.add_link();
    CHECK(node.resolves(peer, 3s));
    CHECK(node.resolves(named, 3s));
    CHECK(node.netdevs == std::set<std::string>{"eth1"});
    CHECK((has("10.0.0.1") && has("fd00::1")));

    node.netdevs.clear();
    namespaces.node("ip addr add 10.0.0.9/24 dev eth1");
    CHECK(node.until([&] { return has("10.0.0.9"); }));
    CHECK(node.netdevs.count("eth1") == 1);
    namespaces.node("ip addr del 10.0.0.9/24 dev eth1");
    CHECK(node.until([&] { return !has("10.0.0.9"); }));

    node.netdevs.clear();
    namespaces.node("ip link set eth1 address 02:00:00:00:00:55");
    CHECK(node.until([&] { return node.next_hops->mac("eth1") == mac("02:00:00:00:00:55"); }));
    CHECK(node.netdevs.count("eth1") == 1);
}

TEST_CASE("a port without a kernel twin is resolved from its configuration") {
    if (needs_root()) return;
    const Namespaces namespaces;
    Node node{{twin(0, "eth1"), vhost(1)}};
    const auto hop = [&](const flow::Destination& destination) {
        node.next_hops->want(destination);
        REQUIRE(node.resolves(destination));
        return *node.hop(destination);
    };
    const Mac peer_mac = mac("02:00:00:00:08:02");
    CHECK(hop(to("10.8.0.2")) == flow::NextHop{1, peer_mac, ip("10.8.0.1"), 1400});
    CHECK(hop(to("10.8.1.2")) == flow::NextHop{1, peer_mac, ip("10.8.1.1"), 1400});
    CHECK(hop(to("192.0.2.1", 1)) == flow::NextHop{1, peer_mac, ip("10.8.0.1"), 1400});
    CHECK(hop(to("fd08::2")) == flow::NextHop{1, peer_mac, ip("fd08::1"), 1400});
    CHECK(hop(to("239.1.1.1", 1)) == flow::NextHop{1, mac("01:00:5e:01:01:01"), ip("10.8.0.1"), 1400});
}

TEST_CASE("wants are counted, and a forgotten destination is not told any more") {
    if (needs_root()) return;
    const Namespaces namespaces;
    Node node{{twin(0, "eth1")}};
    const auto peer = to("10.0.0.2");
    node.next_hops->want(peer);
    node.next_hops->want(peer);
    REQUIRE(node.resolves(peer));
    node.next_hops->forget(peer);
    namespaces.node("ip link set eth1 mtu 1350");
    CHECK(node.until([&] { return node.hop(peer) && node.hop(peer)->mtu == 1350; }));
    node.next_hops->forget(peer);
    node.next_hops->forget(peer);  // one too many is no harm
    const int before = node.times_told;
    namespaces.node("ip link set eth1 mtu 1340; ip neigh flush dev eth1");
    node.settle();
    CHECK(node.times_told == before);
    node.next_hops->want(peer);
    CHECK(node.until([&] { return node.hop(peer) && node.hop(peer)->mtu == 1340; }));
}

TEST_CASE("a callback may forget what it is told of") {
    if (needs_root()) return;
    const Namespaces namespaces;
    EventLoop loop;
    Log log{Level::warning, LogFormat::text};
    std::unique_ptr<NextHops> next_hops;
    int left = 50;
    auto opened = NextHops::open(
        loop, log, {twin(0, "eth1")},
        [&](const flow::Destination& destination, const flow::Resolution&) {
            next_hops->forget(destination);
            if (--left == 0) loop.stop();
        },
        [](const std::string&) {});
    REQUIRE(opened);
    next_hops = std::move(*opened);
    for (int i = 0; i < 50; i++) next_hops->want({ip(fmt::format("10.0.0.{}", 100 + i)), std::nullopt});
    CHECK(run_until(
        loop, [&] { return left == 0; }, 1s));
}

TEST_CASE("thousands of destinations follow a change of routes within a second") {
    if (needs_root()) return;
    const Namespaces namespaces;
    namespaces.peer("ip addr add 10.0.0.3/24 dev peer1");
    namespaces.node("ip route add 10.9.0.0/16 via 10.0.0.2");
    Node node{{twin(0, "eth1")}};
    std::vector<flow::Destination> all;
    for (int i = 0; i < 5000; i++) all.push_back({ip(fmt::format("10.9.{}.{}", i / 250, 1 + i % 250)), std::nullopt});
    for (const auto& one : all) node.next_hops->want(one);
    const auto every = [&](uint16_t mtu) {
        return [&node, &all, mtu] {
            return std::ranges::all_of(all,
                                       [&](const auto& one) { return node.hop(one) && node.hop(one)->mtu == mtu; });
        };
    };
    // Looked at now and then only: looking at 5000 after each of 5000 answers would be the slow part.
    REQUIRE(run_until(node.loop, every(1500), 5s));
    namespaces.node("ip route replace 10.9.0.0/16 via 10.0.0.3 mtu 1400");
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    constexpr auto kWithin = 10s;  // beside another sanitizer's programs, on two cores
#else
    constexpr auto kWithin = 1s;
#endif
    CHECK(run_until(node.loop, every(1400), kWithin));
}

TEST_CASE("when notifications are lost everything is asked anew") {
    if (needs_root()) return;
    const Namespaces namespaces;
    Node node{{twin(0, "eth1")}};
    namespaces.node("ip neigh replace 10.0.0.2 dev eth1 lladdr 02:00:00:00:00:aa nud permanent");
    node.next_hops->want(to("10.0.0.2"));
    REQUIRE(node.resolves(to("10.0.0.2")));
    // More than the socket holds while nobody reads it; what matters comes last and is lost.
    {
        std::FILE* batch = popen("ip -batch -", "w");
        REQUIRE(batch != nullptr);
        for (int i = 0; i < 10000; i++) fmt::print(batch, "link set lo txqueuelen {}\n", 2000 + i);
        REQUIRE(pclose(batch) == 0);
    }
    namespaces.node("ip neigh replace 10.0.0.2 dev eth1 lladdr 02:00:00:00:00:bb nud permanent");
    namespaces.node("ip addr add 10.0.0.9/24 dev eth1");
    CHECK(node.until([&] { return node.hop(to("10.0.0.2"))->mac == mac("02:00:00:00:00:bb"); }, 3s));
    CHECK(node.netdevs.count("eth1") == 1);
    CHECK(std::ranges::count(node.next_hops->addresses("eth1"), ip("10.0.0.9")) == 1);
    // And it still listens.
    namespaces.node("ip neigh replace 10.0.0.2 dev eth1 lladdr 02:00:00:00:00:cc nud permanent");
    CHECK(node.until([&] { return node.hop(to("10.0.0.2"))->mac == mac("02:00:00:00:00:cc"); }));
}
