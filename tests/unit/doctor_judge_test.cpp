// Facts and a configuration in, findings out.
#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>

#include "doctor/judge.hpp"

using namespace penstock;
using namespace penstock::doctor;
using Catch::Matchers::Contains;

namespace {

constexpr Capabilities kAll{~uint64_t{0}};

// A machine on which nothing is amiss.
Facts ready() {
    Facts facts;
    facts.kernel = "6.1.0-18-amd64";
    facts.hugepages = facts.hugepages_free = 128;
    facts.transparent = "madvise";
    facts.capabilities = kAll;
    facts.memlock = 8 << 20;
    facts.allowed = {0, 1, 2, 3};
    facts.isolated = {1, 2};
    facts.nodes = {{0, {0, 1, 2}}, {1, {3}}};
    facts.clock_source = "tsc";
    facts.xdp_programs = facts.xsk_maps = true;
    facts.xdp_sockets = true;
    Interface eth1;
    eth1.up = true;
    eth1.mtu = 1500;
    eth1.driver = "ice";
    eth1.queues = 1;
    eth1.native = eth1.zero_copy = true;
    eth1.numa_node = 0;
    facts.interfaces["eth1"] = eth1;
    PciDevice nic;
    nic.driver = "vfio-pci";
    nic.iommu_group = 7;
    nic.group_opens = true;
    nic.numa_node = 0;
    nic.is_virtual = true;
    nic.parent = "eth0";
    nic.number = 3;
    nic.trusted = true;
    nic.mac = Mac::parse("02:00:00:00:00:07");
    facts.devices["0000:3b:02.1"] = nic;
    return facts;
}

Plan plan() { return {.hugepages = 64, .pool = 100 << 20, .control = 0, .workers = {1, 2}, .cores_refusal = {}}; }

config::Port port(config::Driver driver) {
    config::Port made;
    made.name = "lan";
    made.driver = driver;
    if (driver == config::Driver::pci) {
        made.device = "0000:3b:02.1";
        made.twin = "lan";
    } else if (driver == config::Driver::vhost) {
        made.socket = "/run/penstock/vm.sock";
    } else {
        made.interface = driver == config::Driver::tap ? "tap0" : "eth1";
    }
    return made;
}

config::Config with(config::Port one) {
    config::Config config;
    config.ports.push_back(std::move(one));
    return config;
}

std::vector<std::string> not_met(const Findings& findings) {
    std::vector<std::string> all;
    for (const Finding& f : findings)
        if (f.status != Status::met) all.push_back(std::string{word(f.status)} + " " + f.check);
    return all;
}

struct Case {
    const char* what;
    config::Driver driver;
    std::function<void(Facts&, config::Config&, Plan&)> spoil;
    std::vector<std::string> expected;  // "missing queues", in order
    std::string mend;                   // is in the last of them
};

#define SPOIL [](Facts & f, config::Config & c, Plan & p)
#define UNUSED (void)f, (void)c, (void)p

const std::vector<Case>& cases() {
    using enum config::Driver;
    static const std::vector<Case> kCases{{"old kernel", null, SPOIL{UNUSED;
    f.kernel = "5.10.0-28-amd64";
}
, {"degraded kernel"}, "linux-image-amd64"
}  // namespace
, {"5.15", null, SPOIL{UNUSED;
f.kernel = "5.15.0";
}
, {}, ""
}
, {"slow clock", null, SPOIL{UNUSED;
f.clock_source = "hpet";
}
, {"degraded clock source"}, "tsc"
}
, {"a guest's clock", null, SPOIL{UNUSED;
f.clock_source = "kvm-clock";
}
, {}, ""
}
, {"control socket", null, SPOIL{UNUSED;
f.control_refusal = "another process serves it";
}
, {"missing control socket"}, "control.socket"
}
, {"metrics", null, SPOIL{UNUSED;
f.metrics_refusal = "Address already in use";
}
, {"missing metrics address"}, "metrics.listen"
}
, {"metrics off", null, SPOIL{UNUSED;
f.metrics_refusal = "x";
c.metrics.listen.reset();
}
, {}, ""
}
, {"low metrics port", null, SPOIL{UNUSED;
f.capabilities = {};
c.metrics.listen = Endpoint::parse("127.0.0.1:80");
}
, {"missing metrics address"}, "metrics.listen"
}
, {"few hugepages", null, SPOIL{UNUSED;
f.hugepages_free = 63;
}
, {"degraded hugepages"}, "sysctl -w vm.nr_hugepages=129"
}
, {"hugepages on", null, SPOIL{UNUSED;
f.hugepages_free = 63;
c.memory.hugepages = config::Hugepages::on;
}
, {"missing hugepages"}, "sysctl -w vm.nr_hugepages=129"
}
, {"hugepages off", null, SPOIL{UNUSED;
f.hugepages_free = 0;
c.memory.hugepages = config::Hugepages::off;
}
, {}, ""
}
, {"hugepages of the cgroup", null, SPOIL{UNUSED;
f.hugepages_allowed = 10;
}
, {"degraded hugepages"}, "128 MiB"
}
, {"pci without hugepages", pci, SPOIL{UNUSED;
f.hugepages_free = 63;
}
, {"missing hugepages"}, "sysctl -w vm.nr_hugepages=129"
}
, {"pci, hugepages off", pci, SPOIL{UNUSED;
c.memory.hugepages = config::Hugepages::off;
}
, {"missing hugepages"}, "auto"
}
, {"no huge pages at all", null, SPOIL{UNUSED;
f.hugepages_free = 0;
f.transparent = "never";
}
, {"degraded hugepages", "degraded transparent pages"}, "transparent_hugepage"
}
, {"memlock of af_xdp", af_xdp, SPOIL{UNUSED;
f.capabilities = kAll.without({Capability::ipc_lock});
}
, {"missing memlock"}, "ulimit -l 102400 "
}
, {"memlock of two queues", af_packet, SPOIL{UNUSED;
f.capabilities = kAll.without({Capability::ipc_lock});
c.ports[0].queues = 2;
}
, {"missing memlock"}, "ulimit -l 32768 "
}
, {"memlock enough", af_packet, SPOIL{UNUSED;
f.capabilities = kAll.without({Capability::ipc_lock});
f.memlock = 16 << 20;
}
, {}, ""
}
, {"memlock unlimited", af_xdp, SPOIL{UNUSED;
f.capabilities = kAll.without({Capability::ipc_lock});
f.memlock.reset();
}
, {}, ""
}
, {"memlock of pci", pci, SPOIL{UNUSED;
f.capabilities = kAll.without({Capability::ipc_lock});
}
, {"missing memlock"}, "ulimit -l 131072 "
}
, {"cores", null, SPOIL{UNUSED;
p.cores_refusal = "core 9 is not in the cpuset";
}
, {"missing cores"}, "0,1,2,3"
}
, {"control shares", null, SPOIL{UNUSED;
p.control = 2;
}
, {"degraded cores"}, "core more"
}
, {"shared cores", null, SPOIL{UNUSED;
f.isolated = {2};
}
, {"degraded isolation"}, "isolcpus=1 "
}
, {"quota", null, SPOIL{UNUSED;
f.quota = 1.5;
}
, {"degraded cpu quota"}, "cpu.max"
}
, {"wide quota", null, SPOIL{UNUSED;
f.quota = 3;
}
, {}, ""
}
, {"no AF_XDP", af_xdp, SPOIL{UNUSED;
f.xdp_sockets = false;
}
, {"missing BPF"}, "CONFIG_XDP_SOCKETS"
}
, {"no XDP", af_xdp, SPOIL{UNUSED;
f.xdp_programs = false;
}
, {"missing BPF"}, "CONFIG_BPF_SYSCALL"
}
, {"no maps", af_xdp, SPOIL{UNUSED;
f.xsk_maps = false;
}
, {"missing BPF"}, "af_packet"
}
, {"BPF that nobody needs", af_packet, SPOIL{UNUSED;
f.xdp_sockets = false;
}
, {}, ""
}
, {"capability", af_xdp, SPOIL{UNUSED;
f.capabilities = kAll.without({Capability::bpf});
}
, {"missing capabilities"}, "AmbientCapabilities=CAP_BPF to"
}
, {"capabilities", af_packet, SPOIL{UNUSED;
f.capabilities = {Capability::ipc_lock, Capability::net_bind_service};
}
, {"missing capabilities"}, "AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW to"
}
, {"none is needed", vhost, SPOIL{UNUSED;
f.capabilities = {};
}
, {}, ""
}
, {"twin", vhost, SPOIL{UNUSED;
f.capabilities = {};
c.ports[0].twin = "vm0";
}
, {"missing capabilities"}, "CAP_NET_ADMIN to"
}
, {"interface", af_xdp, SPOIL{UNUSED;
c.ports[0].interface = "eth9";
}
, {"missing interface"}, "ip link"
}
, {"down", af_packet, SPOIL{UNUSED;
f.interfaces["eth1"].up = false;
}
, {"degraded interface"}, "ip link set dev eth1 up"
}
, {"somebody's XDP", af_xdp, SPOIL{UNUSED;
f.interfaces["eth1"].xdp_refusal = "theirs";
}
, {"missing XDP"}, "ip link set dev eth1 xdp off"
}
, {"no native XDP", af_xdp, SPOIL{UNUSED;
f.interfaces["eth1"].native = false;
}
, {"degraded XDP"}, "ice"
}
, {"mode native", af_xdp, SPOIL{UNUSED;
f.interfaces["eth1"].native = false;
c.ports[0].mode = config::XdpMode::native;
}
, {"missing XDP"}, "mode: auto"
}
, {"mode generic", af_xdp, SPOIL{UNUSED;
c.ports[0].mode = config::XdpMode::generic;
}
, {"degraded XDP"}, "mode: auto"
}
, {"not known", af_xdp, SPOIL{UNUSED;
f.interfaces["eth1"].native.reset();
f.interfaces["eth1"].zero_copy.reset();
c.ports[0].zero_copy = config::ZeroCopy::on;
}
, {}, ""
}
, {"copies", af_xdp, SPOIL{UNUSED;
f.interfaces["eth1"].zero_copy = false;
}
, {"degraded zero-copy"}, "driver: pci"
}
, {"zero_copy on", af_xdp, SPOIL{UNUSED;
f.interfaces["eth1"].zero_copy = false;
c.ports[0].zero_copy = config::ZeroCopy::on;
}
, {"missing zero-copy"}, "zero_copy: auto"
}
, {"zero_copy off", af_xdp, SPOIL{UNUSED;
f.interfaces["eth1"].zero_copy = false;
c.ports[0].zero_copy = config::ZeroCopy::off;
}
, {}, ""
}
, {"too many queues", af_xdp, SPOIL{UNUSED;
c.ports[0].queues = 2;
}
, {"missing queues"}, "ethtool -L eth1 combined 2, or set queues: 1"
}
, {"too few queues", af_xdp, SPOIL{UNUSED;
f.interfaces["eth1"].queues = 8;
}
, {"degraded queues"}, "ethtool -L eth1 combined 1, or set queues: 8"
}
, {"large MTU", af_packet, SPOIL{UNUSED;
f.interfaces["eth1"].mtu = 9000;
}
, {"degraded MTU"}, "ip link set dev eth1 mtu 1500"
}
, {"uplink", af_xdp, SPOIL{UNUSED;
f.interfaces["eth1"].routes = {{true, "default via 10.0.0.254"}};
}
, {"missing uplink"}, "force: true"
}
, {"uplink by force", af_xdp, SPOIL{UNUSED;
f.interfaces["eth1"].routes = {{true, "default via 10.0.0.254"}};
c.ports[0].force = true;
}
, {"degraded uplink"}, "another interface"
}
, {"uplink of af_packet", af_packet, SPOIL{UNUSED;
f.interfaces["eth1"].routes = {{true, "default"}};
}
, {}, ""
}
, {"other routes", af_xdp, SPOIL{UNUSED;
f.interfaces["eth1"].routes = {{false, "10.0.0.0/24"}};
}
, {}, ""
}
, {"far NIC", af_xdp, SPOIL{UNUSED;
f.interfaces["eth1"].numa_node = 1;
}
, {"degraded NUMA"}, "workers.cores to some of 3"
}
, {"one node", af_xdp, SPOIL{UNUSED;
f.nodes.erase(0);
f.interfaces["eth1"].numa_node = 1;
}
, {}, ""
}
, {"no TAP", tap, SPOIL{UNUSED;
f.unusable["/dev/net/tun"] = "Permission denied";
}
, {"missing TAP"}, "/dev/net/tun"
}
, {"name taken", pci, SPOIL{UNUSED;
f.interfaces["lan"] = {};
}
, {"missing twin"}, "another name"
}
, {"vhost directory", vhost, SPOIL{UNUSED;
f.unusable["/run/penstock/vm.sock"] = "/run/penstock: Permission denied";
}
, {"missing path"}, "directory"
}
, {"no device", pci, SPOIL{UNUSED;
f.devices.clear();
}
, {"missing device"}, "dpdk-devbind.py --status"
}
, {"bound to its own driver", pci, SPOIL{UNUSED;
f.devices["0000:3b:02.1"].driver = "iavf";
}
, {"missing vfio"}, "modprobe vfio-pci && dpdk-devbind.py --bind=vfio-pci 0000:3b:02.1"
}
, {"no IOMMU", pci, SPOIL{UNUSED;
f.devices["0000:3b:02.1"].iommu_group.reset();
}
, {"missing vfio"}, "intel_iommu=on"
}
, {"shared group", pci, SPOIL{UNUSED;
f.devices["0000:3b:02.1"].group_others = {"0000:3b:02.2"};
}
, {"missing vfio"}, "--bind=vfio-pci 0000:3b:02.2"
}
, {"closed group", pci, SPOIL{UNUSED;
f.devices["0000:3b:02.1"].group_opens = false;
}
, {"missing vfio"}, "/dev/vfio/7"
}
, {"no vfio", pci, SPOIL{UNUSED;
f.unusable["/dev/vfio/vfio"] = "No such file or directory";
}
, {"missing vfio"}, "modprobe vfio-pci"
}
, {"not trusted", pci, SPOIL{UNUSED;
f.devices["0000:3b:02.1"].trusted = false;
}
, {"degraded virtual function"}, "ip link set dev eth0 vf 3 trust on"
}
, {"no MAC", pci, SPOIL{UNUSED;
f.devices["0000:3b:02.1"].mac = Mac{};
}
, {"degraded virtual function"}, "ip link set dev eth0 vf 3 mac 02:"
}
, {"PF out of sight", pci, SPOIL{UNUSED;
f.devices["0000:3b:02.1"].trusted.reset();
}
, {"degraded virtual function"}, "ip link show"
}
, {"PF itself", pci, SPOIL{UNUSED;
f.devices["0000:3b:02.1"].is_virtual = false;
f.devices["0000:3b:02.1"].trusted.reset();
}
, {}, ""
}
,
}
;
return kCases;
}

Findings judged(const Case& c) {
    Facts facts = ready();
    config::Config config = with(port(c.driver));
    Plan planned = plan();
    c.spoil(facts, config, planned);
    return judge(config, facts, planned);
}

}  // namespace

TEST_CASE("a machine that is ready", "[doctor]") {
    using enum config::Driver;
    const auto driver = GENERATE(pci, af_xdp, af_packet, vhost, tap, pcap, ring, null);
    const Findings findings = judge(with(port(driver)), ready(), plan());
    CHECK(not_met(findings) == std::vector<std::string>{});
    CHECK(would_start(findings));
    for (const Finding& f : findings) {
        CHECK_FALSE(f.found.empty());
        CHECK((f.why.empty() && f.mend.empty()));
    }
}

TEST_CASE("each thing that is amiss is found, alone, with what mends it", "[doctor]") {
    for (const Case& c : cases()) {
        INFO(c.what);
        const Findings findings = judged(c);
        CHECK(not_met(findings) == c.expected);
        CHECK(would_start(findings) ==
              std::ranges::none_of(c.expected, [](const std::string& e) { return e.starts_with("missing"); }));
        for (const Finding& f : findings) {
            if (f.status == Status::met) continue;
            CHECK_FALSE((f.found.empty() || f.why.empty() || f.mend.empty()));
            if (std::string{word(f.status)} + " " + f.check == c.expected.back()) CHECK_THAT(f.mend, Contains(c.mend));
        }
    }
}

TEST_CASE("a device with the default route is not to be bound", "[doctor]") {
    Facts facts = ready();
    config::Config config = with(port(config::Driver::pci));
    PciDevice& device = facts.devices["0000:3b:02.1"];
    device.driver = "ice";
    device.netdevs = {"eth1"};
    facts.interfaces["eth1"].routes = {{true, "default via 10.0.0.254"}, {false, "10.0.0.0/24"}};
    const auto uplink = [&] {
        const Findings all = judge(config, facts, plan());
        const auto found = std::ranges::find(all, "uplink", &Finding::check);
        REQUIRE(found != all.end());
        const bool bind =
            std::ranges::any_of(all, [](const Finding& f) { return f.mend.find("--bind") != std::string::npos; });
        return std::pair{*found, bind};
    };
    const auto [refused, told] = uplink();
    CHECK(refused.status == Status::missing);
    CHECK_THAT(refused.found, Contains("'default via 10.0.0.254' by eth1, '10.0.0.0/24' by eth1"));
    CHECK_FALSE(told);  // no command that would cut the branch
    config.ports[0].force = true;
    const auto [forced, told_then] = uplink();
    CHECK(forced.status == Status::degraded);
    CHECK(told_then);
}

TEST_CASE("claims of low ports", "[doctor]") {
    Facts facts = ready();
    facts.capabilities = kAll.without({Capability::net_bind_service});
    config::Config config = with(port(config::Driver::af_packet));
    config.streams.push_back({.name = "s", .at = {}, .tracks = {config::Track{}}});
    config.streams[0].tracks[0].sources.push_back(
        {.rtp = *Endpoint::parse("10.0.0.1:600"), .at = {}, .from = {}, .port = {}});
    CHECK(not_met(judge(config, facts, plan())) == std::vector<std::string>{"degraded low ports"});
    facts.first_free_port = 600;
    CHECK(not_met(judge(config, facts, plan())).empty());
}

TEST_CASE("without a configuration nothing is missing", "[doctor]") {
    Facts facts = ready();
    facts.capabilities = {};
    facts.xdp_sockets = false;
    facts.interfaces["eth1"].routes = {{true, "default"}};
    const Findings findings = judge_in_general(facts, plan());
    CHECK(would_start(findings));
    CHECK(std::ranges::count(findings, Status::degraded, &Finding::status) == 4);  // three drivers, BPF
    const auto eth1 = std::ranges::find(findings, "eth1", &Finding::of);
    REQUIRE(eth1 != findings.end());
    CHECK(eth1->found ==
          "driver ice, up, mtu 1500, native XDP yes, zero-copy yes, 1 queues, NUMA node 0, the node's uplink");
}

TEST_CASE("what is kept while it runs", "[doctor]") {
    using enum config::Driver;
    CHECK(to_keep(with(port(af_xdp))).text() == "CAP_NET_ADMIN, CAP_BPF");
    CHECK(to_keep(with(port(af_packet))).text() == "CAP_NET_ADMIN, CAP_NET_BIND_SERVICE");
    CHECK(to_keep(with(port(pci))).text() == "CAP_NET_ADMIN");  // it has a twin
    CHECK(to_keep(with(port(vhost))).empty());
}

TEST_CASE("findings as text and JSON", "[doctor]") {
    const Findings findings{
        {"kernel", "", Status::met, "6.1.0", "", ""},
        {"queues", "lan", Status::missing, "3 are asked for, eth1 has 1",
         "each queue of the port needs one of the interface, and \"one\" is not three, however long the line becomes",
         "ethtool -L eth1 combined 3"}};
    CHECK(as_text(findings, "x.yaml") ==
          "met       kernel      6.1.0\n"
          "missing   queues lan  3 are asked for, eth1 has 1\n"
          "                      why:  each queue of the port needs one of the interface, and \"one\" is not\n"
          "                            three, however long the line becomes\n"
          "                      mend: ethtool -L eth1 combined 3\n"
          "\n`penstock run -c x.yaml` would not start: 1 missing\n");
    CHECK(sentence(findings[1]) ==
          "missing: queues lan: 3 are asked for, eth1 has 1; each queue of the port needs one of the interface, and "
          "\"one\" is not three, however long the line becomes; mend it: ethtool -L eth1 combined 3");
    CHECK(as_json({findings[0]}, "x.yaml") ==
          "{\"verdict\":[{\"configuration\":\"x.yaml\",\"would_start\":true}],\"findings\":[{\"check\":\"kernel\","
          "\"of\":null,"
          "\"status\":\"met\",\"found\":\"6.1.0\",\"why\":null,\"mend\":null}]}\n");
}
