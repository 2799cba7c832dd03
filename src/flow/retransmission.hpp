#pragma once
// Retransmission of one track: its last packets, for receivers that ask for them again; and what of it we ask its
// source for. Immutable once it is in a table, but for the states: the one worker that owns the track uses them.
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/unbacked.hpp"
#include "base/wire.hpp"
#include "flow/held.hpp"
#include "flow/leg.hpp"
#include "flow/path.hpp"
#include "rtp/asking.hpp"
#include "rtp/rtx.hpp"

namespace penstock::flow {

// The last packets of a track as they left, by sequence number. No copies: the buffers that they lie in are held, as
// long as there are enough of them. What a buffer is, and how it is given back, the worker knows.
class PacketRing {
public:
    using Release = void (*)(void* buffer);
    static constexpr size_t kLargest = 2048;  // bytes of a packet: as much as a buffer takes
    struct Entry {
        void* buffer = nullptr;             // null: it lies in memory of the ring's own
        const std::byte* packet = nullptr;  // null: none yet
        uint16_t size = 0;
        uint8_t ttl = 0, tos = 0;  // as it arrived
        std::span<const std::byte> bytes() const noexcept { return {packet, size}; }
    };

    explicit PacketRing(size_t packets) : entries_(std::bit_ceil(packets)), own_(entries_.size() * kLargest) {}
    ~PacketRing() {
        for (const Entry& e : entries_)
            if (e.buffer != nullptr) release_(e.buffer);
    }
    PacketRing(const PacketRing&) = delete;
    PacketRing& operator=(const PacketRing&) = delete;

    // What gives way to it is given back.
    void keep(uint16_t sequence, const Entry& packet, Release release) noexcept {
        Entry& e = entries_[sequence & (entries_.size() - 1)];
        if (e.buffer != nullptr) [[likely]]
            release(e.buffer);
        e = packet;
        release_ = release;
    }
    // Buffers are short: copies what lies in `most` of them, the oldest first, and gives them back. How many they were.
    size_t move_out(size_t most) noexcept {
        size_t moved = 0;
        for (size_t i = 0; i < entries_.size() && moved < most; i++, next_out_++) {
            const size_t slot = next_out_ & (entries_.size() - 1);
            Entry& e = entries_[slot];
            if (e.buffer == nullptr || e.size > kLargest) continue;
            std::memcpy(own_.at(slot * kLargest), e.packet, e.size);
            e.packet = own_.at(slot * kLargest);
            release_(std::exchange(e.buffer, nullptr));
            moved++;
        }
        return moved;
    }
    const Entry* find(uint16_t sequence, uint32_t ssrc) const noexcept {
        const Entry& e = entries_[sequence & (entries_.size() - 1)];
        const bool it =
            e.packet != nullptr && wire::load16(e.packet + 2) == sequence && wire::load32(e.packet + 8) == ssrc;
        return it ? &e : nullptr;
    }

private:
    std::vector<Entry> entries_;
    Unbacked own_;  // kLargest bytes a slot
    size_t next_out_ = 0;
    Release release_ = nullptr;
};

// One who may ask, and is answered by the leg of the same place.
struct Receiver {
    Endpoint rtcp;  // where its RTCP comes from
    Feedback* feedback = nullptr;
    std::optional<rtp::RtxStream> rtx{};  // neither this nor the next: what it asks for is sent as it was
    std::optional<uint8_t> flexfec{};     // payload type in which it is sent as repair, to where repair goes
    bool numbered_anew = false;           // it knows packets by other numbers than the ring: nothing is kept for it
};

struct Retransmission {
    PacketRing* ring = nullptr;       // null: nothing is kept
    uint32_t per_second = 0;          // packets to one receiver
    std::vector<Receiver> receivers;  // by rtcp
    OwnRendition legs;                // one each

    rtp::Asking* asking = nullptr;                // null: the source is not asked
    std::vector<PathState*> sources;              // which, when it is: of two the one after the other
    std::array<std::optional<uint8_t>, 2> rtx{};  // by path: the payload type in which it answers; absent: as it was
    uint8_t payload_type = 0;                     // of the media, when there is `rtx`

    Held held;

    // Who sends RTCP from there: the one with this address and port or, where an address has but one, with the address.
    const Receiver* find(const Endpoint& from) const noexcept {
        const auto exact = std::ranges::lower_bound(receivers, from, {}, &Receiver::rtcp);
        if (exact != receivers.end() && exact->rtcp == from) return &*exact;
        const auto first = std::ranges::lower_bound(receivers, Endpoint{from.ip, 0}, {}, &Receiver::rtcp);
        if (first == receivers.end() || first->rtcp.ip != from.ip) return nullptr;
        const auto next = first + 1;
        return next != receivers.end() && next->rtcp.ip == from.ip ? nullptr : &*first;
    }
    // Which source is asked for a packet, at the first request for it and so on: of two that can be reached the other
    // one when the former did not answer.
    size_t whom(uint32_t times) const noexcept {
        const size_t whom = (times - 1) % sources.size();
        return sources[whom]->upstream.reached() ? whom : sources.size() - 1 - whom;
    }
    const Leg& leg_of(const Receiver& receiver) const noexcept {
        return legs.legs[static_cast<size_t>(&receiver - receivers.data())];
    }
};

}  // namespace penstock::flow
