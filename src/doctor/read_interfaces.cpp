// Interfaces are asked of the kernel and not of /sys, which shows the network namespace in which it was mounted.
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <utility>

#include "control/io/fd.hpp"
#include "dataplane/xdp/attachment.hpp"
#include "doctor/read.hpp"

namespace penstock::doctor {
namespace {

// One question over netlink; each message of the answer goes to `each`.
void ask(int family, nlmsghdr* request, const std::function<void(const nlmsghdr*)>& each) {
    const std::unique_ptr<mnl_socket, int (*)(mnl_socket*)> socket(mnl_socket_open2(family, SOCK_CLOEXEC),
                                                                   mnl_socket_close);
    if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0) return;
    const timeval limit{.tv_sec = 1, .tv_usec = 0};
    setsockopt(mnl_socket_get_fd(socket.get()), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (mnl_socket_sendto(socket.get(), request, request->nlmsg_len) < 0) return;
    std::vector<char> buffer(65536);  // hundreds of virtual functions stand in one answer
    const ssize_t size = mnl_socket_recvfrom(socket.get(), buffer.data(), buffer.size());
    const auto call = [](const nlmsghdr* message, void* to) {
        (*static_cast<const std::function<void(const nlmsghdr*)>*>(to))(message);
        return MNL_CB_OK;
    };
    if (size > 0)
        mnl_cb_run(buffer.data(), static_cast<size_t>(size), 0, 0, call,
                   const_cast<void*>(static_cast<const void*>(&each)));
}

std::vector<const nlattr*> listed(const void* first, size_t size) {
    std::vector<const nlattr*> all;
    const char* const end = static_cast<const char*>(first) + size;
    for (auto* a = static_cast<const nlattr*>(first);
         mnl_attr_ok(a, static_cast<int>(end - reinterpret_cast<const char*>(a))); a = mnl_attr_next(a))
        all.push_back(a);
    return all;
}

std::vector<const nlattr*> listed(const nlattr* nest) {
    return listed(mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest));
}

using Attributes = std::map<int, const nlattr*>;  // by type

Attributes by_type(const std::vector<const nlattr*>& list) {
    Attributes all;
    for (const nlattr* a : list) all[mnl_attr_get_type(a)] = a;
    return all;
}

Attributes attributes(const nlmsghdr* message, size_t header) {
    if (mnl_nlmsg_get_payload_len(message) < MNL_ALIGN(header)) return {};
    return by_type(
        listed(mnl_nlmsg_get_payload_offset(message, header), mnl_nlmsg_get_payload_len(message) - MNL_ALIGN(header)));
}

nlmsghdr* generic_request(void* buffer, uint16_t family, uint8_t command) {
    nlmsghdr* request = mnl_nlmsg_put_header(buffer);
    request->nlmsg_type = family;
    request->nlmsg_flags = NLM_F_REQUEST;
    auto* header = static_cast<genlmsghdr*>(mnl_nlmsg_put_extra_header(request, sizeof(genlmsghdr)));
    header->cmd = command;
    header->version = 1;
    return request;
}

// What the generic netlink family "netdev" tells (kernel 6.3). Its header is newer than Debian 12's.
constexpr uint8_t kDeviceGet = 1;                      // NETDEV_CMD_DEV_GET
constexpr uint16_t kDeviceIndex = 1;                   // NETDEV_A_DEV_IFINDEX
constexpr int kDeviceXdpFeatures = 3;                  // NETDEV_A_DEV_XDP_FEATURES
constexpr uint64_t kRedirects = 1 | 2, kZeroCopy = 8;  // NETDEV_XDP_ACT_BASIC, _REDIRECT, _XSK_ZEROCOPY

void read_xdp_features(unsigned index, Interface& interface) {
    alignas(nlmsghdr) std::array<char, 256> buffer{};
    uint16_t family = 0;
    nlmsghdr* who = generic_request(buffer.data(), GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
    mnl_attr_put_strz(who, CTRL_ATTR_FAMILY_NAME, "netdev");
    ask(NETLINK_GENERIC, who, [&](const nlmsghdr* answer) {
        const auto all = attributes(answer, sizeof(genlmsghdr));
        if (const auto id = all.find(CTRL_ATTR_FAMILY_ID); id != all.end()) family = mnl_attr_get_u16(id->second);
    });
    if (family == 0) return;
    nlmsghdr* what = generic_request(buffer.data(), family, kDeviceGet);
    mnl_attr_put_u32(what, kDeviceIndex, index);
    ask(NETLINK_GENERIC, what, [&](const nlmsghdr* answer) {
        const auto all = attributes(answer, sizeof(genlmsghdr));
        const auto features = all.find(kDeviceXdpFeatures);
        if (features == all.end() || mnl_attr_get_payload_len(features->second) != sizeof(uint64_t)) return;
        const uint64_t bits = mnl_attr_get_u64(features->second);
        interface.native = (bits & kRedirects) == kRedirects;
        interface.zero_copy = (bits & kZeroCopy) != 0;
    });
}

// Trust and MAC address of a virtual function, from its physical function.
void read_function(PciDevice& device) {
    const unsigned index = if_nametoindex(device.parent.c_str());
    if (index == 0) return;
    alignas(nlmsghdr) std::array<char, 256> buffer{};
    nlmsghdr* request = mnl_nlmsg_put_header(buffer.data());
    request->nlmsg_type = RTM_GETLINK;
    request->nlmsg_flags = NLM_F_REQUEST;
    static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(request, sizeof(ifinfomsg)))->ifi_index =
        static_cast<int>(index);
    mnl_attr_put_u32(request, IFLA_EXT_MASK, RTEXT_FILTER_VF);
    ask(NETLINK_ROUTE, request, [&](const nlmsghdr* answer) {
        const auto link = attributes(answer, sizeof(ifinfomsg));
        const auto list = link.find(IFLA_VFINFO_LIST);
        if (list == link.end()) return;
        for (const nlattr* function : listed(list->second)) {
            const auto all = by_type(listed(function));
            const auto mac = all.find(IFLA_VF_MAC), trust = all.find(IFLA_VF_TRUST);
            ifla_vf_mac own_mac{};
            if (mac == all.end() || mnl_attr_get_payload_len(mac->second) < sizeof own_mac) continue;
            std::memcpy(&own_mac, mnl_attr_get_payload(mac->second), sizeof own_mac);
            if (own_mac.vf != device.number) continue;
            device.mac.emplace();
            std::memcpy(device.mac->bytes.data(), own_mac.mac, device.mac->bytes.size());
            ifla_vf_trust own_trust{};
            if (trust == all.end() || mnl_attr_get_payload_len(trust->second) < sizeof own_trust) continue;
            std::memcpy(&own_trust, mnl_attr_get_payload(trust->second), sizeof own_trust);
            device.trusted = own_trust.setting == 1;
        }
    });
}

std::string contents(const char* path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

Interface read_interface(int socket, const std::string& name) {
    Interface interface;
    ifreq request{};
    name.copy(request.ifr_name, IFNAMSIZ - 1);
    if (ioctl(socket, SIOCGIFFLAGS, &request) == 0) interface.up = (request.ifr_flags & IFF_UP) != 0;
    if (ioctl(socket, SIOCGIFMTU, &request) == 0) interface.mtu = static_cast<unsigned>(request.ifr_mtu);
    ethtool_drvinfo info{};
    info.cmd = ETHTOOL_GDRVINFO;
    request.ifr_data = reinterpret_cast<char*>(&info);
    if (ioctl(socket, SIOCETHTOOL, &request) == 0) {
        interface.driver = info.driver;
        interface.is_tap = interface.driver == "tun";
        const std::string node = first_line("/sys/bus/pci/devices/" + std::string{info.bus_info} + "/numa_node");
        if (!node.empty()) interface.numa_node = std::atoi(node.c_str());
    }
    interface.queues = dataplane::receive_queues(name);
    const unsigned index = if_nametoindex(name.c_str());
    read_xdp_features(index, interface);
    read_interrupts("", name, index, interface);
    return interface;
}

}  // namespace

// A mounted /sys shows the interfaces of the network namespace in which it was mounted: maybe another than ours.
void read_interrupts(const std::string& root, const std::string& name, unsigned index, Interface& interface) {
    const auto number = [&](const char* file) {
        return static_cast<unsigned>(
            std::strtoul(first_line(fmt::format("{}/sys/class/net/{}/{}", root, name, file)).c_str(), nullptr, 10));
    };
    if (number("ifindex") != index) return;
    interface.deferred = number("napi_defer_hard_irqs");
    interface.deferred_ns = number("gro_flush_timeout");
}

void read_interfaces(const config::Config& config, Facts& facts) {
    const io::Fd socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    const std::string ipv4 = contents("/proc/self/net/route"), ipv6 = contents("/proc/self/net/ipv6_route");
    const std::unique_ptr<struct if_nameindex, void (*)(struct if_nameindex*)> all(if_nameindex(), if_freenameindex);
    for (const auto* one = all.get(); one != nullptr && one->if_name != nullptr; one++) {
        const std::string name = one->if_name;
        if (name == "lo") continue;
        Interface interface = read_interface(socket.get(), name);
        interface.routes = routes_by(name, ipv4, ipv6);
        facts.interfaces[name] = std::move(interface);
    }
    for (const config::Port& port : config.ports)
        if (const auto found = facts.interfaces.find(port.interface);
            found != facts.interfaces.end() && port.driver == config::Driver::af_xdp)
            found->second.xdp_refusal = dataplane::xdp_refusal(port.interface);
    for (auto& [address, device] : facts.devices)
        if (!device.parent.empty()) read_function(device);
}

}  // namespace penstock::doctor
