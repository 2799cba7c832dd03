#pragma once
// One port of the configuration: its DPDK devices and queues, started, and what is known of it. A port with several
// AF_XDP queues is several DPDK devices, since veth and many NIC drivers let one socket bind one queue only.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/address.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "dataplane/flow_rules.hpp"
#include "dataplane/nic_events.hpp"
#include "dataplane/nic_groups.hpp"
#include "dataplane/packet_sockets.hpp"
#include "dataplane/port_set.hpp"
#include "dataplane/segmenter.hpp"
#include "dataplane/worker.hpp"
#include "dataplane/xdp/steering.hpp"
#include "flow/port.hpp"

namespace penstock::dataplane {

using flow::Driver;
enum class ZeroCopy : uint8_t { automatic, on, off };
enum class Segmentation : uint8_t { automatic, on, off };

struct PortPlan {
    std::string name;
    Driver driver = Driver::null;
    uint16_t queues = 1;
    std::string interface, device, socket, read, write;  // as the driver needs: see config/penstock.yaml
    Attach attach = Attach::automatic;
    ZeroCopy zero_copy = ZeroCopy::automatic;
    Segmentation segmentation = Segmentation::off;
    std::optional<std::string> twin;  // name of the TAP netdev
    std::vector<Prefix> addresses;
    std::optional<Mac> peer_mac;
    std::vector<uint16_t> vlans;  // by which sources are expected; pci
};

class Port {
public:
    // `workers`: as many tx queues are set up, or as many as the driver has.
    static Result<std::unique_ptr<Port>> open(const PortPlan& plan, uint16_t index, uint16_t workers, Pools pools,
                                              Log& log);
    ~Port();
    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;

    // A netdev that was removed and made again, and a NIC that was reset, needs its devices made again; index, name and
    // queues of the port stay. No worker may be using them when they are closed.
    void close() noexcept;
    Result<void> reopen(Log& log);
    bool is_open() const noexcept { return !ethdevs_.empty(); }

    const std::vector<DeviceQueue>& rx() const noexcept { return rx_; }
    const std::vector<DeviceQueue>& tx() const noexcept { return tx_; }
    // By worker; empty: none segments. Once a port has them it has them each time it is opened.
    std::span<const int> packet_sockets() const noexcept {
        return packet_sockets_ ? std::span<const int>(packet_sockets_->all()) : std::span<const int>();
    }
    std::unique_ptr<Segmenter> segmenter(unsigned worker);                      // null: there is none
    const std::string& segmentation() const noexcept { return segmentation_; }  // used or not, and why
    // Of a port on a netdev: which one the devices were opened on. 0: there is none.
    unsigned netdev_index() const noexcept { return netdev_index_; }
    const flow::PortInfo& info() const noexcept { return info_; }
    const std::vector<uint16_t>& vlans() const noexcept { return plan_.vlans; }
    // Drivers of virtual functions of igb and ixgbe; others keep that tag to themselves.
    bool tells_port_vlan() const noexcept { return driver_name_.ends_with("_vf"); }
    bool kernel_has_copy() const noexcept { return plan_.driver == Driver::af_packet; }
    const std::string& driver_name() const noexcept { return driver_name_; }  // of DPDK
    const std::string& zero_copy() const noexcept { return zero_copy_; }      // af_xdp: got or not, and why
    int numa_node() const noexcept { return numa_node_; }                     // -1: not known
    const std::string& device() const noexcept { return device_; }  // pci: "0000:3b:02.1 8086:154c, virtual function"
    const std::string& firmware() const noexcept { return firmware_; }  // empty: the driver does not tell
    const std::string& offloads() const noexcept { return offloads_; }  // of the NIC, in use; empty: none
    Steering* steering() noexcept { return steering_ ? &*steering_ : nullptr; }
    // pci with several rx queues; null elsewhere.
    FlowRules* flow_rules() noexcept { return flow_rules_ ? &*flow_rules_ : nullptr; }
    // Lets in the multicast addresses that the kernel twin listens to by now, whoever joined them; pci.
    void follow_groups(Log& log);
    std::string multicast() const { return groups_ ? groups_->how() : std::string(); }  // that is let in; empty: all
    // pci: whether the NIC has a link. Other ports stand and fall with their netdev, or are up once they are open: that
    // a vhost guest comes and goes is the guest's business.
    bool link_up() const;
    void note_link(bool up) noexcept {
        if (nic_events_) nic_events_->note_link(up);
    }
    // pci: why it is to be left and opened again, although its device may be there; empty: it is not.
    std::string why_lost() const { return nic_events_ ? nic_events_->why_lost() : std::string(); }
    // Every counter of the driver, summed over the devices, those that were closed included.
    using Counters = std::vector<std::pair<std::string, uint64_t>>;
    Counters counters() const;

private:
    Port(const PortPlan& plan, uint16_t index, uint16_t workers, Pools pools)
        : plan_(plan), workers_(workers), pools_(pools), segmented_(workers) {
        info_.index = index;
    }
    Result<void> bring_up(Log& log);
    Result<void> create(Log& log);
    Result<void> start(uint16_t ethdev, uint16_t rx_queues, uint16_t tx_queues);
    Result<void> admit_vlans(uint16_t ethdev);
    Result<void> judge_zero_copy(Log& log);
    void open_packet_sockets(Log& log);
    Counters driver_counters() const;
    void discard_arrived();
    void describe();
    std::vector<rte_mbuf*> buffers_in_rings() const;

    PortPlan plan_;
    uint16_t workers_;
    Pools pools_;
    std::optional<Steering> steering_;
    std::optional<FlowRules> flow_rules_;
    std::optional<NicEvents> nic_events_;  // pci
    std::optional<NicGroups> groups_;      // pci with a twin
    std::vector<std::string> vdevs_;       // made by us, in order of creation
    std::vector<uint16_t> ethdevs_;
    std::vector<DeviceQueue> rx_, tx_;
    unsigned netdev_index_ = 0;
    std::vector<int> sockets_;  // af_xdp
    Counters counted_;          // by devices that were closed
    flow::PortInfo info_;
    std::string driver_name_, zero_copy_, device_, firmware_, offloads_;
    int numa_node_ = -1;
    std::optional<PacketSockets> packet_sockets_;
    std::vector<SegmenterCounters> segmented_;  // by worker
    std::string segmentation_;
};

}  // namespace penstock::dataplane
