#include "dataplane/nic_groups.hpp"

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace penstock::dataplane {
namespace {

// That a virtual function of any driver may name: igb and ixgbe have no room for more in a message to the physical one,
// and leave out the rest without a word.
constexpr size_t kByName = 30;

}  // namespace

void NicGroups::follow(std::vector<Mac> groups, std::string_view port, Log& log) {
    const bool changed = groups != groups_;
    if (!changed && !refused_) return;
    groups_ = std::move(groups);
    std::vector<rte_ether_addr> list(groups_.size());
    for (size_t i = 0; i < list.size(); i++) std::memcpy(list[i].addr_bytes, groups_[i].bytes.data(), 6);

    const size_t named = std::min(list.size(), kByName);
    int error = rte_eth_dev_set_mc_addr_list(ethdev_, list.data(), static_cast<uint32_t>(named));
    const bool by_name = error == 0 && named == list.size();
    const std::string why = error != 0 ? fmt::format("the driver takes no list: {}", rte_strerror(-error))
                                       : fmt::format("{} are wanted, {} can be named", list.size(), kByName);
    const size_t let_in = error == 0 ? named : 0;
    error = by_name ? rte_eth_allmulticast_disable(ethdev_) : rte_eth_allmulticast_enable(ethdev_);
    refused_ = !by_name && error != 0;
    auto how = by_name     ? fmt::format("{} by name", named)
               : !refused_ ? "all: " + why
                           : fmt::format("{} of {}: {}, and all is refused: {}", let_in, list.size(), why,
                                         rte_strerror(-error));
    if (refused_ && (changed || how != how_))
        log.warning(
            "port '{}': the NIC lets in {} of {} multicast addresses: {}, and all of it is refused ({}); is the "
            "virtual "
            "function trusted ('ip link set PF vf N trust on')?",
            port, let_in, list.size(), why, rte_strerror(-error));
    else if (how != how_ && (!by_name || !by_name_))
        log.info("port '{}': multicast that the NIC lets in: {}", port, how);
    how_ = std::move(how);
    by_name_ = by_name;
}

}  // namespace penstock::dataplane
