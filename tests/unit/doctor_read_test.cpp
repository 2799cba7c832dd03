// The readers, on a directory that looks like /proc and /sys of some machine.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "doctor/read.hpp"

using namespace penstock;
using namespace penstock::doctor;

namespace {

namespace fs = std::filesystem;

class Root {
public:
    Root() {
        std::string pattern = fs::temp_directory_path() / "penstock-root-XXXXXX";
        path_ = mkdtemp(pattern.data());
    }
    ~Root() { fs::remove_all(path_); }
    Root& file(const std::string& name, const std::string& text) {
        fs::create_directories((path_ / name).parent_path());
        std::ofstream(path_ / name) << text;
        return *this;
    }
    Root& link(const std::string& name, const std::string& to) {
        fs::create_directories((path_ / name).parent_path());
        fs::create_directories(path_ / to);
        fs::create_directory_symlink(path_ / to, path_ / name);
        return *this;
    }
    std::string path() const { return path_; }
    Facts machine() const {
        Facts facts;
        read_machine(path_, facts);
        return facts;
    }
    std::optional<PciDevice> device(const std::string& address) const {
        Facts facts;
        read_device(path_, address, facts);
        const auto found = facts.devices.find(address);
        return found == facts.devices.end() ? std::nullopt : std::optional{found->second};
    }

private:
    fs::path path_;
};

}  // namespace

TEST_CASE("a machine of files", "[doctor]") {
    Root root;
    root.file("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n")
        .file("proc/sys/net/ipv4/ip_unprivileged_port_start", "80\n")
        .file("proc/self/status",
              "Name:\tpenstock\nCapPrm:\t0000000000000000\nCapEff:\t0000008000001000\nCpus_allowed:\tf\nCpus_allowed_"
              "list:\t0-2,5\n")
        .file("proc/self/limits",
              "Limit                     Soft Limit           Hard Limit           Units     \n"
              "Max locked memory         8388608              unlimited            bytes     \n"
              "Max address space         unlimited            unlimited            bytes     \n")
        .file("proc/self/cgroup", "0::/pods/a\n")
        .file("proc/self/mounts",
              "proc /proc proc rw 0 0\nnone /mnt/huge1G hugetlbfs rw,pagesize=1024M 0 0\nnone /dev/hugepages hugetlbfs "
              "rw,pagesize=2M 0 0\n")
        .file("sys/fs/cgroup/pods/a/hugetlb.2MB.max", "67108864\n")
        .file("sys/fs/cgroup/pods/a/hugetlb.2MB.current", "4194304\n")
        .file("sys/fs/cgroup/pods/a/cpu.max", "150000 100000\n")
        .file("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "128\n")
        .file("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "100\n")
        .file("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n")
        .file("sys/devices/system/cpu/isolated", "2,5\n")
        .file("sys/devices/system/node/node0/cpulist", "0-1\n")
        .file("sys/devices/system/node/node1/cpulist", "2-5\n")
        .file("sys/devices/system/node/possible", "0-1\n")
        .file("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
    const Facts facts = root.machine();
    CHECK(facts.kernel == "6.1.0-18-amd64");
    CHECK(facts.first_free_port == 80);
    CHECK(facts.capabilities.text() == "CAP_NET_ADMIN, CAP_BPF");
    CHECK(facts.allowed == Cores{0, 1, 2, 5});
    CHECK(facts.memlock == 8388608);
    CHECK(facts.hugepages == 128);
    CHECK(facts.hugepages_free == 100);
    CHECK(facts.hugepages_allowed == 30);  // 64 MiB less 4
    CHECK(facts.hugepages_within_reach() == 30);
    CHECK(facts.hugepage_mount == "/dev/hugepages");
    CHECK(facts.transparent == "madvise");
    CHECK(facts.isolated == Cores{2, 5});
    CHECK(facts.quota == 1.5);
    CHECK(facts.nodes == std::map<int, Cores>{{0, {0, 1}}, {1, {2, 3, 4, 5}}});
    CHECK(facts.clock_source == "tsc");
}

TEST_CASE("a machine that says nothing, or no limits", "[doctor]") {
    const Facts nothing = Root{}.machine();
    CHECK(nothing.kernel.empty());
    CHECK(nothing.hugepages_free == 0);
    CHECK(nothing.capabilities.empty());
    CHECK_FALSE(nothing.quota);
    CHECK(nothing.first_free_port == 1024);

    Root open;
    open.file("proc/self/limits", "Max locked memory         unlimited            unlimited            bytes     \n")
        .file("proc/self/cgroup", "0::/\n")
        .file("sys/fs/cgroup/cpu.max", "max 100000\n")
        .file("sys/fs/cgroup/hugetlb.2MB.max", "max\n")
        .file("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "7\n");
    CHECK_FALSE(open.machine().memlock);
    CHECK_FALSE(open.machine().quota);
    CHECK(open.machine().hugepages_within_reach() == 7);
}

TEST_CASE("interrupts that are deferred, of the interface that we mean", "[doctor]") {
    const auto read = [](const Root& root) {
        Interface interface;
        read_interrupts(root.path(), "eth1", 7, interface);
        return std::pair{interface.deferred, interface.deferred_ns};
    };
    Root root;
    CHECK(read(root) == std::pair{0u, 0u});
    root.file("sys/class/net/eth1/napi_defer_hard_irqs", "2\n")
        .file("sys/class/net/eth1/gro_flush_timeout", "200000\n");
    CHECK(read(root.file("sys/class/net/eth1/ifindex", "7\n")) == std::pair{2u, 200000u});
    CHECK(read(root.file("sys/class/net/eth1/ifindex", "8\n")) == std::pair{0u, 0u});  // another namespace's
}

TEST_CASE("lists of cores", "[doctor]") {
    CHECK(core_list("") == Cores{});
    CHECK(core_list("3") == Cores{3});
    CHECK(core_list("0-2,5,7-8") == Cores{0, 1, 2, 5, 7, 8});
    CHECK(core_list("x,1-,2-1,4") == Cores{4});
    CHECK(core_list("0-99999999999") == Cores{});
}

TEST_CASE("a virtual function and its group", "[doctor]") {
    Root root;
    const std::string devices = "sys/bus/pci/devices/", vf = devices + "0000:3b:02.1";
    root.link(vf + "/driver", "sys/bus/pci/drivers/vfio-pci")
        .link(vf + "/iommu_group", "sys/kernel/iommu_groups/7")
        .link(vf + "/physfn", devices + "0000:3b:00.0")
        .file(vf + "/numa_node", "1\n")
        .file(devices + "0000:3b:00.0/net/eth0/mtu", "1500\n")
        .link(devices + "0000:3b:00.0/virtfn0", devices + "0000:3b:02.0")
        .link(devices + "0000:3b:00.0/virtfn4", vf)
        .link(devices + "0000:3b:02.3/driver", "sys/bus/pci/drivers/ice")
        .link(devices + "0000:3a:00.0/driver", "sys/bus/pci/drivers/pcieport");
    for (const char* member : {"0000:3b:02.1", "0000:3b:02.3", "0000:3a:00.0"})
        root.link(std::string{"sys/kernel/iommu_groups/7/devices/"} + member, devices + member);
    const auto device = root.device("0000:3b:02.1");
    REQUIRE(device);
    CHECK(device->driver == "vfio-pci");
    CHECK(device->iommu_group == 7u);
    CHECK(device->numa_node == 1);
    CHECK(device->group_others == std::vector<std::string>{"0000:3b:02.3"});
    CHECK(device->is_virtual);
    CHECK(device->parent == "eth0");
    CHECK(device->number == 4);
    CHECK(device->netdevs.empty());

    const auto parent = root.device("0000:3b:00.0");
    REQUIRE(parent);
    CHECK_FALSE(parent->is_virtual);
    CHECK(parent->driver.empty());
    CHECK_FALSE(parent->iommu_group);
    CHECK(parent->netdevs == std::vector<std::string>{"eth0"});
    CHECK_FALSE(root.device("0000:ff:00.0"));
}

TEST_CASE("routes of an interface", "[doctor]") {
    const std::string ipv4 =
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth1\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "eth1\t00000000\tFE00000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth2\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth1\t0000010A\t00000000\t0000\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";  // not up
    const std::string ipv6 =
        "fd010000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 "
        "00000100 00000001 00000000 00000001     eth1\n"
        "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 "
        "00000100 00000001 00000000 00000001     eth1\n"
        "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd010000000000000000000000000002 "
        "00000400 00000001 00000000 00000003     eth1\n"
        "00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 "
        "ffffffff 00000001 00000000 00200200     eth1\n"
        "fd010000000000000000000000000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 "
        "00000000 00000003 00000000 80200001     eth1\n"
        "ff000000000000000000000000000000 08 00000000000000000000000000000000 00 00000000000000000000000000000000 "
        "00000100 00000001 00000000 00000001     eth1\n";
    std::vector<std::string> texts;
    for (const Route& route : routes_by("eth1", ipv4, ipv6)) {
        CHECK(route.is_default == route.text.starts_with("default"));
        texts.push_back(route.text);
    }
    CHECK(texts ==
          std::vector<std::string>{"default via 10.0.0.254", "default via fd01::2", "10.0.0.0/24", "fd01::/64"});
    CHECK(routes_by("eth3", ipv4, ipv6).empty());
    CHECK(routes_by("eth1", "nonsense\n\n1 2 3", "x").empty());
}
