#pragma once
// What the machine is like, as values: read by read_*.cpp, judged by judge_*.cpp.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "doctor/capabilities.hpp"

namespace penstock::doctor {

using Cores = std::vector<unsigned>;  // ascending

struct Route {
    bool is_default = false;
    std::string text;  // "default via 10.0.0.254", "10.0.0.0/24"
};

struct Interface {
    bool up = false;
    unsigned mtu = 0;
    std::string driver;             // of the kernel; empty: not known
    unsigned queues = 0;            // for receiving; 0: the driver does not say
    std::optional<bool> native;     // XDP by the driver; absent: the kernel does not say (before 6.3)
    std::optional<bool> zero_copy;  // AF_XDP without copying; likewise
    std::string xdp_refusal;        // why it cannot have our XDP program; empty: it can
    unsigned deferred = 0;          // of its interrupts, so many wait for a timer (napi_defer_hard_irqs)
    unsigned deferred_ns = 0;       // of so long (gro_flush_timeout)
    bool is_tap = false;
    int numa_node = -1;  // -1: none
    std::vector<Route> routes;
};

struct PciDevice {
    std::string driver;  // of the kernel: "vfio-pci", "iavf"; empty: none
    std::optional<unsigned> iommu_group;
    bool without_iommu = false;        // vfio made the group up: enable_unsafe_noiommu_mode
    bool never_without_iommu = false;  // this kernel's vfio has no such mode
    std::string group_path() const {
        return fmt::format("/dev/vfio/{}{}", without_iommu ? "noiommu-" : "", *iommu_group);
    }
    bool group_opens = false;               // that path, for reading and writing
    std::vector<std::string> group_others;  // devices of the group with a driver other than vfio-pci
    std::vector<std::string> netdevs;       // of the kernel's driver
    int numa_node = -1;
    // A virtual function, as its physical function's netdev tells where that one can be seen.
    bool is_virtual = false;
    std::string parent;  // the netdev; empty: not in this network namespace
    unsigned number = 0;
    std::optional<bool> trusted;
    std::optional<Mac> mac;
};

struct CertificateFacts {
    std::string refusal;  // why it cannot be had; empty: it can
    std::time_t from = 0, until = 0, now = 0;
    bool readable_later = true;  // its files, without any capability
};

struct Facts {
    std::string kernel;                        // "6.1.0-18-amd64"
    size_t hugepages = 0, hugepages_free = 0;  // of 2 MiB
    std::optional<size_t> hugepages_allowed;   // what the cgroup leaves of them; absent: no limit
    size_t hugepages_within_reach() const {
        return std::min(hugepages_free, hugepages_allowed.value_or(hugepages_free));
    }
    std::string hugepage_mount;       // of 2 MiB pages; empty: none
    std::string transparent;          // "always", "madvise", "never"; empty: the kernel has none
    Capabilities capabilities;        // effective
    std::optional<uint64_t> memlock;  // bytes; absent: unlimited
    Cores allowed, isolated;
    std::optional<double> quota;  // cores that the cgroup may use at once
    std::map<int, Cores> nodes;   // NUMA
    std::string clock_source;
    std::optional<bool> xdp_programs, xsk_maps;  // absent: it takes CAP_BPF to know
    bool xdp_sockets = false;
    unsigned first_free_port = 1024;  // ip_unprivileged_port_start
    std::map<std::string, Interface> interfaces;
    std::map<std::string, PciDevice> devices;       // of the configuration, if they are there
    std::map<std::string, std::string> unusable;    // path -> why it cannot be used, of those in the configuration
    std::string control_refusal;                    // why this socket cannot be had; empty: it can
    CertificateFacts certificate;                   // of rtsp.tls
    std::map<Endpoint, std::string> not_to_be_had;  // TCP addresses that the configuration listens on, and why not
};

// What `run` would do with the configuration on this machine, told by those who decide it.
struct Plan {
    size_t hugepages = 0;  // of 2 MiB, that all would take
    size_t pool = 0;       // bytes of the pool of packets, which every AF_XDP queue locks
    unsigned control = 0;  // core
    Cores workers;
    std::string cores_refusal;  // why the cores cannot be had; empty: they can
};

}  // namespace penstock::doctor
