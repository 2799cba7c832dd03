#include "dataplane/port.hpp"

#include <fmt/format.h>
#include <net/if.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "dataplane/netdev.hpp"
#include "dataplane/pci_device.hpp"
#include "dataplane/stale_socket.hpp"
#include "dataplane/vdev.hpp"
#include "dataplane/xdp/xsk_frames.hpp"
#include "dataplane/xdp/xsk_sockets.hpp"

namespace penstock::dataplane {
namespace {

static_assert(RTE_MAX_ETHPORTS <= 256, "Leg::tx_port tells as many");

constexpr uint16_t kDescriptors = 1024;  // a queue; drivers adjust it to what they can

// Who captures or counts on the receiving side of a veth sees trains. A few receivers are not worth that surprise.
constexpr uint32_t kLegsWorthTrains = 16;

constexpr size_t kFrames = 4096;  // in the ring of a packet socket: vdev.cpp

// In the words of DPDK: "rx VLAN_STRIP UDP_CKSUM RSS_HASH, tx MULTI_SEGS".
std::string offloads_in_use(const rte_eth_conf& conf) {
    std::string all;
    const auto list = [&](const char* way, uint64_t offloads, const char* (*name)(uint64_t)) {
        if (offloads == 0) return;
        all += all.empty() ? way : fmt::format(", {}", way);
        for (unsigned bit = 0; bit < 64; bit++)
            if ((offloads >> bit & 1) != 0) all += fmt::format(" {}", name(uint64_t{1} << bit));
    };
    list("rx", conf.rxmode.offloads, rte_eth_dev_rx_offload_name);
    list("tx", conf.txmode.offloads, rte_eth_dev_tx_offload_name);
    return all;
}

std::string reason(int error) { return rte_strerror(error < 0 ? -error : error); }

}  // namespace

Result<std::unique_ptr<Port>> Port::open(const PortPlan& plan, uint16_t index, uint16_t workers, Pools pools,
                                         Log& log) {
    std::unique_ptr<Port> port(new Port(plan, index, workers, pools));
    if (auto up = port->bring_up(log); !up) return fail(fmt::format("port '{}': {}", plan.name, up.error().text));
    return port;
}

Result<void> Port::reopen(Log& log) {
    auto up = bring_up(log);
    if (!up) close();  // what was half made
    return up;
}

Result<void> Port::bring_up(Log& log) {
    const std::vector<int> sockets = af_xdp_sockets();
    if (plan_.driver == Driver::af_xdp || plan_.driver == Driver::af_packet)
        netdev_index_ = if_nametoindex(plan_.interface.c_str());
    if (auto made = create(log); !made) return made;
    const auto note_sockets = [&] {
        sockets_.clear();
        std::ranges::set_difference(af_xdp_sockets(), sockets, std::back_inserter(sockets_));
    };
    for (const uint16_t ethdev : ethdevs_) {
        const auto rx = static_cast<uint16_t>(plan_.driver == Driver::af_xdp ? 1 : plan_.queues);
        rte_eth_dev_info device{};
        if (const int error = rte_eth_dev_info_get(ethdev, &device); error != 0) return fail(reason(error));
        if (rx > device.max_rx_queues)
            return fail(fmt::format("{} queues asked for, the driver has {}", rx, device.max_rx_queues));
        // Drivers on a netdev pair rx and tx queues; a NIC can give each worker its own.
        const uint16_t tx = plan_.driver == Driver::pci ? std::min<uint16_t>(workers_, device.max_tx_queues) : rx;
        auto started = start(ethdev, rx, tx);
        note_sockets();
        if (!started) return started;
    }
    if (plan_.driver == Driver::af_packet) discard_arrived();
    describe();
    if (plan_.driver == Driver::pci && plan_.twin) groups_.emplace(ethdevs_.front());
    if (plan_.driver == Driver::pci && plan_.queues > 1) flow_rules_.emplace(ethdevs_.front());
    if (plan_.driver == Driver::af_xdp) {
        if (auto judged = judge_zero_copy(log); !judged) return judged;
    }
    open_packet_sockets(log);
    log.info("port '{}': up, driver {}, {} rx and {} tx queues, mac {}, mtu {}, {}", plan_.name, driver_name_,
             rx_.size(), tx_.size(), info_.mac.text(), info_.mtu,
             info_.multi_segment ? "shared payloads" : "copied payloads (the driver cannot send chained buffers)");
    return {};
}

// The DPDK devices of the port, not yet started.
Result<void> Port::create(Log& log) {
    if (plan_.driver == Driver::af_xdp) {
        auto steering = Steering::attach(plan_.interface, plan_.attach, plan_.queues);
        if (!steering) return fail(steering.error().text);
        steering_.emplace(std::move(*steering));
        log.info("port '{}': XDP on {}: {}", plan_.name, plan_.interface, steering_->how());
        if (!steering_->warning().empty()) log.warning("port '{}': {}", plan_.name, steering_->warning());
    }
    uint16_t ethdev = 0;
    if (plan_.driver == Driver::pci) {
        const char* device = plan_.device.c_str();
        // EAL took it at start; what was closed since is looked at anew.
        bool taken = rte_eth_dev_get_port_by_name(device, &ethdev) == 0;
        if (const std::string driver = bound_to(plan_.device); !taken && driver != "vfio-pci")
            return fail(fmt::format("device '{}' {}: 'dpdk-devbind.py --bind=vfio-pci {}' gives it to us", device,
                                    driver.empty() ? "is not there, or has no driver" : "is bound to " + driver,
                                    device));
        if (!taken) taken = rte_eal_hotplug_add("pci", device, "") == 0;
        if (!taken || rte_eth_dev_get_port_by_name(device, &ethdev) != 0)
            return fail(fmt::format(
                "no DPDK driver took device '{}': has DPDK one for it, and is /dev/vfio accessible?", device));
        ethdevs_.push_back(ethdev);
        nic_events_.emplace(ethdev, plan_.device);
        return {};
    }
    if (plan_.driver == Driver::vhost) remove_stale_socket(plan_.socket);
    for (const Vdev& vdev : vdevs_of(plan_, info_.index)) {
        if (const int error = rte_eal_hotplug_add("vdev", vdev.name.c_str(), vdev.arguments.c_str()); error != 0)
            return fail(fmt::format("the driver refuses '{},{}': {}", vdev.name, vdev.arguments, reason(error)));
        vdevs_.push_back(vdev.name);
        if (const int error = rte_eth_dev_get_port_by_name(vdev.name.c_str(), &ethdev); error != 0)
            return fail(fmt::format("device '{}' did not come up: {}", vdev.name, reason(error)));
        ethdevs_.push_back(ethdev);
    }
    return {};
}

Result<void> Port::start(uint16_t ethdev, uint16_t rx_queues, uint16_t tx_queues) {
    rte_eth_dev_info device{};
    rte_eth_dev_info_get(ethdev, &device);
    rte_eth_conf conf{};
    if (rx_queues > 1 && plan_.driver == Driver::pci) {
        conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        conf.rx_adv_conf.rss_conf.rss_hf = device.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP);
    }
    // Tell a packet whose checksum the NIC found wrong; never fast-free: mbufs here are shared and of mixed pools.
    // A VLAN tag that the NIC takes off is told beside the packet: some virtual functions take it off in any case, and
    // say so only when asked to.
    conf.rxmode.offloads = device.rx_offload_capa & (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM |
                                                     RTE_ETH_RX_OFFLOAD_VLAN_STRIP);
    conf.txmode.offloads = device.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    if (!plan_.vlans.empty()) conf.rxmode.offloads |= device.rx_offload_capa & RTE_ETH_RX_OFFLOAD_VLAN_FILTER;
    if (plan_.driver == Driver::pci)
        offloads_ = offloads_in_use(conf);
    else
        conf.rxmode.offloads = 0;
    if (const int error = rte_eth_dev_configure(ethdev, rx_queues, tx_queues, &conf); error != 0)
        return fail(fmt::format("{} rx and {} tx queues: {}", rx_queues, tx_queues, reason(error)));
    uint16_t rx_size = kDescriptors, tx_size = kDescriptors;
    rte_eth_dev_adjust_nb_rx_tx_desc(ethdev, &rx_size, &tx_size);
    const int socket = rte_eth_dev_socket_id(ethdev);
    const auto on = static_cast<unsigned>(socket);
    for (uint16_t q = 0; q < rx_queues; q++) {
        if (const int error = rte_eth_rx_queue_setup(ethdev, q, rx_size, on, nullptr, pools_.packet); error != 0)
            return fail(fmt::format("rx queue {}: {}", q, reason(error)));
        rx_.push_back({ethdev, q});
    }
    for (uint16_t q = 0; q < tx_queues; q++) {
        if (const int error = rte_eth_tx_queue_setup(ethdev, q, tx_size, on, nullptr); error != 0)
            return fail(fmt::format("tx queue {}: {}", q, reason(error)));
        tx_.push_back({ethdev, q});
    }
    if (const int error = rte_eth_dev_start(ethdev); error != 0) return fail(fmt::format("start: {}", reason(error)));
    return plan_.driver == Driver::pci ? admit_vlans(ethdev) : Result<void>{};
}

// A virtual function gets no tagged packet of a VLAN that it did not ask for. Where there is no filter, all come.
Result<void> Port::admit_vlans(uint16_t ethdev) {
    for (const uint16_t vlan : plan_.vlans) {
        const int error = rte_eth_dev_vlan_filter(ethdev, vlan, 1);
        if (error != 0 && error != -ENOTSUP && error != -ENOSYS)
            return fail(fmt::format("VLAN {}: {}", vlan, reason(error)));
    }
    return {};
}

void Port::follow_groups(Log& log) {
    if (groups_) groups_->follow(multicast_of(info_.netdev), plan_.name, log);
}

// A packet socket hears every interface until it is bound to its own, and the driver makes the ring before it binds:
// media of other ports may lie there, which would be forwarded twice.
void Port::discard_arrived() {
    std::array<rte_mbuf*, 32> burst;
    for (const DeviceQueue& q : rx_) {
        uint16_t n = 1;
        for (size_t all = 0; n != 0 && all < kFrames; all += n) {  // more arrive all the time
            n = rte_eth_rx_burst(q.ethdev, q.queue, burst.data(), burst.size());
            rte_pktmbuf_free_bulk(burst.data(), n);
        }
    }
}

void Port::describe() {
    const uint16_t ethdev = ethdevs_.front();
    rte_eth_dev_info device{};
    rte_eth_dev_info_get(ethdev, &device);
    rte_ether_addr mac{};
    rte_eth_macaddr_get(ethdev, &mac);
    // The ring and pcap drivers have none; the kernel refuses such a twin, and receivers such a sender.
    if (rte_is_zero_ether_addr(&mac)) rte_eth_random_addr(mac.addr_bytes);
    driver_name_ = device.driver_name;
    numa_node_ = rte_eth_dev_socket_id(ethdev);
    info_.name = plan_.name;
    info_.driver = plan_.driver;
    std::memcpy(info_.mac.bytes.data(), mac.addr_bytes, 6);
    rte_eth_dev_get_mtu(ethdev, &info_.mtu);
    info_.multi_segment = (device.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0;
    info_.addresses = plan_.addresses;
    info_.peer_mac = plan_.peer_mac.value_or(*Mac::parse("ff:ff:ff:ff:ff:ff"));
    switch (plan_.driver) {
        case Driver::af_xdp:
        case Driver::af_packet:
            info_.netdev = plan_.interface;
            info_.partial_checksums = carries_partial_checksums(kernel_driver(plan_.interface));
            break;
        case Driver::vhost:
        case Driver::tap:
        case Driver::pcap:  // recorded on the sending host, most captures have unfinished checksums
            info_.partial_checksums = true;
            break;
        default: break;
    }
    if (plan_.twin) info_.netdev = *plan_.twin;
    if (plan_.driver != Driver::pci) return;
    device_ = fmt::format("{} {}", plan_.device, kind_of(plan_.device));
    std::array<char, 64> firmware{};
    firmware_ = rte_eth_dev_fw_version_get(ethdev, firmware.data(), firmware.size()) == 0 ? firmware.data() : "";
}

Result<void> Port::judge_zero_copy(Log& log) {
    if (std::ranges::all_of(sockets_, [](int fd) { return dataplane::zero_copy(fd).value_or(false); })) {
        zero_copy_ = "zero-copy";
        log.info("port '{}': AF_XDP zero-copy", plan_.name);
        return {};
    }
    const std::string why = plan_.zero_copy == ZeroCopy::off ? "zero_copy is off"
                            : !steering_->native()
                                ? "generic XDP always copies"
                                : fmt::format("driver {} does not offer zero-copy", kernel_driver(plan_.interface));
    if (plan_.zero_copy == ZeroCopy::on)
        return fail(fmt::format("zero_copy is on, but the kernel copies: {}; set zero_copy: auto to go on so", why));
    zero_copy_ = fmt::format("copy: {}", why);
    log.info("port '{}': AF_XDP copy mode: {}", plan_.name, why);
    return {};
}

// Whatever stands against it, the port goes on without.
void Port::open_packet_sockets(Log& log) {
    if (plan_.driver != Driver::af_xdp) return;
    const bool asked = plan_.segmentation == Segmentation::on;
    std::string why = plan_.segmentation == Segmentation::off ? "segmentation is off" : why_no_segmentation();
    // A NIC that takes packets from our memory costs less than a kernel that copies them, and has queues of its own for
    // them, so that one might overtake another.
    if (why.empty() && zero_copy_ == "zero-copy") why = "zero-copy costs less";
    if (why.empty()) {
        auto sockets = PacketSockets::open(netdev_index_, workers_);
        if (sockets)
            packet_sockets_.emplace(std::move(*sockets));
        else
            why = sockets.error().text;
    }
    info_.trains_from = !why.empty() ? 0 : asked ? 1 : kLegsWorthTrains;
    segmentation_ = !why.empty() ? fmt::format("none: {}", why)
                    : asked      ? "all tracks"
                                 : fmt::format("tracks with {} receivers and more", kLegsWorthTrains);
    if (asked && !why.empty())
        log.warning("port '{}': no segmentation: {}", plan_.name, why);
    else
        log.info("port '{}': segmentation: {}", plan_.name, segmentation_);
}

std::unique_ptr<Segmenter> Port::segmenter(unsigned worker) {
    if (!packet_sockets_) return nullptr;
    return std::make_unique<Segmenter>(packet_sockets_->all()[worker], info_.trains_from, segmented_[worker]);
}

bool Port::link_up() const {
    if (plan_.driver != Driver::pci) return true;
    if (!is_open()) return false;
    rte_eth_link link{};
    return rte_eth_link_get_nowait(ethdevs_.front(), &link) != 0 || link.link_status == RTE_ETH_LINK_UP;
}

Port::Counters Port::driver_counters() const {
    auto sum = counted_;
    for (const uint16_t ethdev : ethdevs_) {
        const int count = rte_eth_xstats_get(ethdev, nullptr, 0);
        if (count <= 0) continue;
        std::vector<rte_eth_xstat> values(static_cast<size_t>(count));
        std::vector<rte_eth_xstat_name> names(static_cast<size_t>(count));
        if (rte_eth_xstats_get(ethdev, values.data(), static_cast<unsigned>(count)) != count ||
            rte_eth_xstats_get_names(ethdev, names.data(), static_cast<unsigned>(count)) != count)
            continue;
        for (size_t i = 0; i < values.size(); i++) {
            const auto same = std::ranges::find(sum, std::string_view(names[i].name), &Counters::value_type::first);
            if (same != sum.end()) {
                same->second += values[i].value;
            } else {
                sum.emplace_back(names[i].name, values[i].value);
            }
        }
    }
    const auto missed = std::ranges::find(sum, "rx_missed_errors", &Counters::value_type::first);
    if (missed != sum.end())
        for (const int fd : sockets_) missed->second += found_ring_full(fd);
    return sum;
}

Port::Counters Port::counters() const {
    Counters sum = driver_counters();
    if (segmentation_.empty()) return sum;
    const auto add = [&](std::string_view name, Counter SegmenterCounters::*counter) {
        uint64_t value = 0;
        for (const SegmenterCounters& by_worker : segmented_) value += (by_worker.*counter).read();
        const auto same = std::ranges::find(sum, name, &Counters::value_type::first);
        if (same != sum.end())
            same->second += value;
        else
            sum.emplace_back(name, value);
    };
    add("tx_good_packets", &SegmenterCounters::packets);
    add("tx_good_bytes", &SegmenterCounters::bytes);
    add("tx_socket_packets", &SegmenterCounters::packets);
    add("tx_socket_trains", &SegmenterCounters::trains);
    add("tx_socket_refused", &SegmenterCounters::refused);
    return sum;
}

Port::~Port() { close(); }

// As the af_xdp driver computes it: the pool is the UMEM, from the page in which its first piece of memory begins.
std::vector<rte_mbuf*> Port::buffers_in_rings() const {
    std::vector<rte_mbuf*> buffers;
    const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    const auto first = reinterpret_cast<uintptr_t>(STAILQ_FIRST(&pools_.packet->mem_list)->addr);
    const uintptr_t base = first / page * page + pools_.packet->header_size;
    for (const int fd : sockets_)
        for (const uint64_t frame : frames_in_rings(fd)) buffers.push_back(reinterpret_cast<rte_mbuf*>(base + frame));
    return buffers;
}

void Port::close() noexcept {
    counted_ = driver_counters();
    const auto forgotten = buffers_in_rings();
    nic_events_.reset();
    for (const uint16_t ethdev : ethdevs_) {
        rte_eth_dev_stop(ethdev);
        rte_eth_dev_close(ethdev);
    }
    for (const std::string& vdev : vdevs_) rte_eal_hotplug_remove("vdev", vdev.c_str());
    if (plan_.driver == Driver::pci && !ethdevs_.empty()) rte_eal_hotplug_remove("pci", plan_.device.c_str());
    for (rte_mbuf* m : forgotten) rte_pktmbuf_free(m);
    ethdevs_.clear();
    vdevs_.clear();
    sockets_.clear();
    packet_sockets_.reset();
    rx_.clear();
    tx_.clear();
    steering_.reset();
    flow_rules_.reset();
    groups_.reset();
    netdev_index_ = 0;
}

}  // namespace penstock::dataplane
