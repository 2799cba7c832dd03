#pragma once
// The ledger of one worker: every packet that came in and every copy that was wanted, by what became of it.
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <numeric>

#include "flow/drop.hpp"

namespace penstock::flow {

struct Ledger {
    uint64_t rx = 0;         // packets taken from rx queues and from other workers
    uint64_t forwarded = 0;  // given to at least one leg, whatever became of the copies
    // Consumed: dealt with otherwise, and not lost.
    uint64_t handed_over = 0;     // to the worker that owns the track
    uint64_t punted = 0;          // to the kernel twin
    uint64_t left_to_kernel = 0;  // not media, on a port where the kernel has its own copy
    uint64_t duplicate = 0;       // the other path of a live-live track was first, or FEC was
    uint64_t repair = 0;          // FEC, given to the decoder of its track
    uint64_t feedback = 0;        // of the receiver of a leg: it ends here
    uint64_t delayed = 0;         // put aside until its turn comes: from then on it is in tx_wanted alone

    uint64_t shared_out = 0;  // messages to other workers that serve some of a packet's legs
    uint64_t tx_wanted = 0;   // copies to make here, one a leg
    uint64_t sent = 0;        // taken by the driver, or by the ring to the worker that owns the tx queue
    std::array<uint64_t, kDrops> drops{};

    uint64_t& operator[](Drop reason) noexcept { return drops[static_cast<size_t>(reason)]; }
    uint64_t operator[](Drop reason) const noexcept { return drops[static_cast<size_t>(reason)]; }
    uint64_t consumed() const noexcept {
        return handed_over + punted + left_to_kernel + duplicate + repair + feedback + delayed;
    }
    uint64_t rx_drops() const noexcept { return sum(0, static_cast<size_t>(kFirstTxDrop)); }
    uint64_t tx_drops() const noexcept { return sum(static_cast<size_t>(kFirstTxDrop), kDrops); }
    bool balanced() const noexcept {
        return rx == forwarded + consumed() + rx_drops() && tx_wanted == sent + tx_drops();
    }
    bool operator==(const Ledger&) const = default;

private:
    uint64_t sum(size_t from, size_t to) const noexcept {
        return std::accumulate(drops.begin() + from, drops.begin() + to, uint64_t{0});
    }
};

// Where a worker shows its ledger: it writes at the end of a turn that moved something, anyone reads at any time and
// always sees the state between two turns, so the ledger balances in every reading.
class LedgerBoard {
public:
    void show(const Ledger& ledger) noexcept {  // the worker
        const auto words = std::bit_cast<Words>(ledger);
        const uint64_t version = version_.load(std::memory_order_relaxed);
        version_.store(version + 1, std::memory_order_relaxed);
        // Release on each word: no reader that sees one of them can still see the even version from before.
        for (size_t i = 0; i < words.size(); i++) words_[i].store(words[i], std::memory_order_release);
        version_.store(version + 2, std::memory_order_release);
    }
    Ledger read() const noexcept {  // anyone
        Words words;
        for (;;) {
            const uint64_t before = version_.load(std::memory_order_acquire);
            for (size_t i = 0; i < words.size(); i++) words[i] = words_[i].load(std::memory_order_acquire);
            if (before % 2 == 0 && version_.load(std::memory_order_relaxed) == before) break;
        }
        return std::bit_cast<Ledger>(words);
    }

private:
    using Words = std::array<uint64_t, sizeof(Ledger) / sizeof(uint64_t)>;

    alignas(64) std::atomic<uint64_t> version_{0};
    std::array<std::atomic<uint64_t>, sizeof(Ledger) / sizeof(uint64_t)> words_{};
};

}  // namespace penstock::flow
