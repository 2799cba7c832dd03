// A NIC, or a virtual function of one, that leaves the kernel: vfio, the IOMMU, and what goes with the netdev.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "doctor/judge.hpp"

namespace penstock::doctor {
namespace {

void judge_binding(const config::Port& port, const PciDevice& device, const Facts& facts, Findings& out) {
    const auto say = [&](Status status, std::string found, std::string why, std::string mend) {
        out.push_back({"vfio", port.name, status, std::move(found), std::move(why), std::move(mend)});
    };
    if (device.driver != "vfio-pci") {
        std::vector<std::string> routes;
        bool uplink = false;
        for (const std::string& netdev : device.netdevs)
            if (const auto interface = facts.interfaces.find(netdev); interface != facts.interfaces.end())
                for (const Route& route : interface->second.routes) {
                    routes.push_back(fmt::format("'{}' by {}", route.text, netdev));
                    uplink |= route.is_default;
                }
        if (!routes.empty()) {
            out.push_back({"uplink", port.name, uplink && !port.force ? Status::missing : Status::degraded,
                           fmt::format("lost when {} is bound to vfio-pci: {}", port.device, fmt::join(routes, ", ")),
                           uplink ? "the kernel loses the interface, and the node may become unreachable"
                                  : "the kernel loses the interface",
                           uplink && !port.force ? "take another device for media, or set force: true on the port"
                                                 : "move the routes to another interface first"});
            if (uplink && !port.force) return;  // no command that would do it
        }
        if (device.iommu_group)
            return say(Status::missing,
                       device.driver.empty() ? fmt::format("{} has no driver", port.device)
                                             : fmt::format("{} is bound to {}", port.device, device.driver),
                       "DPDK drives the device itself, through vfio",
                       fmt::format("modprobe vfio-pci && dpdk-devbind.py --bind=vfio-pci {}", port.device));
    }
    if (!device.iommu_group)  // vfio makes one up where there is none, if it is let
        return say(
            Status::missing, fmt::format("{} is in no IOMMU group", port.device),
            "without an IOMMU a device may write anywhere in memory, and vfio refuses it",
            std::string{
                "boot with intel_iommu=on iommu=pt (AMD: iommu=pt), and enable VT-d or AMD-Vi in the firmware; in a "
                "virtual machine that has none: "} +
                (device.never_without_iommu
                     ? "give it one (QEMU: -device intel-iommu), take a kernel with CONFIG_VFIO_NOIOMMU, which this "
                       "one "
                       "and Debian's are not, or leave the device to the kernel and take driver af_xdp"
                     : "echo 1 > /sys/module/vfio/parameters/enable_unsafe_noiommu_mode, and bind it again"));
    const std::string group = device.group_path();
    if (const auto lacking = kWithoutIommu.without(facts.capabilities); device.without_iommu && !lacking.empty())
        return say(Status::missing, lacking.text() + " lacking",
                   "without an IOMMU, vfio wants it to open the device, and DPDK to see where its memory lies",
                   "run it as root, or on a machine with an IOMMU");
    if (!device.group_others.empty())
        return say(Status::missing,
                   fmt::format("{} shares IOMMU group {} with {}", port.device, *device.iommu_group,
                               fmt::join(device.group_others, ", ")),
                   "the devices of a group see each other's memory: all of them must be vfio's",
                   fmt::format("dpdk-devbind.py --bind=vfio-pci {}", fmt::join(device.group_others, " ")));
    for (const std::string& path : {std::string{"/dev/vfio/vfio"}, group})
        if (path == group ? !device.group_opens : facts.unusable.contains(path))
            return say(Status::missing,
                       fmt::format("{}: {}", path, path == group ? "cannot be opened" : facts.unusable.at(path)),
                       "the device is reached through it",
                       path == group ? fmt::format("chown penstock {} (pods: request the device)", path)
                                     : fmt::format("modprobe vfio-pci && chmod 0666 {}", path));
    if (device.without_iommu)
        return say(Status::degraded, fmt::format("{} is bound to vfio-pci without an IOMMU", port.device),
                   "the device, and who drives it, may write anywhere in memory",
                   "boot with intel_iommu=on iommu=pt (AMD: iommu=pt), where the machine has one");
    say(Status::met, fmt::format("{} is bound to vfio-pci, IOMMU group {}", port.device, *device.iommu_group), "", "");
}

void judge_function(const config::Port& port, const PciDevice& device, Findings& out) {
    if (!device.is_virtual) return;
    const auto say = [&](Status status, std::string found, std::string why, std::string mend) {
        out.push_back({"virtual function", port.name, status, std::move(found), std::move(why), std::move(mend)});
    };
    if (!device.trusted || !device.mac)
        return say(Status::degraded, fmt::format("trust and MAC of {} are not to be seen from here", port.device),
                   "an untrusted one may be refused multicast, and without a MAC address it gets a new one each time",
                   "ip link show dev PF, in the node's own network namespace");
    if (*device.mac == Mac{})
        return say(Status::degraded, fmt::format("number {} of {} has no MAC address", device.number, device.parent),
                   "it gets another one at each start, and neighbours must learn it anew",
                   fmt::format("ip link set dev {} vf {} mac 02:00:00:00:00:{:02x}", device.parent, device.number,
                               device.number & 0xff));
    if (!*device.trusted)
        return say(Status::degraded, fmt::format("number {} of {} is not trusted", device.number, device.parent),
                   "the NIC may refuse it multicast, beyond a few addresses",
                   fmt::format("ip link set dev {} vf {} trust on", device.parent, device.number));
    say(Status::met, fmt::format("number {} of {}, trusted, MAC {}", device.number, device.parent, device.mac->text()),
        "", "");
}

}  // namespace

void judge_pci(const config::Port& port, const Facts& facts, Findings& out) {
    const auto device = facts.devices.find(port.device);
    if (device == facts.devices.end())
        return out.push_back({"device", port.name, Status::missing, fmt::format("there is no device {}", port.device),
                              "the port is that device",
                              "set device to one of those that `dpdk-devbind.py --status` lists"});
    judge_binding(port, device->second, facts, out);
    judge_function(port, device->second, out);
}

}  // namespace penstock::doctor
