// Rules that tell a device to which rx queue a flow goes, on a TAP whose driver puts them into the kernel's classifier
// (flower). Where the kernel has none, as in small virtual machines, this is skipped.
#include "dataplane/flow_rules.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <array>
#include <chrono>
#include <cstdlib>
#include <map>
#include <set>

#include "base/log.hpp"
#include "dataplane/eal.hpp"
#include "dataplane/pools.hpp"
#include "dataplane/worker.hpp"
#include "flow/classify.hpp"
#include "support/packet_builder.hpp"

using namespace penstock;
using namespace penstock::test;

namespace {

void run(const std::string& command) {
    INFO(command);
    REQUIRE(std::system(command.c_str()) == 0);
}

// A TAP with two rx queues; what is sent to 10.9.9.1 or fd09::1 comes out of it.
class Tap {
public:
    Tap() : log_(Level::error, LogFormat::text) {
        REQUIRE(unshare(CLONE_NEWNET) == 0);
        dataplane::EalPlan plan;
        plan.hugepages = dataplane::Hugepages::off;
        plan.control_core = static_cast<unsigned>(sched_getcpu());
        eal_ = dataplane::Eal::start(plan, log_).value();
        pool_ = dataplane::make_pool("packets", 4096, dataplane::kPacketRoom, false).value();
        REQUIRE(rte_eal_hotplug_add("vdev", "net_tap0", "iface=tap0") == 0);
        REQUIRE(rte_eth_dev_get_port_by_name("net_tap0", &id_) == 0);
        const rte_eth_conf conf{};
        REQUIRE(rte_eth_dev_configure(id_, 2, 2, &conf) == 0);
        for (uint16_t q = 0; q < 2; q++) {
            REQUIRE(rte_eth_rx_queue_setup(id_, q, 256, 0, nullptr, pool_.get()) == 0);
            REQUIRE(rte_eth_tx_queue_setup(id_, q, 256, 0, nullptr) == 0);
        }
        REQUIRE(rte_eth_dev_start(id_) == 0);
        run("ip address add 10.9.9.2/24 dev tap0; ip address add fd09::2/64 dev tap0 nodad; ip link set tap0 up;"
            "ip neigh replace 10.9.9.1 lladdr 02:00:00:00:00:09 dev tap0 nud permanent;"
            "ip neigh replace fd09::1 lladdr 02:00:00:00:00:09 dev tap0 nud permanent");
    }
    ~Tap() {
        rte_eth_dev_stop(id_);
        rte_eth_dev_close(id_);
        rte_eal_hotplug_remove("vdev", "net_tap0");
    }
    Tap(const Tap&) = delete;
    Tap& operator=(const Tap&) = delete;

    uint16_t id() const { return id_; }

    // By which queues a datagram to each of the keys comes in.
    std::map<uint16_t, std::set<unsigned>> queues(const std::vector<flow::Key>& keys) {
        for (const flow::Key& key : keys) {
            const bool v4 = key.destination.is_v4();
            const int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
            REQUIRE(fd >= 0);
            sockaddr_storage to{};
            const auto address = key.destination.wire();
            if (v4) {
                auto& in = reinterpret_cast<sockaddr_in&>(to);
                in = {.sin_family = AF_INET, .sin_port = htons(key.port), .sin_addr = {}, .sin_zero = {}};
                std::memcpy(&in.sin_addr, address.data(), address.size());
            } else {
                auto& in = reinterpret_cast<sockaddr_in6&>(to);
                in.sin6_family = AF_INET6;
                in.sin6_port = htons(key.port);
                std::memcpy(&in.sin6_addr, address.data(), address.size());
            }
            CHECK(sendto(fd, "media", 5, 0, reinterpret_cast<sockaddr*>(&to),
                         v4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6)) == 5);
            close(fd);
        }
        std::map<uint16_t, std::set<unsigned>> seen;
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (seen.size() < keys.size() && std::chrono::steady_clock::now() < deadline)
            for (uint16_t q = 0; q < 2; q++) {
                std::array<rte_mbuf*, 32> burst;
                const uint16_t n = rte_eth_rx_burst(id_, q, burst.data(), burst.size());
                for (rte_mbuf* m : std::span{burst}.first(n)) {
                    const auto in = flow::classify(dataplane::bytes_of(m));
                    for (const flow::Key& key : keys)
                        if (in.verdict == flow::Verdict::media && in.key == key) seen[key.port].insert(q);
                    rte_pktmbuf_free(m);
                }
            }
        CHECK(seen.size() == keys.size());
        return seen;
    }

private:
    Log log_;
    std::unique_ptr<dataplane::Eal> eal_;
    dataplane::Pool pool_;
    uint16_t id_ = 0;
};

}  // namespace

TEST_CASE("a flow goes to the queue that its rule names, and its neighbours go where they went", "[flow_rules]") {
    if (geteuid() != 0) {
        WARN("skipped: network namespaces need root");
        return;
    }
    auto made = std::make_unique<Tap>();
    Tap& tap = *made;
    dataplane::FlowRules rules(tap.id());
    std::vector<flow::Key> keys;
    for (uint16_t n = 0; n < 20; n++)
        keys.push_back({test::ip(n % 2 == 0 ? "10.9.9.1" : "fd09::1"), static_cast<uint16_t>(20000 + 2 * n), 0});
    if (const auto set = rules.set(keys[0], 1); !set) {
        CHECK(rules.size() == 0);
        rules.remove(keys[0]);  // is nothing
        made.reset();
        fmt::print("this kernel's classifier takes no such rule: {}\n", set.error().text);
        std::fflush(stdout);
        std::_Exit(77);  // as meson knows a skipped test
    }
    for (const uint16_t queue : {uint16_t{1}, uint16_t{0}}) {
        for (const flow::Key& key : keys) REQUIRE(rules.set(key, queue));
        CHECK(rules.size() == keys.size());
        for (const auto& [port, by] : tap.queues(keys)) CHECK(by == std::set<unsigned>{queue});
    }
    // One of them to the other queue: the rest stay.
    REQUIRE(rules.set(keys[3], 1));
    for (const auto& [port, by] : tap.queues(keys)) CHECK(by == std::set<unsigned>{port == keys[3].port ? 1u : 0u});
    for (const flow::Key& key : keys) rules.remove(key);
    CHECK(rules.size() == 0);
    CHECK(tap.queues(keys).size() == keys.size());  // by any queue, but none is lost
}
