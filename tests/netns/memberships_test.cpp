#include "control/io/memberships.hpp"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <catch2/catch.hpp>

#include <cerrno>
#include <filesystem>
#include <set>
#include <sstream>

#include "control/io/claimed_ports.hpp"
#include "control/io/socket_address.hpp"
#include "netns/namespaces.hpp"

using namespace penstock;
using namespace penstock::io;
using namespace penstock::test;

namespace {

Ip ip(const char* text) { return Ip::parse(text).value(); }
Endpoint endpoint(const char* text) { return Endpoint::parse(text).value(); }

// Whether some line of /proc/net/FILE has both words.
bool listed(const char* file, const std::string& one, const std::string& other = "") {
    std::istringstream lines{read_file(std::string{"/proc/thread-self/net/"} + file)};
    for (std::string line; std::getline(lines, line);)
        if (line.find(one) != std::string::npos && line.find(other) != std::string::npos) return true;
    return false;
}

Fd udp(const Endpoint& end) { return Fd{socket(end.ip.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)}; }

// Sends to `to` until the network says that nobody is there, or a while has passed. The error arrives within a
// round trip, so an error that comes is seen at the first send.
int error_of_sending(const Endpoint& to) {
    const Fd socket = udp(to);
    const auto address = socket_address(to);
    REQUIRE(connect(socket.get(), address.get(), address.size) == 0);
    for (int i = 0; i < 3; i++) {
        if (send(socket.get(), "media", 5, 0) < 0) return errno;
        pollfd wait{.fd = socket.get(), .events = 0, .revents = 0};
        if (poll(&wait, 1, 300) > 0) {
            int error = 0;
            socklen_t size = sizeof error;
            REQUIRE(getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size) == 0);
            return error;
        }
    }
    return 0;
}

// The sockets of this process by inode, which a new socket does not share with one that was closed before.
std::set<std::string> sockets() {
    std::set<std::string> all;
    for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) {
        std::error_code gone;  // the directory's own descriptor
        const auto target = std::filesystem::read_symlink(entry.path(), gone).string();
        if (target.starts_with("socket:")) all.insert(target);
    }
    return all;
}

int error_of_binding(const Endpoint& end) {
    const Fd socket = udp(end);
    const auto address = socket_address(end);
    return bind(socket.get(), address.get(), address.size) == 0 ? 0 : errno;
}

}  // namespace

TEST_CASE("IPv4 groups are joined in the kernel, any source and one source, and left") {
    if (needs_root()) return;
    const Namespaces namespaces;
    {
        Memberships memberships;
        REQUIRE(memberships.join(ip("239.1.1.1"), std::nullopt, "eth1"));
        REQUIRE(memberships.join(ip("232.1.1.1"), ip("10.0.0.8"), "eth1"));
        CHECK(listed("igmp", "010101EF"));
        CHECK(listed("igmp", "010101E8"));
        CHECK(listed("mcfilter", "0xe8010101", "0x0a000008"));
        CHECK_FALSE(listed("mcfilter", "0xef010101"));

        REQUIRE(memberships.join(ip("239.1.1.1"), std::nullopt, "eth1"));
        memberships.leave(ip("239.1.1.1"), std::nullopt, "eth1");
        CHECK(listed("igmp", "010101EF"));
        memberships.leave(ip("239.1.1.1"), std::nullopt, "eth1");
        CHECK_FALSE(listed("igmp", "010101EF"));
        CHECK(listed("igmp", "010101E8"));
    }
    CHECK_FALSE(listed("igmp", "010101E8"));
}

TEST_CASE("IPv6 groups are joined in the kernel, any source and one source, and left") {
    if (needs_root()) return;
    const Namespaces namespaces;
    {
        Memberships memberships;
        REQUIRE(memberships.join(ip("ff15::1234"), std::nullopt, "eth1"));
        REQUIRE(memberships.join(ip("ff35::5678"), ip("fd00::8"), "eth1"));
        CHECK(listed("igmp6", "eth1", "ff150000000000000000000000001234"));
        CHECK(listed("mcfilter6", "ff350000000000000000000000005678", "fd000000000000000000000000000008"));
        CHECK_FALSE(listed("mcfilter6", "ff150000000000000000000000001234"));
    }
    CHECK_FALSE(listed("igmp6", "ff150000000000000000000000001234"));
    CHECK_FALSE(listed("igmp6", "ff350000000000000000000000005678"));
}

TEST_CASE("more groups than one socket can join") {
    if (needs_root()) return;
    const Namespaces namespaces;
    Memberships memberships;
    for (int i = 1; i <= 200; i++)
        REQUIRE(memberships.join(ip(fmt::format("239.7.0.{}", i).c_str()), std::nullopt, "eth1"));
    CHECK(listed("igmp", "C80007EF"));
}

TEST_CASE("a join that cannot be says why") {
    if (needs_root()) return;
    const Namespaces namespaces;
    Memberships memberships;
    const auto why = [&](const char* group, std::optional<Ip> source, const char* netdev) {
        const auto result = memberships.join(ip(group), source, netdev);
        return result ? "" : result.error().text;
    };
    CHECK(why("239.1.1.1", std::nullopt, "eth9") == "cannot join 239.1.1.1 on eth9: there is no such interface");
    CHECK(why("10.0.0.2", std::nullopt, "eth1") == "cannot join 10.0.0.2 on eth1: it is no multicast address");
    CHECK(why("239.1.1.1", ip("fd00::8"), "eth1") ==
          "cannot join 239.1.1.1 from fd00::8 on eth1: the source is no unicast address of the group's family");
}

TEST_CASE("groups are joined again on an interface that was made anew, and left alone on one that was not") {
    if (needs_root()) return;
    Namespaces namespaces;
    Memberships memberships;
    REQUIRE(memberships.join(ip("239.1.1.1"), std::nullopt, "eth1"));
    REQUIRE(memberships.join(ip("ff35::5678"), ip("fd00::8"), "eth1"));
    const auto before = sockets();
    REQUIRE(before.size() >= 2);
    REQUIRE(memberships.rejoin("eth1"));
    CHECK(sockets() == before);
    CHECK(listed("igmp", "010101EF"));

    namespaces.node("ip link del eth1");
    CHECK_FALSE(listed("igmp", "010101EF"));
    const auto gone = memberships.rejoin("eth1");
    REQUIRE_FALSE(gone);
    CHECK(gone.error().text == "cannot join 239.1.1.1 on eth1: there is no such interface");

    namespaces.add_link();
    CHECK_FALSE(listed("igmp", "010101EF"));
    REQUIRE(memberships.rejoin("eth1"));
    CHECK(listed("igmp", "010101EF"));
    CHECK(listed("mcfilter6", "ff350000000000000000000000005678", "fd000000000000000000000000000008"));
    memberships.leave(ip("239.1.1.1"), std::nullopt, "eth1");
    CHECK_FALSE(listed("igmp", "010101EF"));
}

TEST_CASE("a claimed port draws no ICMP error and nobody else can bind it") {
    if (needs_root()) return;
    const Namespaces namespaces;
    for (const auto& claimed : {endpoint("10.0.0.1:20000"), endpoint("[fd00::1]:20000")}) {
        INFO(claimed.text());
        int error = 0;
        namespaces.in_peer([&] { error = error_of_sending(claimed); });
        CHECK(error == ECONNREFUSED);  // so that silence means something below
        {
            ClaimedPorts ports;
            REQUIRE(ports.claim(claimed));
            REQUIRE(ports.claim(claimed));
            namespaces.in_peer([&] { error = error_of_sending(claimed); });
            CHECK(error == 0);
            CHECK(error_of_binding(claimed) == EADDRINUSE);
            ports.release(claimed);
            CHECK(error_of_binding(claimed) == EADDRINUSE);
            // The filter drops every packet: none waits on the socket.
            CHECK(listed(claimed.ip.is_v4() ? "udp" : "udp6", ":4E20", " 00000000:00000000 "));
        }
        CHECK(error_of_binding(claimed) == 0);
        namespaces.in_peer([&] { error = error_of_sending(claimed); });
        CHECK(error == ECONNREFUSED);
    }
}

TEST_CASE("both families and a group can be claimed on one port, a group also by several") {
    if (needs_root()) return;
    const Namespaces namespaces;
    ClaimedPorts ours, theirs;
    REQUIRE(ours.claim(endpoint("0.0.0.0:20000")));
    REQUIRE(ours.claim(endpoint("[::]:20000")));
    REQUIRE(ours.claim(endpoint("239.1.1.1:20002")));
    REQUIRE(theirs.claim(endpoint("239.1.1.1:20002")));
    CHECK_FALSE(theirs.claim(endpoint("[::]:20000")));
    ours.release(endpoint("[::]:20000"));
    CHECK(theirs.claim(endpoint("[::]:20000")));
}

TEST_CASE("a link-local address is claimed on its interface") {
    if (needs_root()) return;
    const Namespaces namespaces;
    ClaimedPorts ports;
    namespaces.node("ip addr add fe80::77/64 dev eth1 nodad");
    CHECK_FALSE(ports.claim(endpoint("[fe80::77]:20000")));
    CHECK(ports.claim(endpoint("[fe80::77]:20000"), "eth1"));
}

TEST_CASE("a claim that cannot be says why") {
    if (needs_root()) return;
    const Namespaces namespaces;
    ClaimedPorts ports, others;
    REQUIRE(others.claim(endpoint("10.0.0.1:20000")));
    const auto taken = ports.claim(endpoint("10.0.0.1:20000"));
    REQUIRE_FALSE(taken);
    CHECK(taken.error().text == "cannot claim UDP 10.0.0.1:20000: another program has the port");
    const auto elsewhere = ports.claim(endpoint("10.0.0.9:20000"));
    REQUIRE_FALSE(elsewhere);
    CHECK(elsewhere.error().text == "cannot claim UDP 10.0.0.9:20000: 10.0.0.9 is no address of this node");
}
