#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "doctor/read.hpp"

namespace penstock::doctor {
namespace {

namespace fs = std::filesystem;

std::string contents(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

template <class T = size_t>
std::optional<T> number(std::string_view text, int base = 10) {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    return error == std::errc{} && end != text.data() ? std::optional{value} : std::nullopt;
}

// What stands behind `key` on a line of its own: "CapEff:\t000001ffffffffff".
std::string field(std::string_view text, std::string_view key) {
    const size_t line = text.starts_with(key) ? 0 : text.find("\n" + std::string{key});
    if (line == std::string_view::npos) return {};
    size_t from = line + key.size() + (line == 0 ? 0 : 1);
    from = std::min(text.find_first_not_of(" \t", from), text.size());
    return std::string{text.substr(from, text.find('\n', from) - from)};
}

// The directory of this process's cgroup (version 2), where its limits are.
std::string cgroup(const std::string& root) {
    return root + "/sys/fs/cgroup" + field(contents(root + "/proc/self/cgroup"), "0::");
}

void read_hugepages(const std::string& root, Facts& facts) {
    const std::string pool = root + "/sys/kernel/mm/hugepages/hugepages-2048kB/";
    facts.hugepages = number(first_line(pool + "nr_hugepages")).value_or(0);
    facts.hugepages_free = number(first_line(pool + "free_hugepages")).value_or(0);
    const auto most = number(first_line(cgroup(root) + "/hugetlb.2MB.max"));  // "max": no limit
    const auto used = number(first_line(cgroup(root) + "/hugetlb.2MB.current"));
    if (most) facts.hugepages_allowed = (*most - std::min(*most, used.value_or(0))) >> 21;

    std::istringstream mounts{contents(root + "/proc/self/mounts")};
    for (std::string what, where, type, options, line; std::getline(mounts, line);) {
        std::istringstream words{line};
        if (!(words >> what >> where >> type >> options) || type != "hugetlbfs") continue;
        if (options.find("pagesize=") == std::string::npos || options.find("pagesize=2M") != std::string::npos)
            facts.hugepage_mount = where;
    }
    const std::string choice =
        first_line(root + "/sys/kernel/mm/transparent_hugepage/enabled");  // "always [madvise] never"
    if (const size_t open = choice.find('['); open != std::string::npos)
        facts.transparent = choice.substr(open + 1, choice.find(']') - open - 1);
}

void read_cores(const std::string& root, Facts& facts) {
    facts.allowed = core_list(field(contents(root + "/proc/self/status"), "Cpus_allowed_list:"));
    facts.isolated = core_list(first_line(root + "/sys/devices/system/cpu/isolated"));
    std::istringstream quota{first_line(cgroup(root) + "/cpu.max")};  // "150000 100000", or "max 100000"
    if (double most = 0, period = 0; quota >> most >> period && period > 0) facts.quota = most / period;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(root + "/sys/devices/system/node", none)) {
        const std::string name = entry.path().filename();
        if (!name.starts_with("node")) continue;
        if (const auto node = number<int>(std::string_view{name}.substr(4)))
            facts.nodes[*node] = core_list(first_line(entry.path() / "cpulist"));
    }
}

// "Max locked memory         8388608              8388608              bytes": the soft limit counts.
std::optional<uint64_t> memlock(const std::string& root) {
    return number<uint64_t>(field(contents(root + "/proc/self/limits"), "Max locked memory"));
}

std::string link_name(const std::string& path) {
    std::error_code none;
    return fs::read_symlink(path, none).filename();
}

std::vector<std::string> names_in(const std::string& directory) {
    std::vector<std::string> names;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(directory, none)) names.push_back(entry.path().filename());
    std::ranges::sort(names);
    return names;
}

}  // namespace

std::string first_line(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

std::vector<unsigned> core_list(std::string_view text) {
    std::vector<unsigned> cores;
    while (!text.empty()) {
        const std::string_view item = text.substr(0, text.find(','));
        text.remove_prefix(std::min(item.size() + 1, text.size()));
        const size_t dash = item.find('-');
        const auto first = number<unsigned>(item.substr(0, dash));
        const auto last = dash == std::string_view::npos ? first : number<unsigned>(item.substr(dash + 1));
        if (!first || !last || *last > 65535) continue;
        for (unsigned core = *first; core <= *last; core++) cores.push_back(core);
    }
    return cores;
}

void read_machine(const std::string& root, Facts& facts) {
    facts.kernel = first_line(root + "/proc/sys/kernel/osrelease");
    facts.clock_source = first_line(root + "/sys/devices/system/clocksource/clocksource0/current_clocksource");
    facts.first_free_port =
        number<unsigned>(first_line(root + "/proc/sys/net/ipv4/ip_unprivileged_port_start")).value_or(1024);
    facts.memlock = memlock(root);
    const std::string effective = field(contents(root + "/proc/self/status"), "CapEff:");
    facts.capabilities = Capabilities{number<uint64_t>(effective, 16).value_or(0)};
    read_hugepages(root, facts);
    read_cores(root, facts);
}

void read_device(const std::string& root, const std::string& address, Facts& facts) {
    const std::string path = root + "/sys/bus/pci/devices/" + address;
    if (std::error_code none; !fs::exists(path, none)) return;
    PciDevice device;
    device.driver = link_name(path + "/driver");
    device.iommu_group = number<unsigned>(link_name(path + "/iommu_group"));
    device.without_iommu = first_line(path + "/iommu_group/name") == "vfio-noiommu";
    const std::string vfio = root + "/sys/module/vfio";
    if (std::error_code none; fs::exists(vfio, none))
        device.never_without_iommu = !fs::exists(vfio + "/parameters/enable_unsafe_noiommu_mode", none);
    device.numa_node = number<int>(first_line(path + "/numa_node")).value_or(-1);
    device.netdevs = names_in(path + "/net");
    for (const std::string& other : names_in(path + "/iommu_group/devices")) {
        const std::string driver = link_name(root + "/sys/bus/pci/devices/" + other + "/driver");
        // Bridges and devices without a driver do not stand in the way.
        if (other != address && !driver.empty() && driver != "vfio-pci" && driver != "pcieport")
            device.group_others.push_back(other);
    }
    const std::string parent = path + "/physfn";
    if (std::error_code none; fs::exists(parent, none)) {
        device.is_virtual = true;
        if (const auto netdevs = names_in(parent + "/net"); !netdevs.empty()) device.parent = netdevs.front();
        for (const std::string& name : names_in(parent))
            if (name.starts_with("virtfn") && link_name(parent + "/" + name) == address)
                device.number = number<unsigned>(std::string_view{name}.substr(6)).value_or(0);
    }
    facts.devices[address] = std::move(device);
}

}  // namespace penstock::doctor
