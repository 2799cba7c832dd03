#pragma once
// The way out of one worker through one port: a burst buffer in front of a tx queue that the worker owns or, where the
// driver has fewer tx queues than there are workers, in front of a ring to the worker that owns one.
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <array>
#include <cstdint>

#include "dataplane/port_set.hpp"
#include "flow/capture.hpp"
#include "flow/ledger.hpp"
#include "flow/leg.hpp"

namespace penstock::dataplane {

class TxBuffer {
public:
    static constexpr uint16_t kBurst = 32;

    TxBuffer(uint16_t ethdev, uint16_t queue, bool multi_segment)
        : ethdev_(ethdev), queue_(queue), multi_segment_(multi_segment) {}
    TxBuffer(rte_ring* to_owner, bool multi_segment) : ring_(to_owner), multi_segment_(multi_segment) {}

    bool multi_segment() const noexcept { return multi_segment_; }
    bool owns_queue() const noexcept { return ring_ == nullptr; }
    // Between turns. A port that is down takes nothing; one that is up again may have other devices. `own`: this
    // worker's tx queue, if it has one on that port.
    void follow(const PortQueues& port, size_t own) noexcept {
        up_ = port.up;
        if (ring_ != nullptr || !up_) return;
        ethdev_ = port.tx[own].ethdev;
        queue_ = port.tx[own].queue;
    }
    uint16_t room() const noexcept { return static_cast<uint16_t>(kBurst - size_); }  // never 0
    void capture(flow::CaptureTap* tap, uint16_t port) noexcept {                     // null: no more
        tap_ = tap;
        port_ = port;
    }

    // Takes the mbuf. `bytes` of IP go to the leg's account when the driver takes the packet.
    void add(rte_mbuf* m, const flow::Leg& leg, uint32_t bytes, flow::Ledger& ledger) noexcept {
        burst_[size_] = m;
        account_[size_] = {leg.state, bytes, leg.rtcp};
        if (++size_ == kBurst) flush(ledger);
    }
    void flush(flow::Ledger& ledger) noexcept {
        if (size_ != 0) send(ledger);
    }

private:
    struct Account {
        flow::LegState* leg;
        uint32_t bytes;
        bool rtcp;
    };

    void send(flow::Ledger& ledger) noexcept {
        uint16_t sent = 0;
        if (tap_ != nullptr) [[unlikely]]
            capture_offered();
        // A driver may take part of a burst only; it is offered the rest as long as it takes something.
        for (uint16_t taken = up_; taken != 0 && sent != size_; sent = static_cast<uint16_t>(sent + taken))
            taken = offer(&burst_[sent], static_cast<uint16_t>(size_ - sent));
        for (uint16_t i = 0; i < sent; i++) account_[i].leg->sent(account_[i].rtcp, account_[i].bytes);
        ledger.sent += sent;
        if (tap_ != nullptr) [[unlikely]]
            capture_taken(sent);
        if (sent != size_) [[unlikely]] {
            const auto why = up_ ? flow::Drop::tx_full : flow::Drop::port_down;
            ledger[why] += static_cast<uint64_t>(size_ - sent);
            for (uint16_t i = sent; i < size_; i++) account_[i].leg->drop(why).add();
            rte_pktmbuf_free_bulk(&burst_[sent], static_cast<unsigned>(size_ - sent));
        }
        size_ = 0;
    }
    uint16_t offer(rte_mbuf** from, uint16_t count) noexcept {
        if (ring_ == nullptr) return rte_eth_tx_burst(ethdev_, queue_, from, count);
        return static_cast<uint16_t>(rte_ring_mp_enqueue_burst(ring_, reinterpret_cast<void**>(from), count, nullptr));
    }

    void capture_offered() noexcept;  // these two: capture.cpp
    void capture_taken(uint16_t sent) noexcept;

    rte_ring* ring_ = nullptr;
    flow::CaptureTap* tap_ = nullptr;  // of this turn
    uint16_t port_ = 0;                // PortInfo::index, when there is a tap
    uint16_t ethdev_ = 0;
    uint16_t queue_ = 0;
    uint16_t size_ = 0;
    bool multi_segment_;
    bool up_ = true;
    std::array<rte_mbuf*, kBurst> burst_;
    std::array<Account, kBurst> account_;
};

// The owner's end of such a ring, and of the ring that brings the kernel twin's packets. What the driver does not take
// stays here, so that the ring fills and the sender counts the drop against its leg.
class TxRelay {
public:
    // `port`: PortInfo::index. `slot`: which of its tx queues.
    TxRelay(rte_ring* from, uint16_t port, size_t slot, uint16_t ethdev, uint16_t queue)
        : from_(from), slot_(slot), port_(port), ethdev_(ethdev), queue_(queue) {}

    void follow(const PortSet& set) noexcept {  // between turns
        const PortQueues& port = set.ports[port_];
        up_ = port.up;
        if (!up_) return;
        ethdev_ = port.tx[slot_].ethdev;
        queue_ = port.tx[slot_].queue;
    }
    bool turn(flow::Ledger& ledger) noexcept {  // whether anything moved
        if (next_ == size_) {
            next_ = 0;
            size_ = static_cast<uint16_t>(
                rte_ring_sc_dequeue_burst(from_, reinterpret_cast<void**>(burst_.data()), kBurst, nullptr));
        }
        if (next_ == size_) return false;
        if (!up_) [[unlikely]] {
            // Whoever put them into the ring has counted them sent; here they are wanted once more, and dropped.
            ledger.tx_wanted += static_cast<uint64_t>(size_ - next_);
            ledger[flow::Drop::port_down] += static_cast<uint64_t>(size_ - next_);
            discard();
            return true;
        }
        next_ = static_cast<uint16_t>(
            next_ + rte_eth_tx_burst(ethdev_, queue_, &burst_[next_], static_cast<uint16_t>(size_ - next_)));
        return true;
    }
    void discard() noexcept {  // at the end
        rte_pktmbuf_free_bulk(&burst_[next_], static_cast<unsigned>(size_ - next_));
        next_ = size_ = 0;
    }

private:
    static constexpr uint16_t kBurst = 32;
    rte_ring* from_;
    size_t slot_;
    bool up_ = true;
    uint16_t port_, ethdev_, queue_, size_ = 0, next_ = 0;
    std::array<rte_mbuf*, kBurst> burst_;
};

}  // namespace penstock::dataplane
