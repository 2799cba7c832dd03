#include "doctor/capabilities.hpp"

#include <initializer_list>
#include <string_view>
#include <utility>

namespace penstock::doctor {
namespace {

using enum Capability;

constexpr std::pair<Capability, std::string_view> kNames[] = {{net_admin, "CAP_NET_ADMIN"},
                                                              {net_raw, "CAP_NET_RAW"},
                                                              {bpf, "CAP_BPF"},
                                                              {sys_admin, "CAP_SYS_ADMIN"},
                                                              {ipc_lock, "CAP_IPC_LOCK"},
                                                              {sys_rawio, "CAP_SYS_RAWIO"},
                                                              {net_bind_service, "CAP_NET_BIND_SERVICE"}};

}  // namespace

std::string Capabilities::text() const {
    std::string all;
    for (const auto& [one, name] : kNames)
        if (has(one)) all.append(all.empty() ? "" : ", ").append(name);
    return all;
}

Capabilities to_start(const config::Port& port) {
    switch (port.driver) {
        // SYS_ADMIN: DPDK's driver looks our program up by its id.
        case config::Driver::af_xdp: return {net_admin, net_raw, bpf, sys_admin};
        case config::Driver::af_packet: return {net_admin, net_raw};
        case config::Driver::tap: return {net_admin};
        default: return port.twin ? Capabilities{net_admin} : Capabilities{};
    }
}

Capabilities to_keep(const config::Config& config) {
    Capabilities all;
    for (const config::Port& port : config.ports) {
        if (!to_start(port).empty()) all = all | Capabilities{net_admin};
        if (port.driver == config::Driver::af_xdp) all = all | Capabilities{bpf};
        if (port.driver == config::Driver::af_packet) all = all | Capabilities{net_bind_service};
    }
    return all;
}

Capabilities to_reopen(const config::Config& config, bool without_iommu) {
    Capabilities all;
    for (const config::Port& port : config.ports)
        if (port.driver == config::Driver::af_xdp || port.driver == config::Driver::af_packet)
            all = all | to_start(port) | Capabilities{ipc_lock};
        else if (port.driver == config::Driver::pci)
            all = all | Capabilities{ipc_lock};  // DMA maps all of the memory again
    if (without_iommu) all = all | kWithoutIommu;
    return all.without(to_keep(config));
}

}  // namespace penstock::doctor
