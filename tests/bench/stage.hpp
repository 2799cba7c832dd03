#pragma once
// What every subject plays on: one rx port on a ring, one tx port that frees what it gets (net_null: the cost of a
// NIC's descriptors is not in it, that of freeing is), the pools of production, and packets that are hot or cold.
#include <rte_ring.h>

#include <memory>
#include <span>

#include "base/log.hpp"
#include "base/result.hpp"
#include "dataplane/eal.hpp"
#include "dataplane/pools.hpp"
#include "dataplane/port.hpp"
#include "traffic.hpp"

namespace penstock::bench {

inline constexpr uint16_t kBurst = 32;
inline constexpr unsigned kBatch = 1024;  // packets the ring holds

class Stage {
public:
    static Result<std::unique_ptr<Stage>> make(Log& log);

    // Packets ready to be fed. The pool gives the buffer that was free for longest, so that buffers rotate over all of
    // it.
    void prepare(std::span<rte_mbuf*> into, Traffic& traffic, uint16_t payload) const;
    void feed(std::span<rte_mbuf* const> packets) const;
    // The same as far as there is room; says how many that was.
    size_t offer(std::span<rte_mbuf* const> packets) const;
    // Buffers as prepare() takes them, to be written by others.
    void take(std::span<rte_mbuf*> into) const;
    bool waiting() const;   // whether something that was fed was not taken yet
    uint64_t sent() const;  // packets that the tx port took so far

    uint16_t rx() const noexcept { return rx_; }
    uint16_t tx() const noexcept { return sink_->tx().front().ethdev; }
    rte_ring* by_tcp() const noexcept { return by_tcp_; }  // empty, as it is where nobody pushes by TCP
    dataplane::Pools pools() const noexcept { return {packets_.get(), headers_.get()}; }

private:
    Stage() = default;

    std::unique_ptr<dataplane::Eal> eal_;
    dataplane::Pool packets_, headers_;
    std::unique_ptr<dataplane::Port> sink_;
    rte_ring* ring_ = nullptr;
    rte_ring* by_tcp_ = nullptr;
    uint16_t rx_ = 0;
};

}  // namespace penstock::bench
