// Cores: the cpuset, who shares them, and how far they are from the NICs.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>

#include "doctor/judge.hpp"

namespace penstock::doctor {
namespace {

std::string list(const Cores& cores) { return fmt::format("{}", fmt::join(cores, ",")); }

Cores without(Cores cores, const Cores& others) {
    std::ranges::sort(cores);
    Cores left;
    std::ranges::set_difference(cores, others, std::back_inserter(left));
    return left;
}

}  // namespace

void judge_cores(const Facts& facts, const Plan& plan, Findings& out) {
    if (!plan.cores_refusal.empty())
        return out.push_back(
            {"cores", "", Status::missing, plan.cores_refusal, "a worker is bound to its core",
             fmt::format("set workers.cores to auto or to some of {}, or widen the cpuset", list(facts.allowed))});
    if (std::ranges::find(plan.workers, plan.control) != plan.workers.end())
        out.push_back({"cores", "", Status::degraded, fmt::format("control shares core {} with a worker", plan.control),
                       "packets wait while control works, some 100 us at a time",
                       "give the process one core more than there are workers (taskset, cpuset, pod resources)"});
    else
        out.push_back(
            {"cores", "", Status::met,
             fmt::format("control on {}, workers on {}, of {}", plan.control, list(plan.workers), list(facts.allowed)),
             "", ""});
    const Cores shared = without(plan.workers, facts.isolated);
    if (shared.empty())
        out.push_back({"isolation", "", Status::met, fmt::format("cores {} are isolated", list(plan.workers)), "", ""});
    else
        out.push_back(
            {"isolation", "", Status::degraded, fmt::format("cores {} are not isolated", list(shared)),
             "other programs and the timer tick delay packets there",
             fmt::format("boot with isolcpus={0} nohz_full={0}, or let kubelet's static CPU manager give whole "
                         "cores",
                         list(shared))});
    const auto wanted = static_cast<double>(plan.workers.size());
    if (facts.quota && *facts.quota < wanted + 0.1)
        out.push_back(
            {"cpu quota", "", Status::degraded, fmt::format("the cgroup may use {:.1f} cores", *facts.quota),
             "the kernel stops the workers for the rest of each period",
             fmt::format("remove the CPU limit of the pod or cgroup, or raise it to {:.0f} (cpu.max)", wanted + 1)});
}

void judge_numa(const config::Port& port, int node, const Facts& facts, const Plan& plan, Findings& out) {
    const auto near = facts.nodes.find(node);
    if (near == facts.nodes.end() || facts.nodes.size() < 2) return;
    const Cores far = without(plan.workers, near->second);
    if (far.empty())
        return out.push_back(
            {"NUMA", port.name, Status::met, fmt::format("the workers are on node {}, as the NIC is", node), "", ""});
    out.push_back({"NUMA", port.name, Status::degraded,
                   fmt::format("the NIC is on node {}, cores {} are not", node, list(far)),
                   "each packet crosses the link between the nodes",
                   fmt::format("set workers.cores to some of {}", list(near->second))});
}

}  // namespace penstock::doctor
