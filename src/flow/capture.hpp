#pragma once
// A capture under bypass: what control asks a worker to copy, and the ring by which the copies come back. All memory is
// made by control, and touched by it, before a worker sees it; what does not fit is missed and counted, never waited
// for. The record is written by the worker between open() and commit(), and read by whoever drains the ring after it.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/counter.hpp"
#include "flow/drop.hpp"

namespace penstock::flow {

struct CaptureRecord {
    static constexpr size_t kSnap = 2024;  // bytes of a frame that are kept; a packet buffer has 2048

    uint64_t time = 0;      // the workers' clock; of the rx burst that brought the packet, for a copy too
    uint32_t subject = 0;   // whose it is: CaptureFilter::Entry::subject, or kNobody
    uint32_t original = 0;  // bytes of the whole frame
    uint16_t size = 0;      // bytes that were kept
    uint16_t port = 0;      // PortInfo::index: where it came or would leave
    uint8_t drop = 0;       // Drop, or kDrops: it was not dropped
    bool leaving = false;   // a copy, as against an arriving packet
    uint8_t place = 0;      // in its tx burst, until it is committed
    std::array<std::byte, kSnap> bytes;

    std::span<const std::byte> frame() const noexcept { return {bytes.data(), size}; }
    void append(std::span<const std::byte> more) noexcept {  // what is too much is left out
        const size_t fits = std::min(more.size(), kSnap - size);
        std::copy_n(more.data(), fits, bytes.data() + size);
        size = static_cast<uint16_t>(size + fits);
    }
};

// Which packets. A stream is known to a worker by the states of its paths and legs, which outlive changes to it.
struct CaptureFilter {
    static constexpr uint32_t kNobody = 0xffff'ffff;  // a packet that belongs to no stream, or to one that came later
    enum class What : uint8_t { arrivals, copies, drops };
    struct Entry {
        const void* state;  // PathState or LegState
        uint32_t subject;
    };

    What what = What::arrivals;
    bool anyone = false;                            // drops: of every stream, and of none
    std::vector<Entry> entries;                     // sorted by state
    std::vector<std::shared_ptr<const void>> held;  // no state of a later stream may get the address of one of these

    void add(std::shared_ptr<const void> state, uint32_t subject) {
        entries.push_back({state.get(), subject});
        held.push_back(std::move(state));
    }
    void sort() { std::ranges::sort(entries, std::less{}, &Entry::state); }
    const Entry* find(const void* state) const noexcept {
        const auto found = std::ranges::lower_bound(entries, state, std::less{}, &Entry::state);
        return found != entries.end() && found->state == state ? &*found : nullptr;
    }
};

// One producer, one consumer. Several records may be open before they are committed together.
class CaptureRing {
public:
    explicit CaptureRing(size_t size) : records_(size) {}  // every page is touched here, not by the worker

    // The worker. Null: full.
    CaptureRecord* open() noexcept {
        const uint64_t next = committed_.load(std::memory_order_relaxed) + opened_;
        if (next - taken_.load(std::memory_order_acquire) == records_.size()) return nullptr;
        opened_++;
        return &records_[next % records_.size()];
    }
    size_t opened() const noexcept { return opened_; }
    CaptureRecord& opened(size_t i) noexcept {
        return records_[(committed_.load(std::memory_order_relaxed) + i) % records_.size()];
    }
    void commit() noexcept {
        committed_.store(committed_.load(std::memory_order_relaxed) + opened_, std::memory_order_release);
        opened_ = 0;
    }

    // The drainer. Null: empty.
    const CaptureRecord* front() const noexcept {
        const uint64_t next = taken_.load(std::memory_order_relaxed);
        return next == committed_.load(std::memory_order_acquire) ? nullptr : &records_[next % records_.size()];
    }
    void pop() noexcept { taken_.store(taken_.load(std::memory_order_relaxed) + 1, std::memory_order_release); }

private:
    std::vector<CaptureRecord> records_;
    alignas(64) std::atomic<uint64_t> committed_{0};  // worker: rw, drainer: ro
    uint64_t opened_ = 0;                             // the worker's alone
    alignas(64) std::atomic<uint64_t> taken_{0};      // drainer: rw, worker: ro
};

// One worker's end of a capture.
class CaptureTap {
public:
    static constexpr size_t kRing = 2048;  // records: 4 MiB

    // `rate`: packets a second that are copied at most, a tenth of it at once.
    CaptureTap(std::shared_ptr<const CaptureFilter> filter, uint32_t rate, size_t ring = kRing)
        : ring_(ring), filter_(std::move(filter)), cost_(kSecond / rate), most_(cost_ * std::max(1u, rate / 10)) {}

    // The worker.
    void begin(uint64_t now) noexcept {  // a burst
        credit_ = now_ == 0 ? most_ : std::min(most_, credit_ + (now - now_));
        now_ = now;
    }
    void arriving_by(uint16_t port) noexcept { port_ = port; }
    bool wants(CaptureFilter::What what) const noexcept { return filter_->what == what; }
    bool wants_anyone() const noexcept { return filter_->anyone; }
    const CaptureFilter::Entry* find(const void* state) const noexcept { return filter_->find(state); }
    // A record to fill, or null: the rate is used up, the ring is full, or the capture has enough.
    CaptureRecord* open(uint32_t subject) noexcept {
        if (enough_.load(std::memory_order_relaxed)) return nullptr;
        if (credit_ < cost_) return missed_by_rate_.add(), nullptr;
        CaptureRecord* record = ring_.open();
        if (record == nullptr) return missed_by_ring_.add(), nullptr;
        credit_ -= cost_;
        record->time = now_;
        record->subject = subject;
        record->port = port_;
        record->drop = kDrops;
        record->leaving = false;
        record->size = 0;
        return record;
    }
    CaptureRing& ring() noexcept { return ring_; }

    // Whoever drains the ring.
    void close() noexcept { enough_.store(true, std::memory_order_relaxed); }
    uint64_t missed_by_rate() const noexcept { return missed_by_rate_.read(); }
    uint64_t missed_by_ring() const noexcept { return missed_by_ring_.read(); }

private:
    static constexpr uint64_t kSecond = uint64_t{1} << 32;  // of the workers' clock

    CaptureRing ring_;
    const std::shared_ptr<const CaptureFilter> filter_;
    const uint64_t cost_, most_;               // of a packet, of all that may come at once: in time
    uint64_t credit_ = 0, now_ = 0;            // the worker's alone
    uint16_t port_ = 0;                        // the worker's alone
    std::atomic<bool> enough_{false};          // worker: ro, drainer: wo
    Counter missed_by_rate_, missed_by_ring_;  // worker: rw, drainer and control: ro
};

// What workers see: a tap each, or none. Replaced as the table is.
struct Capture {
    uint64_t number = 0;                            // tells one from the next, which may get the same address
    std::vector<std::shared_ptr<CaptureTap>> taps;  // by worker

    CaptureTap* tap(size_t worker) const noexcept { return worker < taps.size() ? taps[worker].get() : nullptr; }
};

}  // namespace penstock::flow
