#pragma once
// What a worker holds until the end of its turn, so that packets which came together may leave together: those of one
// rendition make a train. Nothing waits for what may still come, and none overtakes another on the way to the same
// legs.
#include <rte_mbuf.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "flow/rewrite.hpp"
#include "flow/train.hpp"

namespace penstock::dataplane {

struct Held {
    rte_mbuf* m;  // the payload alone; one reference is ours. Null: it has left
    flow::Classified in;
    flow::PayloadSum sum;
};

class Trains {
public:
    static constexpr size_t kMost = 64;  // packets of all trains

    struct One {
        std::span<const flow::Leg> legs;
        uint32_t shareable;  // as Shard has it
        flow::Train train;
        bool several;                    // these legs have more than this one
        std::span<Held* const> packets;  // these two: from arrange() on
        std::span<const iovec> payloads;
    };

    bool empty() const noexcept { return held_count_ == 0; }
    bool full() const noexcept { return held_count_ == kMost; }

    void hold(rte_mbuf* m, const flow::Classified& in, std::span<const flow::Leg> legs, uint32_t shareable,
              flow::PayloadSum sum) noexcept {
        held_[held_count_] = {m, in, sum};
        train_of_[held_count_++] = static_cast<uint8_t>(join(in, legs, shareable));
    }
    // In the order in which they were begun. Nothing more is held until clear().
    std::span<const One> arrange() noexcept {
        size_t next = 0;
        for (size_t t = 0; t < train_count_; t++) {
            const size_t first = next;
            for (size_t i = 0; i < held_count_; i++) {
                if (train_of_[i] != t) continue;
                packets_[next] = &held_[i];
                payloads_[next++] = {rte_pktmbuf_mtod(held_[i].m, void*), held_[i].in.payload_size};
            }
            trains_[t].packets = std::span{packets_}.subspan(first, next - first);
            trains_[t].payloads = std::span{payloads_}.subspan(first, next - first);
        }
        return std::span{trains_}.first(train_count_);
    }
    std::span<Held> held() noexcept { return std::span{held_}.first(held_count_); }
    void clear() noexcept { held_count_ = train_count_ = 0; }

private:
    size_t join(const flow::Classified& in, std::span<const flow::Leg> legs, uint32_t shareable) noexcept {
        bool several = false;
        for (size_t t = train_count_; t-- != 0;) {
            One& one = trains_[t];
            if (one.legs.data() != legs.data()) continue;
            // Only the last of those legs: packets of an earlier one would be overtaken.
            if (one.legs.size() == legs.size() && one.train.takes(in)) {
                one.train.add(in);
                return t;
            }
            one.several = several = true;
            break;
        }
        trains_[train_count_] = {legs, shareable, flow::Train(in), several, {}, {}};
        return train_count_++;
    }

    size_t held_count_ = 0, train_count_ = 0;
    std::array<uint8_t, kMost> train_of_;  // by position in held_
    std::array<Held, kMost> held_;
    std::array<One, kMost> trains_;
    std::array<Held*, kMost> packets_;  // train by train
    std::array<iovec, kMost> payloads_;
};

}  // namespace penstock::dataplane
