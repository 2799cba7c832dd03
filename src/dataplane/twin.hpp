#pragma once
// The kernel twin of a port that the kernel does not see: a TAP netdev. What is not media crosses it both ways, so that
// ARP, ICMP, IGMP, RTSP and all else on that port is the kernel's work. One thread carries the packets of all twins
// between TAP and rings, since workers do not call the kernel.
#include <rte_mempool.h>
#include <rte_ring.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/address.hpp"
#include "base/counter.hpp"
#include "base/result.hpp"

namespace penstock::dataplane {

class TapTwin {
public:
    // The netdev goes when this object, or the process, goes.
    static Result<std::unique_ptr<TapTwin>> make(const std::string& netdev, const Mac& mac, uint16_t mtu,
                                                 rte_mempool* pool);
    ~TapTwin();
    TapTwin(const TapTwin&) = delete;
    TapTwin& operator=(const TapTwin&) = delete;

    rte_ring* to_kernel() const noexcept { return to_kernel_; }      // workers put, the twin thread takes
    rte_ring* from_kernel() const noexcept { return from_kernel_; }  // the twin thread puts, one worker takes
    int fd() const noexcept { return fd_; }
    void set_mac(const Mac& mac) noexcept;  // what the NIC has by now
    void set_carrier(bool on) noexcept;     // as the NIC has a link or not: routes and programs see it
    bool carry() noexcept;                  // one round both ways; whether anything moved

    Counter lost_to_kernel;    // the TAP did not take it. Written by the twin thread
    Counter lost_from_kernel;  // no mbuf, or the ring is full. Written by the twin thread

private:
    TapTwin() = default;
    bool write_some() noexcept;
    bool read_some() noexcept;

    int fd_ = -1;
    rte_mempool* pool_ = nullptr;
    rte_ring* to_kernel_ = nullptr;
    rte_ring* from_kernel_ = nullptr;
};

class TwinThread {
public:
    explicit TwinThread(std::vector<TapTwin*> twins);
    ~TwinThread();

private:
    void run();
    std::vector<TapTwin*> twins_;
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

}  // namespace penstock::dataplane
