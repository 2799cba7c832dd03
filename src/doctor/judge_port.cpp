// What one port needs, by its driver.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "doctor/judge.hpp"

namespace penstock::doctor {
namespace {

using config::Driver;

void judge_tap(const char* check, const config::Port& port, const std::string& netdev, const Facts& facts,
               Findings& out) {
    if (const auto refusal = facts.unusable.find("/dev/net/tun"); refusal != facts.unusable.end())
        out.push_back({check, port.name, Status::missing, fmt::format("/dev/net/tun: {}", refusal->second),
                       fmt::format("penstock makes the interface {} by it", netdev),
                       "modprobe tun; chmod 0666 /dev/net/tun (pods: mount the device)"});
    else if (const auto there = facts.interfaces.find(netdev); there != facts.interfaces.end() && !there->second.is_tap)
        out.push_back({check, port.name, Status::missing, fmt::format("there is an interface {} already", netdev),
                       "penstock makes one of that name", "give the port another name for it (twin, interface)"});
    else
        out.push_back(
            {check, port.name, Status::met, fmt::format("/dev/net/tun opens; {} will be made", netdev), "", ""});
}

void judge_path(const config::Port& port, const std::string& path, const char* why, const char* mend,
                const Facts& facts, Findings& out) {
    if (path.empty()) return;
    const auto refusal = facts.unusable.find(path);
    if (refusal == facts.unusable.end())
        out.push_back({"path", port.name, Status::met, path, "", ""});
    else
        out.push_back({"path", port.name, Status::missing, fmt::format("{}: {}", path, refusal->second), why, mend});
}

// An unused port of the kernel is answered for: ICMP would tell the source to stop.
void judge_claims(const config::Port& port, const config::Config& config, const Facts& facts, Findings& out) {
    if (facts.capabilities.has(Capability::net_bind_service)) return;
    std::vector<std::string> low;
    for (const config::Stream& stream : config.streams)
        for (const config::Track& track : stream.tracks)
            for (const config::Source& source : track.sources)
                if (source.rtp.port < facts.first_free_port && source.port.value_or(port.name) == port.name)
                    low.push_back(source.rtp.text());
    if (low.empty()) return;
    out.push_back(
        {"low ports", port.name, Status::degraded,
         fmt::format("CAP_NET_BIND_SERVICE lacking for {}", fmt::join(low, ", ")),
         "penstock cannot claim them, so the kernel answers their senders 'port unreachable'",
         fmt::format("use ports from {} on, or add AmbientCapabilities=CAP_NET_BIND_SERVICE", facts.first_free_port)});
}

void judge_netdev(const config::Port& port, const config::Config& config, const Facts& facts, const Plan& plan,
                  Findings& out) {
    const auto found = facts.interfaces.find(port.interface);
    if (found == facts.interfaces.end())
        return out.push_back({"interface", port.name, Status::missing,
                              fmt::format("there is no interface {}", port.interface), "the port sits on it",
                              "set interface to one of those that `ip link` lists"});
    judge_interface(port, found->second, facts, out);
    judge_numa(port, found->second.numa_node, facts, plan, out);
    if (port.driver == Driver::af_packet) judge_claims(port, config, facts, out);
}

}  // namespace

void judge_port(const config::Port& port, const config::Config& config, const Facts& facts, const Plan& plan,
                Findings& out) {
    judge_capabilities(port.name, to_start(port), facts, out);
    switch (port.driver) {
        case Driver::af_xdp:
        case Driver::af_packet: judge_netdev(port, config, facts, plan, out); break;
        case Driver::pci:
            judge_pci(port, facts, out);
            if (const auto device = facts.devices.find(port.device); device != facts.devices.end())
                judge_numa(port, device->second.numa_node, facts, plan, out);
            break;
        case Driver::vhost:
            judge_path(port, port.socket, "the vhost-user socket is made there",
                       "let penstock write to the directory, or name a socket that nobody else has", facts, out);
            break;
        case Driver::tap: judge_tap("TAP", port, port.interface, facts, out); break;
        case Driver::pcap:
            judge_path(port, port.read, "it is replayed", "name a file that penstock may read", facts, out);
            judge_path(port, port.write, "packets are written there", "let penstock write to the directory", facts,
                       out);
            break;
        case Driver::ring:
        case Driver::null: break;
    }
    if (port.twin) judge_tap("twin", port, *port.twin, facts, out);
}

}  // namespace penstock::doctor
