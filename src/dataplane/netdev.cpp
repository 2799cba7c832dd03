#include "dataplane/netdev.hpp"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <string_view>

namespace penstock::dataplane {

std::string kernel_driver(const std::string& interface) {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return {};
    ethtool_drvinfo info{};
    info.cmd = ETHTOOL_GDRVINFO;
    ifreq request{};
    interface.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_data = reinterpret_cast<char*>(&info);
    const bool known = ioctl(fd, SIOCETHTOOL, &request) == 0;
    close(fd);
    return known ? std::string(info.driver) : std::string();
}

bool carries_partial_checksums(const std::string& driver) {
    static constexpr std::array<std::string_view, 10> kVirtual{"veth",  "tun", "bridge", "macvlan",    "ipvlan",
                                                               "dummy", "ifb", "team",   "virtio_net", "vxlan"};
    return driver.empty() || std::ranges::find(kVirtual, driver) != kVirtual.end();
}

std::vector<Mac> multicast_of(const std::string& interface) {
    std::vector<Mac> groups;
    std::ifstream file("/proc/net/dev_mcast");  // lines of: index, name, users, users of the rest, address as 12 digits
    for (std::string index, name, users, global, digits; file >> index >> name >> users >> global >> digits;) {
        if (name != interface || digits.size() != 12) continue;
        std::string text;
        for (size_t i = 0; i < digits.size(); i++) {
            if (i != 0 && i % 2 == 0) text += ':';
            text += digits[i];
        }
        if (const auto mac = Mac::parse(text)) groups.push_back(*mac);
    }
    return groups;
}

}  // namespace penstock::dataplane
