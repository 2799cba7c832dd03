#pragma once
// The forwarding table: an immutable snapshot of all flows, built by control, read by every worker.
//
// The index is sharded: a change copies the shard array and rebuilds the shards it touches, so one change among 100,000
// flows costs microseconds. A shard is an open-addressing array of {hash, flow}; the flow itself is only looked at when
// the whole 64-bit hash agrees. Finding is cut in steps (shard, slot, flow) so that a worker can prefetch a burst.
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "flow/flow.hpp"

namespace penstock::flow {

struct PortRange {
    uint16_t first = 0;
    uint16_t last = 0;  // inclusive
    bool contains(uint16_t port) const noexcept { return port >= first && port <= last; }
};

class Table {
public:
    struct Slot {
        uint64_t hash = 0;
        const Flow* flow = nullptr;
    };

    Table() : Table(PortRange{}, {}) {}
    Table(PortRange media, std::span<const FlowPtr> flows);
    // The next snapshot: this one without `removed` and with `added`. Flows are told apart by identity.
    std::unique_ptr<const Table> with(std::span<const FlowPtr> added, std::span<const FlowPtr> removed) const;

    void prefetch(uint64_t hash) const noexcept {
        const View& view = views_[hash >> kShift];
        __builtin_prefetch(&view.slots[hash & view.mask]);
    }
    // The first slot whose hash agrees; its flow is null when there is none.
    const Slot* candidate(uint64_t hash) const noexcept {
        const View& view = views_[hash >> kShift];
        for (uint64_t i = hash & view.mask;; i = (i + 1) & view.mask)
            if (view.slots[i].hash == hash || view.slots[i].flow == nullptr) return &view.slots[i];
    }
    // From that slot on, the flow that the packet belongs to. `sender` is called only when a flow asks for one.
    template <class Sender>
    const Flow* match(const Slot* slot, uint64_t hash, const Key& key, uint16_t rx_port,
                      Sender&& sender) const noexcept {
        const View& view = views_[hash >> kShift];
        return match(view, static_cast<uint64_t>(slot - view.slots), hash, key, rx_port, sender);
    }
    const Flow* find(const Key& key, const Ip& sender, uint16_t rx_port) const noexcept {
        const uint64_t h = hash(key);
        return match(candidate(h), h, key, rx_port, [&] { return sender; });
    }

    // Where no flow has the key: of media on the port before it, whose RTCP comes there. Such packets are few.
    template <class Sender>
    const Flow* match_rtcp(const Key& key, uint16_t rx_port, Sender&& sender) const noexcept {
        return media_before(key, [&](uint64_t h, const Key& k) { return match(candidate(h), h, k, rx_port, sender); });
    }

    // Forwarding of all flows stopped, or not: then nothing is found, and held_back() tells what would have been. So it
    // costs a packet nothing that forwarding can be stopped. Before the table is published only.
    void set_stopped(bool stopped) noexcept;
    bool stopped() const noexcept { return stopped_; }
    template <class Sender>
    const Flow* held_back(uint64_t hash, const Key& key, uint16_t rx_port, Sender&& sender) const noexcept {
        if (!stopped_) [[likely]]
            return nullptr;
        const auto at = [&](uint64_t h, const Key& k) {
            const Shard& shard = *shards_[h >> kShift];
            return match(view_of(shard), h & shard.mask(), h, k, rx_port, sender);
        };
        const Flow* const flow = at(hash, key);
        return flow != nullptr ? flow : media_before(key, at);
    }

    // One flow of each track that has packets to send beside those that arrive, to viewers that came late or once more:
    // their workers look at them every turn. None while forwarding is stopped.
    std::span<const Flow* const> served() const noexcept {
        if (stopped_) return {};
        return served_;
    }

    // One flow of each track whose packets may wait for others, stopped or not: what waits came before.
    std::span<const Flow* const> delayed() const noexcept { return delayed_; }

    // Of tracks that repair is added to, stopped or not: how many codes.
    size_t encoders() const noexcept { return encoders_; }

    // Flows of RTP of tracks that ended with this table: their receivers, and sources, are told so. Not of the next.
    std::span<const FlowPtr> ending() const noexcept { return ending_; }
    void set_ending(std::vector<FlowPtr> flows) { ending_ = std::move(flows); }  // before it is published

    // All flows, stopped or not, in so many pieces: to be looked at a piece at a time. Of 100,000 flows a piece is 7.
    static constexpr size_t kPieces = 512 * 32;
    std::span<const FlowPtr> piece(size_t number) const noexcept {
        const std::span<const FlowPtr> all = shards_[number / kPiecesOfShard]->flows;
        const size_t most = (all.size() + kPiecesOfShard - 1) / kPiecesOfShard;
        const size_t first = std::min(number % kPiecesOfShard * most, all.size());
        return all.subspan(first, std::min(most, all.size() - first));
    }

    const PortRange& media() const noexcept { return media_; }
    size_t size() const noexcept { return size_; }

private:
    static constexpr unsigned kShardBits = 9;
    static constexpr unsigned kShift = 64 - kShardBits;
    static constexpr size_t kShards = size_t{1} << kShardBits;
    static constexpr size_t kPiecesOfShard = kPieces / kShards;

    struct View {
        const Slot* slots;
        uint64_t mask;
    };
    struct Shard {
        explicit Shard(std::vector<FlowPtr> flows);
        uint64_t mask() const noexcept { return slots.size() - 1; }
        std::vector<FlowPtr> flows;
        std::vector<Slot> slots;
    };
    static View view_of(const Shard& shard) noexcept { return {shard.slots.data(), shard.mask()}; }
    template <class At>
    static const Flow* media_before(Key key, At at) noexcept {
        key.port--;
        const Flow* const flow = at(hash(key), key);
        return flow != nullptr && (flow->kind == Kind::rtp || flow->kind == Kind::by_ssrc) ? flow : nullptr;
    }
    template <class Sender>
    static const Flow* match(const View& view, uint64_t i, uint64_t hash, const Key& key, uint16_t rx_port,
                             Sender&& sender) noexcept {
        for (;; i = (i + 1) & view.mask) {
            const Flow* flow = view.slots[i].flow;
            if (flow == nullptr) return nullptr;
            if (view.slots[i].hash != hash) continue;
            if (flow->matches(key, flow->has_sender ? sender() : Ip{}, rx_port)) return flow;
        }
    }
    void set(size_t index, std::shared_ptr<const Shard> shard);
    void note_served(const Flow& flow);

    PortRange media_;
    size_t size_ = 0, encoders_ = 0;
    bool stopped_ = false;
    std::vector<const Flow*> served_, delayed_;
    std::vector<FlowPtr> ending_;
    std::array<View, kShards> views_{};
    std::array<std::shared_ptr<const Shard>, kShards> shards_;  // shared with the next snapshot
};

}  // namespace penstock::flow
