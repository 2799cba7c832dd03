// Kernel, clock, and the two sockets that operators use.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/kernel.hpp"
#include "doctor/judge.hpp"

namespace penstock::doctor {
namespace {

constexpr KernelVersion kOldest{5, 15};

void judge_kernel(const Facts& facts, Findings& out) {
    if (kernel_version(facts.kernel) >= kOldest)
        return out.push_back({"kernel", "", Status::met, facts.kernel, "", ""});
    out.push_back({"kernel", "", Status::degraded,
                   fmt::format("{}, older than {}.{}", facts.kernel, kOldest.first, kOldest.second),
                   "penstock is tested with later ones; AF_XDP and the capabilities of BPF came step by step",
                   "apt-get install linux-image-amd64 (Debian 12 has 6.1), then reboot"});
}

// What clock_gettime() can read without a system call.
void judge_clock(const Facts& facts, Findings& out) {
    constexpr std::array<std::string_view, 4> kQuick{"tsc", "kvm-clock", "hyperv_clocksource_tsc_page",
                                                     "arch_sys_counter"};
    if (facts.clock_source.empty() || std::ranges::find(kQuick, facts.clock_source) != kQuick.end())
        return out.push_back({"clock source", "", Status::met,
                              facts.clock_source.empty() ? "the kernel does not say" : facts.clock_source, "", ""});
    out.push_back(
        {"clock source", "", Status::degraded, facts.clock_source,
         "each look at the clock is a system call and slow; the cause is a TSC that the kernel does not trust",
         "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource, or boot with "
         "tsc=reliable if the hypervisor's TSC is sound"});
}

struct Listener {
    std::string_view check, why, key, off;
};

void judge_address(const Facts& facts, const Listener& of, const Endpoint& at, Findings& out) {
    const auto missing = [&](std::string what, std::string why, std::string_view other) {
        out.push_back({std::string(of.check), "", Status::missing, fmt::format("{}: {}", at.text(), what),
                       std::move(why), fmt::format("set {} to {}, or {}", of.key, other, of.off)});
    };
    const auto refusal = facts.not_to_be_had.find(at);
    if (at.port < facts.first_free_port && !facts.capabilities.has(Capability::net_bind_service))
        missing("CAP_NET_BIND_SERVICE lacking",
                fmt::format("TCP ports below {} are for the privileged", facts.first_free_port), "a higher port");
    else if (refusal != facts.not_to_be_had.end())
        missing(refusal->second, std::string(of.why), "another address");
    else
        out.push_back({std::string(of.check), "", Status::met, at.text(), "", ""});
}

}  // namespace

void judge_system(const config::Config& config, const Facts& facts, Findings& out) {
    judge_kernel(facts, out);
    judge_clock(facts, out);
    const std::string& socket = config.control.socket;
    if (facts.control_refusal.empty())
        out.push_back({"control socket", "", Status::met, socket, "", ""});
    else
        out.push_back({"control socket", "", Status::missing, fmt::format("{}: {}", socket, facts.control_refusal),
                       "`penstock cli` connects to it", "set control.socket to another path"});
    if (config.metrics.listen)
        judge_address(facts,
                      {"metrics address", "Prometheus scrapes it, and /readyz is there", "metrics.listen", "to off"},
                      *config.metrics.listen, out);
    for (const Endpoint& listen : config.rtsp.listen)
        judge_address(facts, {"rtsp address", "players connect to it", "rtsp.listen", "leave it out"}, listen, out);
    if (!config.rtsp.tls) return;
    for (const Endpoint& listen : config.rtsp.tls->listen)
        judge_address(facts, {"rtsps address", "players connect to it by TLS", "rtsp.tls.listen", "leave rtsp.tls out"},
                      listen, out);
    judge_certificate(*config.rtsp.tls, facts.certificate, out);
}

}  // namespace penstock::doctor
