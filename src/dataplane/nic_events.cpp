// The callbacks of devices are experimental still, by name only: they have been as they are since DPDK 18.05.
#define ALLOW_EXPERIMENTAL_API

#include "dataplane/nic_events.hpp"

#include <rte_dev.h>
#include <rte_ethdev.h>

#include <utility>

#include "dataplane/pci_device.hpp"

namespace penstock::dataplane {
namespace {

int on_reset(uint16_t, rte_eth_event_type, void* self, void*) {
    static_cast<NicEvents*>(self)->note_reset();
    return 0;
}

void on_device(const char*, rte_dev_event_type event, void* self) {
    if (event == RTE_DEV_EVENT_REMOVE) static_cast<NicEvents*>(self)->note_removal();
}

}  // namespace

// Both are refused only for want of memory: then the port is as one that never hears of it.
NicEvents::NicEvents(uint16_t ethdev, std::string device) : ethdev_(ethdev), device_(std::move(device)) {
    rte_eth_dev_callback_register(ethdev_, RTE_ETH_EVENT_INTR_RESET, on_reset, this);
    rte_dev_event_callback_register(device_.c_str(), on_device, this);
}

NicEvents::~NicEvents() {
    rte_eth_dev_callback_unregister(ethdev_, RTE_ETH_EVENT_INTR_RESET, on_reset, this);
    rte_dev_event_callback_unregister(device_.c_str(), on_device, this);
}

void NicEvents::note_link(bool up) noexcept {
    if (up && lost_link_ && is_virtual_function(device_)) note_reset();
    lost_link_ = had_link_ && !up;
    had_link_ |= up;
}

std::string NicEvents::why_lost() const {
    switch (lost_.load(std::memory_order_relaxed)) {
        case Lost::no: break;
        case Lost::reset: return "the device was reset, or may have been";
        case Lost::removed: return "the device is taken away";
    }
    return {};
}

}  // namespace penstock::dataplane
