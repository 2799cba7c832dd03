#pragma once
// The loop: sends each packet when it is due, and takes in what arrives, on one core. A sender that falls behind sends
// what is due at once and says how late it was.
#include <rte_mbuf.h>

#include <array>
#include <vector>

#include "dataplane/port.hpp"
#include "findings.hpp"
#include "pace.hpp"
#include "tally.hpp"

namespace penstock::gen {

struct Link {
    dataplane::DeviceQueue tx, rx;
    rte_mempool* pool = nullptr;
    Mac from_mac, to_mac;  // to_mac: of the forwarder's port; multicast has its own
};

struct Length {
    double seconds = 10;
    uint64_t packets = UINT64_MAX;  // of each group
};

class Generator {
public:
    Generator(const Plan& plan, const Link& link, const Length& length, uint64_t start, uint64_t hertz, Tally& tally);
    ~Generator();
    Generator(const Generator&) = delete;
    Generator& operator=(const Generator&) = delete;

    bool sending() const noexcept { return !ended_; }
    // Up to a burst of what is due by now.
    void send(uint64_t now);
    // Whether anything came.
    bool receive(uint64_t now);
    // When the next packet is due: for a clock that need not wait.
    uint64_t next_moment() const noexcept;
    Sending sending_so_far() const;

private:
    static constexpr uint16_t kBurst = 32;
    struct Lane {
        const Group* group;
        size_t path;
        uint32_t first_stream;
        bool leads;  // the first path of its group: it counts what is sent, and sends the garbage
        Pace pace;
    };

    void send_from(Lane& lane, uint64_t now);
    void send_garbage(const Lane& lane, uint32_t stream, const Endpoint& to, uint64_t number);
    bool lost(const Lane& lane, size_t path, uint32_t stream, uint64_t number) const noexcept;
    bool lost_on_all(const Lane& lane, uint32_t stream, uint64_t number) const noexcept;
    std::span<std::byte> add_frame(size_t payload);
    void add_headers(std::span<std::byte> frame, const Endpoint& from, const Endpoint& to) const noexcept;
    void flush();
    const Wire* wire_for(const Endpoint& to) const noexcept;
    bool hand_on(rte_mbuf* m);

    const Plan& plan_;
    Link link_;
    Tally& tally_;
    uint64_t start_, limit_;
    double hertz_;
    std::vector<Lane> lanes_;
    size_t turn_ = 0;  // the lane that is asked first
    bool ended_ = false;
    uint64_t last_ = 0;
    std::array<rte_mbuf*, 2 * kBurst> out_{};
    uint16_t waiting_ = 0;
    Sending so_far_;
    flow::LatencyHistogram lateness_;
};

}  // namespace penstock::gen
