#include "doctor/judge.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace penstock::doctor {
namespace {

bool has_driver(const config::Config& config, config::Driver driver) {
    return std::ranges::find(config.ports, driver, &config::Port::driver) != config.ports.end();
}

// An interface as one line, for those who do not know yet which one to take.
Finding described(const std::string& name, const Interface& interface) {
    const auto known = [](std::optional<bool> has) { return !has ? "not known" : *has ? "yes" : "no"; };
    std::string found = fmt::format(
        "driver {}, {}, mtu {}, native XDP {}, zero-copy {}", interface.driver.empty() ? "not known" : interface.driver,
        interface.up ? "up" : "down", interface.mtu, known(interface.native), known(interface.zero_copy));
    if (interface.queues != 0) found += fmt::format(", {} queues", interface.queues);
    if (interface.numa_node >= 0) found += fmt::format(", NUMA node {}", interface.numa_node);
    if (std::ranges::any_of(interface.routes, &Route::is_default)) found += ", the node's uplink";
    return {"interface", name, Status::met, found, "", ""};
}

}  // namespace

Findings judge(const config::Config& config, const Facts& facts, const Plan& plan) {
    Findings out;
    judge_system(config, facts, out);
    judge_memory(config, facts, plan, out);
    judge_cores(facts, plan, out);
    if (has_driver(config, config::Driver::af_xdp)) judge_bpf(facts, out);
    for (const config::Port& port : config.ports) judge_port(port, config, facts, plan, out);
    return out;
}

Findings judge_in_general(const Facts& facts, const Plan& plan) {
    config::Config none;
    none.metrics.listen.reset();
    Findings out;
    judge_system(none, facts, out);
    judge_memory(none, facts, plan, out);
    judge_cores(facts, plan, out);
    judge_bpf(facts, out);
    for (const auto& [name, interface] : facts.interfaces) out.push_back(described(name, interface));
    for (const auto& [driver, name] : {std::pair{config::Driver::af_xdp, "af_xdp"},
                                       {config::Driver::af_packet, "af_packet"},
                                       {config::Driver::tap, "tap"}}) {
        config::Port port;
        port.driver = driver;
        judge_capabilities(name, to_start(port), facts, out);
    }
    // Nobody needs anything yet.
    for (Finding& finding : out) finding.status = std::min(finding.status, Status::degraded);
    return out;
}

void judge_capabilities(std::string_view of, Capabilities needed, const Facts& facts, Findings& out) {
    const Capabilities lacking = needed.without(facts.capabilities);
    if (lacking.empty()) {
        const std::string found = needed.empty() ? "none is needed" : needed.text();
        return out.push_back({"capabilities", std::string{of}, Status::met, found, "", ""});
    }
    std::string unit = lacking.text();
    std::erase(unit, ',');
    out.push_back({"capabilities", std::string{of}, Status::missing, lacking.text() + " lacking",
                   fmt::format("the kernel refuses the driver without: it takes {}", needed.text()),
                   fmt::format("run it as root, or add AmbientCapabilities={} to its systemd unit", unit)});
}

void judge_bpf(const Facts& facts, Findings& out) {
    const auto lacks = [&](const char* what, const char* option) {
        out.push_back({"BPF", "", Status::missing, fmt::format("the kernel has no {}", what),
                       "driver af_xdp steers media to its sockets by an XDP program",
                       fmt::format("take a kernel with {}, or driver: af_packet", option)});
    };
    if (!facts.xdp_sockets) return lacks("AF_XDP sockets", "CONFIG_XDP_SOCKETS");
    if (facts.xdp_programs == false) return lacks("XDP programs", "CONFIG_BPF_SYSCALL");
    if (facts.xsk_maps == false) return lacks("maps of AF_XDP sockets", "CONFIG_XDP_SOCKETS and CONFIG_BPF_SYSCALL");
    const bool asked = facts.xdp_programs && facts.xsk_maps;
    out.push_back({"BPF", "", Status::met,
                   asked ? "AF_XDP sockets, XDP programs, maps of sockets"
                         : "AF_XDP sockets; of XDP programs the kernel tells only who has CAP_BPF",
                   "", ""});
}

}  // namespace penstock::doctor
