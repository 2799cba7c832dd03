#pragma once
// Two network namespaces joined by a veth pair: this thread moves into the node's (eth1, 10.0.0.1/24, fd00::1/64), the
// other end is the peer's (peer1, 10.0.0.2/24, fd00::2/64). Gone with the object, which brings the thread back.
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "control/io/event_loop.hpp"
#include "control/io/fd.hpp"

namespace penstock::test {

inline bool needs_root() {
    if (geteuid() == 0) return false;
    WARN("skipped: network namespaces need root");
    return true;
}

class Namespaces {
public:
    Namespaces() : original_(current()) {
        make();
        peer_ = current();
        make();
        node_ = current();
        // Without duplicate address detection IPv6 addresses are usable at once.
        for (const auto* side : {&node_, &peer_}) {
            enter(*side);
            shell("for c in all default; do echo 0 > /proc/sys/net/ipv6/conf/$c/accept_dad; done; ip link set lo up");
        }
        enter(node_);
        add_link();
    }
    ~Namespaces() { setns(original_.get(), CLONE_NEWNET); }
    Namespaces(const Namespaces&) = delete;
    Namespaces& operator=(const Namespaces&) = delete;

    void add_link() {
        node(
            fmt::format("ip link add eth1 address 02:00:00:00:00:01 type veth peer name peer1 "
                        "address 02:00:00:00:00:02 netns /proc/{}/fd/{}",
                        getpid(), peer_.get()));
        node("ip link set eth1 up; ip addr add 10.0.0.1/24 dev eth1; ip addr add fd00::1/64 dev eth1 nodad");
        peer("ip link set peer1 up; ip addr add 10.0.0.2/24 dev peer1; ip addr add fd00::2/64 dev peer1 nodad");
    }
    // An interface of the node that leads nowhere, up and with a carrier.
    void add_other(const std::string& name) const {
        node(fmt::format("ip link add {0} type veth peer name {0}-end; ip link set {0}-end up; ip link set {0} up",
                         name));
    }
    void node(const std::string& command) const { shell(command); }
    void peer(const std::string& command) const {
        in_peer([&] { shell(command); });
    }
    void in_peer(auto&& call) const {
        enter(peer_);
        call();
        enter(node_);
    }

private:
    static io::Fd current() { return io::Fd{open("/proc/thread-self/ns/net", O_RDONLY)}; }
    static void make() { REQUIRE(unshare(CLONE_NEWNET) == 0); }
    static void enter(const io::Fd& side) { REQUIRE(setns(side.get(), CLONE_NEWNET) == 0); }
    static void shell(const std::string& command) {
        INFO(command);
        REQUIRE(std::system(("set -e; " + command).c_str()) == 0);
    }

    io::Fd original_, peer_, node_;
};

inline std::string read_file(const std::string& path) {
    std::ifstream file{path};
    REQUIRE(file.good());
    return {std::istreambuf_iterator<char>{file}, {}};
}

// Runs the loop until the condition holds. Whatever can make it hold must stop() the loop; `look_every` is for
// conditions about which nothing calls back.
inline bool run_until(io::EventLoop& loop, auto&& condition, Duration limit, Duration look_every = {}) {
    bool late = false;
    const auto deadline = loop.at(Clock::now() + limit, [&] {
        late = true;
        loop.stop();
    });
    io::EventLoop::Timer look;
    if (look_every != Duration::zero()) look = loop.every(look_every, [&] { loop.stop(); });
    while (!condition() && !late) loop.run();
    return condition();
}

}  // namespace penstock::test
