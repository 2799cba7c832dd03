// The XDP program and its place on an interface, on the real kernel: veth pairs in network namespaces of this test.
#include "dataplane/xdp/steering.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/xdp/xsk_sockets.hpp"
#include "steer_cases.hpp"
#include "veth_lab.hpp"

namespace {

using namespace penstock;
using namespace penstock::dataplane;
using namespace penstock::steer_test;
using Catch::Matchers::Contains;

bool root() {
    if (geteuid() == 0) return true;
    WARN("skipped: network namespaces and XDP need root");
    return false;
}

uint32_t program_id(const char* interface) {
    uint32_t id = 0;
    REQUIRE(bpf_xdp_query_id(static_cast<int>(if_nametoindex(interface)), 0, &id) == 0);
    return id;
}

Fd attached_program(const char* interface) { return Fd{bpf_prog_get_fd_by_id(program_id(interface))}; }

// As the DPDK driver (libxdp) does it: by the name of the map in the program that is attached.
void put_socket(const char* interface, unsigned queue, const XskSocket& socket) {
    const Fd program = attached_program(interface);
    uint32_t ids[8]{};
    bpf_prog_info info{};
    info.nr_map_ids = 8;
    info.map_ids = reinterpret_cast<uintptr_t>(ids);
    uint32_t size = sizeof info;
    REQUIRE(bpf_obj_get_info_by_fd(program.fd, &info, &size) == 0);
    for (uint32_t i = 0; i < info.nr_map_ids; i++) {
        const Fd map{bpf_map_get_fd_by_id(ids[i])};
        bpf_map_info about{};
        uint32_t about_size = sizeof about;
        REQUIRE(bpf_obj_get_info_by_fd(map.fd, &about, &about_size) == 0);
        const int fd = socket.fd();
        if (std::string{about.name} == "xsks_map") {
            REQUIRE(bpf_map_update_elem(map.fd, &queue, &fd, BPF_ANY) == 0);
            return;
        }
    }
    FAIL("the program has no xsks_map");
}

// Somebody else's, with the map that every AF_XDP program has.
Fd other_program(const char* name) {
    const Fd map{bpf_map_create(BPF_MAP_TYPE_XSKMAP, "xsks_map", 4, 4, 4, nullptr)};
    const bpf_insn pass[] = {{BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, map.fd},
                             {0, 0, 0, 0, 0},
                             {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, XDP_PASS},
                             {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
    return Fd{bpf_prog_load(BPF_PROG_TYPE_XDP, name, "GPL", pass, std::size(pass), nullptr)};
}

void steer_the_cases(Steering& steering) {
    REQUIRE(steering.set_media_ports(kFirstPort, kLastPort));
    REQUIRE(steering.set_addresses(addresses()));
    REQUIRE(steering.set_flows(flows()));
}

// -1: the kernel did not run it.
int verdict(const Fd& program, const Bytes& frame) {
    bpf_test_run_opts test{};
    test.sz = sizeof test;
    test.data_in = frame.data();
    test.data_size_in = static_cast<uint32_t>(frame.size());
    return bpf_prog_test_run_opts(program.fd, &test) == 0 ? static_cast<int>(test.retval) : -1;
}

}  // namespace

TEST_CASE("XDP redirects media and passes everything else", "[netns]") {
    if (!root()) return;
    const Lab lab;
    auto steering = Steering::attach("d0", Attach::automatic, 1);
    REQUIRE(steering);
    steer_the_cases(*steering);
    const Fd program = attached_program("d0");
    for (const auto& [what, frame, steered, padding] : cases()) {
        INFO(what);
        CHECK(verdict(program, frame) == XDP_PASS);  // no socket yet: nothing may be lost
    }
    const XskSocket socket{"d0", 0};
    put_socket("d0", 0, socket);
    for (const auto& [what, frame, steered, padding] : cases()) {
        INFO(what);
        CHECK(verdict(program, frame) == (steered ? XDP_REDIRECT : XDP_PASS));
    }
}

TEST_CASE("XDP passes a frame that was cut anywhere", "[netns]") {
    if (!root()) return;
    const Lab lab;
    auto steering = Steering::attach("d0", Attach::automatic, 1);
    REQUIRE(steering);
    steer_the_cases(*steering);
    const XskSocket socket{"d0", 0};
    put_socket("d0", 0, socket);
    const Fd program = attached_program("d0");
    for (const auto& [what, frame, steered, padding] : cases()) {
        for (size_t size = 14; size < frame.size() - padding; size++) {
            INFO(what << ", cut to " << size << " of " << frame.size());
            REQUIRE(verdict(program, Bytes(frame.begin(), frame.begin() + static_cast<ptrdiff_t>(size))) == XDP_PASS);
        }
    }
}

TEST_CASE("Media goes to the socket while the same interface serves the kernel", "[netns]") {
    if (!root()) return;
    const Attach mode = GENERATE(Attach::native, Attach::generic);
    const Lab lab;
    auto steering = Steering::attach("d0", mode, 1);
    REQUIRE(steering);
    steer_the_cases(*steering);
    CHECK(steering->native() == (mode == Attach::native));
    CHECK(steering->how() == (mode == Attach::native ? "native (driver veth)" : "generic: as configured"));
    const XskSocket socket{"d0", 0};
    CHECK(af_xdp_sockets() == std::vector{socket.fd()});
    CHECK(zero_copy(socket.fd()) == false);  // veth has none
    CHECK_FALSE(zero_copy(0).has_value());
    put_socket("d0", 0, socket);

    const Fd kernel = bound(SOCK_DGRAM, "10.0.0.1", 20000);
    send_udp(lab, 20000, 10);
    CHECK(socket.receives(10));
    char text[8];
    CHECK(recv(kernel.fd, text, sizeof text, MSG_DONTWAIT) < 0);
    CHECK(pings(lab));
    CHECK(udp_reaches_kernel(lab, 4000));
    CHECK(tcp_reaches_kernel(lab, 20000));
    CHECK(socket.received() == 10);
}

TEST_CASE("Steering follows its rules without a gap", "[netns]") {
    if (!root()) return;
    const Lab lab;
    auto steering = Steering::attach("d0", Attach::automatic, 1);
    REQUIRE(steering);
    const XskSocket socket{"d0", 0};
    put_socket("d0", 0, socket);
    const Fd program = attached_program("d0");
    const auto steered = [&](const char* address, uint16_t port) {
        return verdict(program, plain(ipv4(address, udp(port)))) == XDP_REDIRECT;
    };

    REQUIRE(steering->set_addresses(std::vector{ip("10.0.0.1"), ip("10.0.0.1"), ip("10.0.0.2")}));
    CHECK_FALSE(steered("10.0.0.1", 0));  // no range is set yet
    CHECK_FALSE(steered("10.0.0.1", 1));
    REQUIRE(steering->set_media_ports(1000, 1000));
    CHECK(steered("10.0.0.1", 1000));
    CHECK(steered("10.0.0.2", 1000));
    REQUIRE(steering->set_media_ports(2000, 65535));
    CHECK_FALSE(steered("10.0.0.1", 1000));
    CHECK(steered("10.0.0.1", 65535));
    CHECK_FALSE(steering->set_media_ports(2, 1));
    CHECK_FALSE(steering->set_media_ports(0, 9));
    REQUIRE(steering->set_addresses(std::vector{ip("10.0.0.3"), ip("10.0.0.2")}));
    CHECK_FALSE(steered("10.0.0.1", 2000));
    CHECK(steered("10.0.0.2", 2000));
    CHECK(steered("10.0.0.3", 2000));
    std::vector<Ip> many;
    for (int i = 0; i < 1025; i++) many.push_back(ip(fmt::format("10.1.{}.{}", i / 256, i % 256)));
    const auto refused = steering->set_addresses(many);
    REQUIRE_FALSE(refused);
    CHECK_THAT(refused.error().text, Contains("1025 addresses cannot be steered: 1024 is the most"));
    CHECK(steered("10.0.0.2", 2000));  // as before
    CHECK_FALSE(steered("10.1.0.0", 2000));
    REQUIRE(steering->set_addresses({}));
    CHECK_FALSE(steered("10.0.0.2", 2000));

    // A flow that stays is steered at every moment while a thousand others come and go.
    std::vector<FlowKey> flows{{ip("10.0.0.1"), 500, 0}};
    REQUIRE(steering->set_flows(flows));
    std::atomic<bool> stop = false;
    std::atomic<unsigned> runs = 0, gaps = 0;
    std::thread watcher{[&] {
        const Bytes frame = plain(ipv4("10.0.0.1", udp(500)));
        for (; !stop; runs++)
            if (verdict(program, frame) != XDP_REDIRECT) gaps++;
    }};
    for (uint16_t round = 0; round < 50 || runs < 1000; round++) {
        flows.resize(1);
        for (uint16_t i = 0; i < 1000; i++)
            flows.push_back({ip("10.0.0.2"), static_cast<uint16_t>(1 + i + round % 2 * 700), 0});
        if (!steering->set_flows(flows)) break;
    }
    stop = true;
    watcher.join();
    CHECK(runs >= 1000);
    CHECK(gaps == 0);
    const uint16_t first = flows[1].port;
    CHECK(steered("10.0.0.2", first));
    CHECK(steered("10.0.0.2", static_cast<uint16_t>(first + 999)));
    CHECK_FALSE(steered("10.0.0.2", first == 1 ? 1001 : 700));
    flows.erase(flows.begin());
    REQUIRE(steering->set_flows(flows));
    CHECK_FALSE(steered("10.0.0.1", 500));
}

TEST_CASE("Single flows come and go, and those that found no room get it when others go", "[netns]") {
    if (!root()) return;
    const Lab lab;
    auto steering = Steering::attach("d0", Attach::automatic, 1);
    REQUIRE(steering);
    const XskSocket socket{"d0", 0};
    put_socket("d0", 0, socket);
    const Fd program = attached_program("d0");
    const auto flow = [](unsigned n) {
        return FlowKey{ip(fmt::format("10.{}.{}.1", n >> 16, n >> 8 & 255)), static_cast<uint16_t>(n % 256 + 1), 0};
    };
    const auto steered = [&](unsigned n) {
        const FlowKey key = flow(n);
        return verdict(program, plain(ipv4(key.destination.text(), udp(key.port)))) == XDP_REDIRECT;
    };
    REQUIRE(steering->add_flows(std::vector{flow(1), flow(2)}));
    REQUIRE(steering->add_flows(std::vector{flow(2), flow(3)}));
    CHECK((steered(1) && steered(2) && steered(3)));
    steering->remove_flows(std::vector{flow(2), flow(9)});
    CHECK((steered(1) && !steered(2) && steered(3)));
    REQUIRE(steering->set_flows(std::vector{flow(3), flow(4)}));  // knows of what came singly
    CHECK((!steered(1) && steered(3) && steered(4)));

    constexpr unsigned kMost = 262'144;
    std::vector<FlowKey> many;
    for (unsigned n = 3; n < kMost + 3; n++) many.push_back(flow(n));
    REQUIRE(steering->add_flows(many));
    const auto refused = steering->add_flows(std::vector{flow(0), flow(1)});
    REQUIRE_FALSE(refused);
    CHECK_THAT(refused.error().text, Contains("2 flows are not steered: 262144 is the most on one interface"));
    CHECK((!steered(0) && !steered(1)));
    steering->remove_flows(std::vector{flow(1)});  // not wanted any more
    steering->remove_flows(std::vector{flow(100)});
    CHECK((steered(0) && !steered(1) && !steered(100)));
    many.push_back(flow(0));
    CHECK_FALSE(steering->set_flows(many));
    CHECK(steered(0));  // as before
}

TEST_CASE("XDP goes with its owner, and only its own", "[netns]") {
    if (!root()) return;
    const Lab lab;
    const int index = static_cast<int>(if_nametoindex("d0"));
    {
        auto steering = Steering::attach("d0", Attach::automatic, 1);
        REQUIRE(steering);
        CHECK(program_id("d0") != 0);
        const Steering moved = std::move(*steering);
        CHECK(program_id("d0") != 0);
        const auto second = Steering::attach("d0", Attach::automatic, 1);
        REQUIRE_FALSE(second);
        CHECK_THAT(second.error().text, Contains("another penstock steers d0"));
        CHECK(program_id("d0") != 0);
    }
    CHECK(program_id("d0") == 0);

    const Fd other = other_program("somebody");
    {
        const auto steering = Steering::attach("d0", Attach::automatic, 1);
        REQUIRE(steering);
        REQUIRE(bpf_xdp_detach(index, 0, nullptr) == 0);  // as the DPDK driver does at its close
        REQUIRE(bpf_xdp_attach(index, other.fd, XDP_FLAGS_DRV_MODE, nullptr) == 0);
    }
    CHECK(program_id("d0") != 0);
}

TEST_CASE("A foreign XDP program is left alone", "[netns]") {
    if (!root()) return;
    const char* const name =
        GENERATE("somebody", "xsk_def_prog");  // the second is what libxdp gives any AF_XDP program
    const Attach mode = GENERATE(Attach::automatic, Attach::generic);
    const Lab lab;
    const Fd other = other_program(name);
    REQUIRE(bpf_xdp_attach(static_cast<int>(if_nametoindex("d0")), other.fd, XDP_FLAGS_SKB_MODE, nullptr) == 0);
    const uint32_t id = program_id("d0");
    const auto steering = Steering::attach("d0", mode, 1);
    REQUIRE_FALSE(steering);
    CHECK_THAT(steering.error().text,
               Contains("id " + std::to_string(id)) && Contains(name) && Contains("ip link set dev d0 xdp off"));
    CHECK(program_id("d0") == id);
}

TEST_CASE("A killed owner leaves an interface that works, and the next one takes over", "[netns]") {
    if (!root()) return;
    const Attach before = GENERATE(Attach::native, Attach::generic);
    const Attach after = GENERATE(Attach::automatic, Attach::native, Attach::generic);
    const Lab lab;
    int ready[2];
    REQUIRE(pipe(ready) == 0);
    const pid_t child = fork();
    if (child == 0) {
        try {
            auto steering = Steering::attach("d0", before, 1);
            REQUIRE(steering);
            steer_the_cases(*steering);
            const XskSocket socket{"d0", 0};
            put_socket("d0", 0, socket);
            const char answer = 'y';
            if (write(ready[1], &answer, 1) == 1) pause();
        } catch (...) {  // a failed requirement: the parent reads the end of the pipe
        }
        _exit(1);
    }
    close(ready[1]);
    const Fd reader{ready[0]};
    char answer = 0;
    REQUIRE(read(reader.fd, &answer, 1) == 1);
    CHECK_FALSE(Steering::attach("d0", after, 1));  // it lives
    kill(child, SIGKILL);
    REQUIRE(waitpid(child, nullptr, 0) == child);
    REQUIRE(answer == 'y');

    const uint32_t left = program_id("d0");
    REQUIRE(left != 0);
    CHECK(pings(lab));
    CHECK(udp_reaches_kernel(lab, 20000));
    {
        std::atomic<bool> taken = false;
        std::atomic<unsigned> looks = 0, absent = 0;
        std::thread watcher{[&, index = static_cast<int>(if_nametoindex("d0"))] {
            for (uint32_t id = 0; !taken; looks++)
                if (bpf_xdp_query_id(index, 0, &id) == 0 && id == 0) absent++;
        }};
        while (looks == 0) std::this_thread::yield();
        auto steering = Steering::attach("d0", after, 1);
        taken = true;
        watcher.join();
        REQUIRE(steering);
        steer_the_cases(*steering);
        if (steering->native() == (before == Attach::native))
            CHECK(absent == 0);  // replaced, not detached and attached
        CHECK(steering->native() == (after != Attach::generic));
        CHECK(program_id("d0") != left);
        const XskSocket socket{"d0", 0};
        put_socket("d0", 0, socket);
        send_udp(lab, 20000, 3);
        CHECK(socket.receives(3));
        CHECK(pings(lab));
    }
    CHECK(program_id("d0") == 0);
}

TEST_CASE("A driver without native XDP is steered in generic mode, and the reason is told", "[netns]") {
    if (!root()) return;
    const Lab lab;
    {  // the loopback has none on any kernel
        const auto steering = Steering::attach("lo", Attach::automatic, 1);
        REQUIRE(steering);
        CHECK_FALSE(steering->native());
        CHECK_THAT(steering->how(), Contains("generic: driver ") && Contains(" refuses native XDP: ") &&
                                        Contains("(Operation not supported)"));
        CHECK(udp_reaches_kernel(lab, 4000));
    }
    CHECK(program_id("lo") == 0);
    const auto native = Steering::attach("lo", Attach::native, 1);
    REQUIRE_FALSE(native);
    CHECK_THAT(native.error().text, Contains("cannot attach XDP to lo in native mode") &&
                                        Contains("Operation not supported") && Contains("mode: auto"));
    CHECK(program_id("lo") == 0);

    lab.in_peer([] { run("ip link set g0 mtu 9000"); });
    const auto veth = Steering::attach("d0", Attach::automatic, 1);
    REQUIRE(veth);
    CHECK_THAT(veth->how(), Contains("generic: driver veth refuses native XDP: ") && Contains("MTU"));
    CHECK(pings(lab));
}

TEST_CASE("What cannot be attached says why", "[netns]") {
    if (!root()) return;
    const Lab lab{"numrxqueues 2 numtxqueues 2"};
    const auto missing = Steering::attach("nowhere", Attach::automatic, 1);
    REQUIRE_FALSE(missing);
    CHECK_THAT(missing.error().text, Contains("no interface nowhere"));
    const auto greedy = Steering::attach("d0", Attach::automatic, 3);
    REQUIRE_FALSE(greedy);
    CHECK_THAT(greedy.error().text, Contains("3 queues cannot be steered on d0: 1 to 2 can"));
    {
        const auto half = Steering::attach("d0", Attach::automatic, 1);
        REQUIRE(half);
        CHECK_THAT(half->warning(), Contains("d0 receives on 2 queues"));
    }
    const auto full = Steering::attach("d0", Attach::automatic, 2);
    REQUIRE(full);
    CHECK(full->warning().empty());
}
