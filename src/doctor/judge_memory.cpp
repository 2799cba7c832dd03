// Hugepages, what stands in for them, and memory that may be locked.
#include <fmt/format.h>

#include <algorithm>

#include "doctor/judge.hpp"

namespace penstock::doctor {
namespace {

constexpr size_t kMiB = size_t{1} << 20;
constexpr size_t kPage = 2 * kMiB;
constexpr size_t kPacketRings = 16 * kMiB;  // of one AF_PACKET queue: two rings of 4096 frames of 2 KiB (vdev.cpp)

bool has_pci(const config::Config& config) {
    return std::ranges::find(config.ports, config::Driver::pci, &config::Port::driver) != config.ports.end();
}

// Whether `run` will use hugepages.
bool judge_hugepages(const config::Config& config, const Facts& facts, const Plan& plan, Findings& out) {
    using config::Hugepages;
    const auto say = [&](Status status, std::string found, std::string why, std::string mend) {
        out.push_back({"hugepages", "", status, std::move(found), std::move(why), std::move(mend)});
    };
    const bool pci = has_pci(config);
    const size_t have = facts.hugepages_within_reach();
    if (config.memory.hugepages == Hugepages::off) {
        if (pci)
            say(Status::missing, "memory.hugepages is off", "a pci port needs pages that never move, for DMA",
                "set memory.hugepages to auto");
        else
            say(Status::met, "not used: memory.hugepages is off", "", "");
        return false;
    }
    if (have >= plan.hugepages) {
        say(Status::met, fmt::format("{} pages of 2 MiB are free, up to {} are needed", have, plan.hugepages), "", "");
        return true;
    }
    const bool must = pci || config.memory.hugepages == Hugepages::on;
    const bool by_cgroup = have < facts.hugepages_free;
    const std::string mend =
        by_cgroup
            ? fmt::format("give the pod or cgroup {} MiB of hugepages (hugepages-2Mi, hugetlb.2MB.max)",
                          plan.hugepages * kPage / kMiB)
            : fmt::format("sysctl -w vm.nr_hugepages={}", facts.hugepages - facts.hugepages_free + plan.hugepages);
    say(must ? Status::missing : Status::degraded,
        fmt::format("{} of {} pages of 2 MiB are free{}", have, plan.hugepages,
                    by_cgroup ? " in this process's cgroup" : ""),
        pci    ? "a pci port needs pages that never move, for DMA"
        : must ? "memory.hugepages is on"
               : "packet buffers then depend on transparent huge pages, which the kernel gives as it finds them",
        mend);
    return false;
}

void judge_transparent(const Facts& facts, Findings& out) {
    if (facts.transparent == "always" || facts.transparent == "madvise")
        return out.push_back({"transparent pages", "", Status::met,
                              fmt::format("{}, in place of hugepages", facts.transparent), "", ""});
    out.push_back({"transparent pages", "", Status::degraded, facts.transparent.empty() ? "none" : facts.transparent,
                   "on pages of 4 KiB the same relay costs three times more",
                   "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"});
}

// Sockets with rings or buffers of their own, and DMA, hold memory that must not be swapped.
size_t locked(const config::Config& config, const Plan& plan) {
    size_t bytes = 0;
    for (const config::Port& port : config.ports) {
        if (port.driver == config::Driver::af_xdp) bytes += port.queues * plan.pool;
        if (port.driver == config::Driver::af_packet) bytes += port.queues * kPacketRings;
    }
    return bytes + (has_pci(config) ? plan.hugepages * kPage : 0);
}

void judge_memlock(const config::Config& config, const Facts& facts, const Plan& plan, Findings& out) {
    const size_t needed = locked(config, plan);
    const std::string limit = facts.memlock ? fmt::format("{} MiB may be locked", *facts.memlock / kMiB) : "no limit";
    const auto met = [&](std::string found) { out.push_back({"memlock", "", Status::met, std::move(found), "", ""}); };
    if (facts.capabilities.has(Capability::ipc_lock)) return met("CAP_IPC_LOCK: no limit");
    if (!facts.memlock) return met(limit);
    const size_t mib = (needed + kMiB - 1) / kMiB;
    if (needed <= *facts.memlock) return met(fmt::format("{}, {} MiB are needed", limit, mib));
    out.push_back({"memlock", "", Status::missing, fmt::format("{}, {} MiB are needed", limit, mib),
                   "AF_XDP, AF_PACKET and DMA lock their packet buffers; CAP_IPC_LOCK lifts the limit",
                   fmt::format("ulimit -l {} (systemd: LimitMEMLOCK={}M), or AmbientCapabilities=CAP_IPC_LOCK",
                               mib * 1024, mib)});
}

}  // namespace

void judge_memory(const config::Config& config, const Facts& facts, const Plan& plan, Findings& out) {
    const bool huge = judge_hugepages(config, facts, plan, out);
    out.push_back({"hugepage mount", "", Status::met,
                   (facts.hugepage_mount.empty() ? "none" : facts.hugepage_mount) +
                       ", and none is needed: pages are taken without files",
                   "", ""});
    if (!huge) judge_transparent(facts, out);
    judge_memlock(config, facts, plan, out);
}

}  // namespace penstock::doctor
