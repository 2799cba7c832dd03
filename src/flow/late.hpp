#pragma once
// Viewers that come late to a track of video: each is first given what was kept since the newest key frame, faster than
// it came, then goes on with what is live. Made by control; History and Join are written by the one worker that owns
// the track.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "flow/held.hpp"
#include "flow/leg.hpp"
#include "flow/state.hpp"
#include "rtp/history.hpp"

namespace penstock::flow {

struct LateCounters {
    Counter with_picture;     // viewers that began with a key frame
    Counter without_picture;  // that began with what was live: there was no key frame, or too long ago
    Counter overtaken;        // to whom packets were lost, which were overwritten before their turn
};

// What is kept of one track. Times are of the workers' clock: seconds as 32.32 fixed point.
class History {
public:
    // A source that was silent for longer is gone, and its last pictures show what is not so any more.
    static constexpr uint64_t kStale = uint64_t{5} << 32;

    History(rtp::Codec codec, size_t bytes) : packets_(codec, bytes) {}

    // `restarts`: of the source so far. Numbers go on, but nobody begins with pictures of the former one.
    std::optional<uint64_t> keep(std::span<const std::byte> packet, uint8_t ttl, uint8_t tos, uint64_t now,
                                 uint64_t restarts = 0) noexcept {
        if (std::exchange(restarts_, restarts) != restarts) packets_.forget_beginning();
        ttl_ = ttl;
        tos_ = tos;
        last_ = now;
        if (now - second_ >= uint64_t{1} << 32) {
            rate_ = in_second_;
            in_second_ = 0;
            second_ = now;
        }
        in_second_ += packet.size();
        return packets_.keep(packet);
    }

    std::optional<uint64_t> beginning(uint64_t now) const noexcept {
        if (now > last_ && now - last_ > kStale) return {};
        return packets_.beginning();
    }
    const rtp::History& packets() const noexcept { return packets_; }
    uint64_t rate() const noexcept { return std::max(rate_, in_second_); }  // bytes a second, about
    uint8_t ttl() const noexcept { return ttl_; }                           // of the last packet
    uint8_t tos() const noexcept { return tos_; }
    LateCounters& counters() noexcept { return counters_; }
    const LateCounters& counters() const noexcept { return counters_; }

private:
    uint64_t last_ = 0;
    uint64_t second_ = 0, in_second_ = 0, rate_ = 0;
    uint64_t restarts_ = 0;
    uint8_t ttl_ = 0, tos_ = 0;
    rtp::History packets_;
    LateCounters counters_;
};

// How far one viewer is, from PLAY on. Once it is live it stays so: control then makes its leg one like any other.
class Join {
public:
    static constexpr uint64_t kFaster = 5;           // than the track
    static constexpr uint64_t kLeastRate = 500'000;  // bytes a second, for tracks of next to nothing
    static constexpr int64_t kMostCredit = 8 * 1500;

    // A packet was just kept, as `number`, or is a stray: whether it goes to this viewer now. If not, its turn comes.
    bool takes(History& history, std::optional<uint64_t> number, uint64_t now) noexcept {
        if (!begun_) begin(history, now, number);
        if (live()) return true;
        if (!number) return true;
        if (history.packets().life() != life_) {  // the source restarted
            go_live();
            return true;
        }
        return *number < next_;  // it comes late, after its turn
    }
    // The next packet whose turn it is; none when it is too early for one, or the viewer is live.
    std::span<const std::byte> next(History& history, uint64_t now) noexcept {
        if (!begun_) begin(history, now, {});
        if (live()) return {};
        earn(history, now);
        if (credit_ <= 0) return {};
        const rtp::History& packets = history.packets();
        if (packets.life() != life_) return go_live(), std::span<const std::byte>{};
        while (next_ != packets.end()) {
            if (packets.overwritten(next_) && !skip(history)) break;
            const auto packet = packets.packet(next_++);
            if (packet.empty()) continue;  // it was lost on the way to us, or is yet to come
            credit_ -= static_cast<int64_t>(packet.size());
            if (next_ == packets.end()) go_live();
            return packet;
        }
        go_live();
        return {};
    }

    bool live() const noexcept { return live_.load(std::memory_order_relaxed); }  // anyone: it never goes back
    FirstPacket& first() noexcept { return first_; }
    const FirstPacket& first() const noexcept { return first_; }

private:
    void begin(History& history, uint64_t now, std::optional<uint64_t> arrived) noexcept {
        begun_ = true;
        paid_ = now;
        credit_ = kMostCredit;
        life_ = history.packets().life();
        const auto from = history.beginning(now);
        if (from && from != arrived) {
            next_ = *from;
            history.counters().with_picture.add();
            return;
        }
        // A key frame that begins at this moment needs nothing from before.
        (from ? history.counters().with_picture : history.counters().without_picture).add();
        go_live();
    }
    void earn(const History& history, uint64_t now) noexcept {
        if (now <= paid_) return;
        const uint64_t rate = std::max(kLeastRate, kFaster * history.rate());
        const uint64_t elapsed = std::min(now - paid_, uint64_t{1} << 32);
        const auto earned = static_cast<int64_t>(elapsed * (rate >> 4) >> 28);
        if (earned == 0) return;
        credit_ = std::min(credit_ + earned, kMostCredit);
        paid_ = now;
    }
    // The ring went round: to the newest key frame, if that is ahead; else false.
    bool skip(History& history) noexcept {
        history.counters().overtaken.add();
        const auto from = history.packets().beginning();
        if (!from || *from <= next_) return false;
        next_ = *from;
        return true;
    }
    void go_live() noexcept { live_.store(true, std::memory_order_relaxed); }

    FirstPacket first_;
    std::atomic<bool> live_{false};
    bool begun_ = false;
    uint32_t life_ = 0;
    uint64_t next_ = 0;  // number
    uint64_t paid_ = 0;  // until when credit was earned
    int64_t credit_ = 0;
};

// Of one table: immutable but for the states.
struct Late {
    History* history = nullptr;  // never null
    OwnRendition joining;        // of those who are not known to be live yet; one shard
    std::vector<Join*> joins;    // one a leg, and behind them that of the viewers over TCP, who have none
    Held held;
};

}  // namespace penstock::flow
