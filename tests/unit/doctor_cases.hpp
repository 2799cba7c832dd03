#pragma once
// A machine that is ready for anything, and each thing that can be amiss with it: what doctor must find, and the
// command that mends it.
#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "doctor/judge.hpp"

namespace penstock::test {

using namespace doctor;

constexpr Capabilities kAll{~uint64_t{0}};

// A machine on which nothing is amiss for a port of that driver.
inline Facts ready(config::Driver driver = config::Driver::af_xdp) {
    Facts facts;
    facts.kernel = "6.12.0-18-amd64";
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
    eth1.native = eth1.zero_copy = driver != config::Driver::af_packet;  // it is for those that have no XDP
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

inline Plan plan() {
    return {.hugepages = 64, .pool = 100 << 20, .control = 0, .workers = {1, 2}, .cores_refusal = {}};
}

inline config::Port port(config::Driver driver) {
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

inline config::Config with(config::Port one) {
    config::Config config;
    config.ports.push_back(std::move(one));
    return config;
}

inline std::vector<std::string> not_met(const Findings& findings) {
    std::vector<std::string> all;
    for (const Finding& f : findings)
        if (f.status != Status::met) all.push_back(std::string{word(f.status)} + " " + f.check);
    return all;
}

struct Machine {  // one that is ready for a port of the case's driver, before something of it is spoilt
    Facts facts;
    config::Config config;
    Plan plan;
};

struct Case {
    const char* what;
    config::Driver driver;
    std::function<void(Machine&)> spoil;
    std::vector<std::string> expected;  // "missing queues", in order
    std::string mend;                   // is in the last of them
};

inline const std::vector<Case>& cases() {
    using enum config::Driver;
    static const std::vector<Case> kCases{
        {"old kernel",
         null,
         [](Machine& m) { m.facts.kernel = "5.10.0-28-amd64"; },
         {"degraded kernel"},
         "linux-image-amd64"},
        {"5.15", null, [](Machine& m) { m.facts.kernel = "5.15.0"; }, {}, ""},
        {"slow clock", null, [](Machine& m) { m.facts.clock_source = "hpet"; }, {"degraded clock source"}, "tsc"},
        {"a guest's clock", null, [](Machine& m) { m.facts.clock_source = "kvm-clock"; }, {}, ""},
        {"control socket",
         null,
         [](Machine& m) { m.facts.control_refusal = "another process serves it"; },
         {"missing control socket"},
         "control.socket"},
        {"metrics",
         null,
         [](Machine& m) { m.facts.not_to_be_had[*m.config.metrics.listen] = "Address already in use"; },
         {"missing metrics address"},
         "metrics.listen"},
        {"rtsp",
         null,
         [](Machine& m) {
             m.config.rtsp.listen = {*Endpoint::parse("10.0.0.1:8554"), *Endpoint::parse("10.0.0.2:8554")};
             m.facts.not_to_be_had[m.config.rtsp.listen[1]] = "Cannot assign requested address";
         },
         {"missing rtsp address"},
         "rtsp.listen"},
        {"rtsps",
         null,
         [](Machine& m) {
             m.config.rtsp.tls = config::Tls{{*Endpoint::parse("10.0.0.2:322")}, "/c", "/k", {}, {}};
             m.facts.certificate = {"/k: is not the key", 0, 0, 0, true};
             m.facts.not_to_be_had[m.config.rtsp.tls->listen[0]] = "Cannot assign requested address";
         },
         {"missing rtsps address", "missing rtsp certificate"},
         "rtsp.tls"},
        {"a certificate that is valid for fifteen days",
         null,
         [](Machine& m) {
             m.config.rtsp.tls = config::Tls{{}, "/c", "/k", {}, {}};
             m.facts.certificate = {"", 0, 1'000'000 + 15 * 86400, 1'000'000, true};
         },
         {},
         ""},
        {"a certificate that expires",
         null,
         [](Machine& m) {
             m.config.rtsp.tls = config::Tls{{}, "/c", "/k", {}, {}};
             m.facts.certificate = {"", 0, 1'000'000 + 13 * 86400, 1'000'000, true};
         },
         {"degraded rtsp certificate"},
         "reload"},
        {"a certificate that expired",
         null,
         [](Machine& m) {
             m.config.rtsp.tls = config::Tls{{}, "/c", "/k", {}, {}};
             m.facts.certificate = {"", 0, 1'000'000, 1'000'000, true};
         },
         {"degraded rtsp certificate"},
         "reload"},
        {"a key that a reload cannot read",
         null,
         [](Machine& m) {
             m.config.rtsp.tls = config::Tls{{}, "/c", "/k", {}, {}};
             m.facts.certificate = {"", 0, 100 * 86400, 1'000'000, false};
         },
         {"degraded rtsp certificate"},
         "chown"},
        {"low rtsp port",
         null,
         [](Machine& m) {
             m.facts.capabilities = {};
             m.config.rtsp.listen = {*Endpoint::parse("[::]:554")};
         },
         {"missing rtsp address"},
         "a higher port"},
        {"metrics off",
         null,
         [](Machine& m) {
             m.facts.not_to_be_had[*m.config.metrics.listen] = "x";
             m.config.metrics.listen.reset();
         },
         {},
         ""},
        {"low metrics port",
         null,
         [](Machine& m) {
             m.facts.capabilities = {};
             m.config.metrics.listen = Endpoint::parse("127.0.0.1:80");
         },
         {"missing metrics address"},
         "metrics.listen"},
        {"few hugepages",
         null,
         [](Machine& m) { m.facts.hugepages_free = 63; },
         {"degraded hugepages"},
         "sysctl -w vm.nr_hugepages=129"},
        {"hugepages on",
         null,
         [](Machine& m) {
             m.facts.hugepages_free = 63;
             m.config.memory.hugepages = config::Hugepages::on;
         },
         {"missing hugepages"},
         "sysctl -w vm.nr_hugepages=129"},
        {"hugepages off",
         null,
         [](Machine& m) {
             m.facts.hugepages_free = 0;
             m.config.memory.hugepages = config::Hugepages::off;
         },
         {},
         ""},
        {"hugepages of the cgroup",
         null,
         [](Machine& m) { m.facts.hugepages_allowed = 10; },
         {"degraded hugepages"},
         "128 MiB"},
        {"pci without hugepages",
         pci,
         [](Machine& m) { m.facts.hugepages_free = 63; },
         {"missing hugepages"},
         "sysctl -w vm.nr_hugepages=129"},
        {"pci, hugepages off",
         pci,
         [](Machine& m) { m.config.memory.hugepages = config::Hugepages::off; },
         {"missing hugepages"},
         "auto"},
        {"no huge pages at all",
         null,
         [](Machine& m) {
             m.facts.hugepages_free = 0;
             m.facts.transparent = "never";
         },
         {"degraded hugepages", "degraded transparent pages"},
         "transparent_hugepage"},
        {"memlock of af_xdp",
         af_xdp,
         [](Machine& m) { m.facts.capabilities = kAll.without({Capability::ipc_lock}); },
         {"missing memlock"},
         "ulimit -l 102400 "},
        {"memlock of two queues",
         af_packet,
         [](Machine& m) {
             m.facts.capabilities = kAll.without({Capability::ipc_lock});
             m.config.ports[0].queues = 2;
         },
         {"missing memlock"},
         "ulimit -l 32768 "},
        {"memlock enough",
         af_packet,
         [](Machine& m) {
             m.facts.capabilities = kAll.without({Capability::ipc_lock});
             m.facts.memlock = 16 << 20;
         },
         {},
         ""},
        {"memlock unlimited",
         af_xdp,
         [](Machine& m) {
             m.facts.capabilities = kAll.without({Capability::ipc_lock});
             m.facts.memlock.reset();
         },
         {},
         ""},
        {"memlock of pci",
         pci,
         [](Machine& m) { m.facts.capabilities = kAll.without({Capability::ipc_lock}); },
         {"missing memlock"},
         "ulimit -l 131072 "},
        {"cores",
         null,
         [](Machine& m) { m.plan.cores_refusal = "core 9 is not in the cpuset"; },
         {"missing cores"},
         "0,1,2,3"},
        {"control shares", null, [](Machine& m) { m.plan.control = 2; }, {"degraded cores"}, "core more"},
        {"shared cores", null, [](Machine& m) { m.facts.isolated = {2}; }, {"degraded isolation"}, "isolcpus=1 "},
        {"quota", null, [](Machine& m) { m.facts.quota = 1.5; }, {"degraded cpu quota"}, "cpu.max"},
        {"wide quota", null, [](Machine& m) { m.facts.quota = 3; }, {}, ""},
        {"no AF_XDP", af_xdp, [](Machine& m) { m.facts.xdp_sockets = false; }, {"missing BPF"}, "CONFIG_XDP_SOCKETS"},
        {"no XDP", af_xdp, [](Machine& m) { m.facts.xdp_programs = false; }, {"missing BPF"}, "CONFIG_BPF_SYSCALL"},
        {"no maps", af_xdp, [](Machine& m) { m.facts.xsk_maps = false; }, {"missing BPF"}, "af_packet"},
        {"BPF that nobody needs", af_packet, [](Machine& m) { m.facts.xdp_sockets = false; }, {}, ""},
        {"capability",
         af_xdp,
         [](Machine& m) { m.facts.capabilities = kAll.without({Capability::bpf}); },
         {"missing capabilities"},
         "AmbientCapabilities=CAP_BPF to"},
        {"capabilities",
         af_packet,
         [](Machine& m) {
             m.facts.capabilities = {Capability::ipc_lock, Capability::net_bind_service};
         },
         {"missing capabilities"},
         "AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW to"},
        {"none is needed", vhost, [](Machine& m) { m.facts.capabilities = {}; }, {}, ""},
        {"twin",
         vhost,
         [](Machine& m) {
             m.facts.capabilities = {};
             m.config.ports[0].twin = "vm0";
         },
         {"missing capabilities"},
         "CAP_NET_ADMIN to"},
        {"interface",
         af_xdp,
         [](Machine& m) { m.config.ports[0].interface = "eth9"; },
         {"missing interface"},
         "ip link"},
        {"down",
         af_packet,
         [](Machine& m) { m.facts.interfaces["eth1"].up = false; },
         {"degraded interface"},
         "ip link set dev eth1 up"},
        {"somebody's XDP",
         af_xdp,
         [](Machine& m) { m.facts.interfaces["eth1"].xdp_refusal = "theirs"; },
         {"missing XDP"},
         "ip link set dev eth1 xdp off"},
        {"no native XDP",
         af_xdp,
         [](Machine& m) { m.facts.interfaces["eth1"].native = false; },
         {"degraded XDP"},
         "ice"},
        {"mode native",
         af_xdp,
         [](Machine& m) {
             m.facts.interfaces["eth1"].native = false;
             m.config.ports[0].mode = config::XdpMode::native;
         },
         {"missing XDP"},
         "mode: auto"},
        {"mode generic",
         af_xdp,
         [](Machine& m) { m.config.ports[0].mode = config::XdpMode::generic; },
         {"degraded XDP"},
         "mode: auto"},
        {"not known",
         af_xdp,
         [](Machine& m) {
             m.facts.interfaces["eth1"].native.reset();
             m.facts.interfaces["eth1"].zero_copy.reset();
             m.config.ports[0].zero_copy = config::ZeroCopy::on;
         },
         {},
         ""},
        {"copies",
         af_xdp,
         [](Machine& m) { m.facts.interfaces["eth1"].zero_copy = false; },
         {"degraded zero-copy"},
         "driver: pci"},
        {"zero_copy on",
         af_xdp,
         [](Machine& m) {
             m.facts.interfaces["eth1"].zero_copy = false;
             m.config.ports[0].zero_copy = config::ZeroCopy::on;
         },
         {"missing zero-copy"},
         "zero_copy: auto"},
        {"zero_copy off",
         af_xdp,
         [](Machine& m) {
             m.facts.interfaces["eth1"].zero_copy = false;
             m.config.ports[0].zero_copy = config::ZeroCopy::off;
         },
         {},
         ""},
        {"segmentation off, but zero-copy",
         af_xdp,
         [](Machine& m) { m.config.ports[0].segmentation = config::Segmentation::off; },
         {},
         ""},
        {"segmentation off, and copies",
         af_xdp,
         [](Machine& m) {
             m.config.ports[0].zero_copy = config::ZeroCopy::off;
             m.config.ports[0].segmentation = config::Segmentation::off;
         },
         {"degraded segmentation"},
         "segmentation: auto"},
        {"a kernel that does not segment",
         af_xdp,
         [](Machine& m) {
             m.config.ports[0].zero_copy = config::ZeroCopy::off;
             m.facts.kernel = "6.1.0-18-amd64";
         },
         {"degraded segmentation"},
         "a later kernel"},
        {"too many queues",
         af_xdp,
         [](Machine& m) { m.config.ports[0].queues = 2; },
         {"missing queues"},
         "ethtool -L eth1 combined 2, or set queues: 1"},
        {"too few queues",
         af_xdp,
         [](Machine& m) { m.facts.interfaces["eth1"].queues = 8; },
         {"degraded queues"},
         "ethtool -L eth1 combined 1, or set queues: 8"},
        {"interrupts that wait for a timer",
         af_xdp,
         [](Machine& m) {
             m.facts.interfaces["eth1"].deferred = 2;
             m.facts.interfaces["eth1"].deferred_ns = 200000;
         },
         {"degraded interrupts"},
         "echo 0 > /sys/class/net/eth1/napi_defer_hard_irqs; echo 0 > /sys/class/net/eth1/gro_flush_timeout"},
        {"a timer for which no interrupt waits",
         af_xdp,
         [](Machine& m) { m.facts.interfaces["eth1"].deferred_ns = 200000; },
         {},
         ""},
        {"af_packet where XDP is to be had",
         af_packet,
         [](Machine& m) { m.facts.interfaces["eth1"].native = true; },
         {"degraded driver"},
         "driver: af_xdp"},
        {"af_packet of a kernel without XDP sockets",
         af_packet,
         [](Machine& m) {
             m.facts.interfaces["eth1"].native = true;
             m.facts.xdp_sockets = false;
         },
         {},
         ""},
        {"af_packet of a kernel that does not say what the driver has",
         af_packet,
         [](Machine& m) { m.facts.interfaces["eth1"].native.reset(); },
         {},
         ""},
        {"large MTU",
         af_packet,
         [](Machine& m) { m.facts.interfaces["eth1"].mtu = 9000; },
         {"degraded MTU"},
         "ip link set dev eth1 mtu 1500"},
        {"uplink",
         af_xdp,
         [](Machine& m) {
             m.facts.interfaces["eth1"].routes = {{true, "default via 10.0.0.254"}};
         },
         {"missing uplink"},
         "force: true"},
        {"uplink by force",
         af_xdp,
         [](Machine& m) {
             m.facts.interfaces["eth1"].routes = {{true, "default via 10.0.0.254"}};
             m.config.ports[0].force = true;
         },
         {"degraded uplink"},
         "another interface"},
        {"uplink of af_packet",
         af_packet,
         [](Machine& m) {
             m.facts.interfaces["eth1"].routes = {{true, "default"}};
         },
         {},
         ""},
        {"other routes",
         af_xdp,
         [](Machine& m) {
             m.facts.interfaces["eth1"].routes = {{false, "10.0.0.0/24"}};
         },
         {},
         ""},
        {"far NIC",
         af_xdp,
         [](Machine& m) { m.facts.interfaces["eth1"].numa_node = 1; },
         {"degraded NUMA"},
         "workers.cores to some of 3"},
        {"one node",
         af_xdp,
         [](Machine& m) {
             m.facts.nodes.erase(0);
             m.facts.interfaces["eth1"].numa_node = 1;
         },
         {},
         ""},
        {"no TAP",
         tap,
         [](Machine& m) { m.facts.unusable["/dev/net/tun"] = "Permission denied"; },
         {"missing TAP"},
         "/dev/net/tun"},
        {"name taken", pci, [](Machine& m) { m.facts.interfaces["lan"] = {}; }, {"missing twin"}, "another name"},
        {"vhost directory",
         vhost,
         [](Machine& m) { m.facts.unusable["/run/penstock/vm.sock"] = "/run/penstock: Permission denied"; },
         {"missing path"},
         "directory"},
        {"no device", pci, [](Machine& m) { m.facts.devices.clear(); }, {"missing device"}, "dpdk-devbind.py --status"},
        {"bound to its own driver",
         pci,
         [](Machine& m) { m.facts.devices["0000:3b:02.1"].driver = "iavf"; },
         {"missing vfio"},
         "modprobe vfio-pci && dpdk-devbind.py --bind=vfio-pci 0000:3b:02.1"},
        {"no IOMMU",
         pci,
         [](Machine& m) { m.facts.devices["0000:3b:02.1"].iommu_group.reset(); },
         {"missing vfio"},
         "intel_iommu=on"},
        {"vfio without an IOMMU",
         pci,
         [](Machine& m) {
             m.facts.devices["0000:3b:02.1"].without_iommu = true;
             m.facts.capabilities = kAll | kWithoutIommu;
         },
         {"degraded vfio"},
         "intel_iommu=on"},
        {"vfio without an IOMMU, and without the capability for it",
         pci,
         [](Machine& m) {
             m.facts.devices["0000:3b:02.1"].without_iommu = true;
             m.facts.capabilities = (kAll | kWithoutIommu).without({Capability::sys_rawio});
         },
         {"missing vfio"},
         "run it as root"},
        {"shared group",
         pci,
         [](Machine& m) { m.facts.devices["0000:3b:02.1"].group_others = {"0000:3b:02.2"}; },
         {"missing vfio"},
         "--bind=vfio-pci 0000:3b:02.2"},
        {"closed group",
         pci,
         [](Machine& m) { m.facts.devices["0000:3b:02.1"].group_opens = false; },
         {"missing vfio"},
         "/dev/vfio/7"},
        {"no vfio",
         pci,
         [](Machine& m) { m.facts.unusable["/dev/vfio/vfio"] = "No such file or directory"; },
         {"missing vfio"},
         "modprobe vfio-pci"},
        {"not trusted",
         pci,
         [](Machine& m) { m.facts.devices["0000:3b:02.1"].trusted = false; },
         {"degraded virtual function"},
         "ip link set dev eth0 vf 3 trust on"},
        {"no MAC",
         pci,
         [](Machine& m) { m.facts.devices["0000:3b:02.1"].mac = Mac{}; },
         {"degraded virtual function"},
         "ip link set dev eth0 vf 3 mac 02:"},
        {"PF out of sight",
         pci,
         [](Machine& m) { m.facts.devices["0000:3b:02.1"].trusted.reset(); },
         {"degraded virtual function"},
         "ip link show"},
        {"PF itself",
         pci,
         [](Machine& m) {
             m.facts.devices["0000:3b:02.1"].is_virtual = false;
             m.facts.devices["0000:3b:02.1"].trusted.reset();
         },
         {},
         ""},
    };
    return kCases;
}

inline Findings judged(const Case& c) {
    Machine machine{ready(c.driver), with(port(c.driver)), plan()};
    c.spoil(machine);
    return judge(machine.config, machine.facts, machine.plan);
}

}  // namespace penstock::test
