#pragma once
// What a NIC of our own tells between packets: that its physical function reset it, or that the device is being taken
// away. Either way it carries nothing more until it is opened anew, with the MAC address that it has by then.
#include <atomic>
#include <cstdint>
#include <string>

namespace penstock::dataplane {

class NicEvents {
public:
    NicEvents(uint16_t ethdev, std::string device);
    ~NicEvents();
    NicEvents(const NicEvents&) = delete;
    NicEvents& operator=(const NicEvents&) = delete;

    // What the driver says of the link just now. A virtual function whose link was away and is back counts as reset:
    // not every driver is told (that of igb is not), and whether it was is not to be seen otherwise.
    void note_link(bool up) noexcept;
    // Why the device is to be opened anew; empty: it is not.
    std::string why_lost() const;
    void note_reset() noexcept { lost_.store(Lost::reset, std::memory_order_relaxed); }
    void note_removal() noexcept { lost_.store(Lost::removed, std::memory_order_relaxed); }

private:
    enum class Lost : uint8_t { no, reset, removed };
    const uint16_t ethdev_;
    const std::string device_;
    bool had_link_ = false, lost_link_ = false;  // since it was opened; control's
    std::atomic<Lost> lost_{Lost::no};           // written by DPDK's interrupt thread
};

}  // namespace penstock::dataplane
