#pragma once
// What those who watch a track see of its source: one SSRC, and numbers and times that go on, however often the source
// is restarted (RFC 3550 section 7: we are the synchronization source that a translator otherwise passes through).
// Written by the one worker that owns the track; control reads ssrc() and restarts().
//
// A source that was not restarted is left as it is: then there is nothing to alter. One that was gets the number after
// the last one, and the time that passed since. That is settled with its first packet, which a decoder needs: no second
// one is waited for, as RFC 3550 appendix A.1 would. Who was taken for it wrongly, a stray, costs nothing but a number:
// the life before is remembered, and goes on with its own times.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/counter.hpp"
#include "base/wire.hpp"

namespace penstock::rtp {

// What is added to a packet's numbers, modulo their size, and the SSRC that it gets.
struct Shift {
    uint32_t ssrc = 0;
    uint32_t timestamp = 0;
    uint16_t sequence = 0;
    bool operator==(const Shift&) const = default;
};

// `packet` is valid RTP.
inline void apply(const Shift& shift, std::span<std::byte> packet) noexcept {
    wire::store16(&packet[2], static_cast<uint16_t>(wire::load16(&packet[2]) + shift.sequence));
    wire::store32(&packet[4], wire::load32(&packet[4]) + shift.timestamp);
    wire::store32(&packet[8], shift.ssrc);
}

class Continuity {
public:
    // `told`: the SSRC that those who watch were told already.
    explicit Continuity(uint32_t clock_rate, std::optional<uint32_t> told = {}) noexcept : clock_rate_(clock_rate) {
        if (told) ssrc_.set(kKnown | *told);
    }

    enum class Came : uint8_t { by_itself, mended };  // mended: by FEC, or since it was asked for again
    struct Place {
        const Shift* shift;  // good until the next call; null: nothing is to be altered
        bool restarted;      // it is the first packet of a source that was restarted
    };
    // A packet of the source that is to be sent. Times are of the workers' clock: seconds as 32.32 fixed point.
    Place take(uint16_t sequence, uint32_t timestamp, uint32_t ssrc, uint64_t now,
               Came came = Came::by_itself) noexcept {
        if (ssrc == now_.ssrc && sequence == static_cast<uint16_t>(now_.newest + 1) && now_.begun()) [[likely]] {
            now_.newest++;
            return {note(now_, timestamp, now), false};
        }
        return unusual(sequence, timestamp, ssrc, now, came);
    }

    // For what the source says by RTCP of itself. None: nothing came from this SSRC, or it was two lives ago.
    std::optional<Shift> shift_of(uint32_t ssrc) const noexcept {
        for (const Life* life : {&now_, &before_})
            if (life->begun() && life->ssrc == ssrc) return life->shift;
        return std::nullopt;
    }
    // The packet that was sent with this number: its own, and what was done to it.
    struct Original {
        uint16_t sequence;
        uint32_t ssrc;
        Shift shift;
    };
    Original original(uint16_t sent) const noexcept {
        const auto back = static_cast<uint16_t>(now_.sent() - sent);
        const Life& life = back <= now_.newest - now_.first || !before_.begun() ? now_ : before_;
        return {static_cast<uint16_t>(sent - life.shift.sequence), life.ssrc, life.shift};
    }
    bool begun() const noexcept { return now_.begun(); }

    std::optional<uint32_t> ssrc() const noexcept {  // that is seen; none: nothing came yet
        const uint64_t known = ssrc_.read();
        if (known == 0) return std::nullopt;
        return static_cast<uint32_t>(known);
    }
    uint64_t restarts() const noexcept { return restarts_.read(); }

    // What a packet may lag, or be ahead: beyond that it is another life of the source.
    static constexpr int64_t kBehind = 8192;  // answers to NACK, at a high rate
    static constexpr int64_t kAhead = 3000;   // RFC 3550 appendix A.1
    // After a silence as long as this a number that is lower is no late packet's, and a time that is far off is new.
    static constexpr uint64_t kSilence = uint64_t{1} << 31;  // half a second
    static constexpr uint32_t kFarOff = 2;                   // seconds

private:
    static constexpr uint64_t kKnown = uint64_t{1} << 32;

    struct Life {             // of the source, from one restart to the next
        uint64_t newest = 0;  // its highest sequence number, a whole cycle above zero; 0: none
        uint64_t first = 0;
        uint32_t ssrc = 0;    // its own
        bool alters = false;  // the shift is more than nothing
        Shift shift;
        bool begun() const noexcept { return newest != 0; }
        uint16_t sent() const noexcept { return static_cast<uint16_t>(newest + shift.sequence); }
        int64_t ahead(uint16_t sequence) const noexcept {
            return static_cast<int16_t>(static_cast<uint16_t>(sequence - static_cast<uint16_t>(newest)));
        }
    };

    const Shift* note(const Life& life, uint32_t timestamp, uint64_t now) noexcept {
        last_ = now;
        const uint32_t sent = timestamp + life.shift.timestamp;
        if (static_cast<int32_t>(sent - timestamp_) > 0) {
            timestamp_ = sent;
            at_ = now;
        }
        return life.alters ? &life.shift : nullptr;
    }
    Place unusual(uint16_t sequence, uint32_t timestamp, uint32_t ssrc, uint64_t now, Came came) noexcept;
    Place begin(uint16_t sequence, uint32_t timestamp, uint32_t ssrc, uint64_t now) noexcept;
    void restart(uint16_t sequence, uint32_t timestamp, uint32_t ssrc, uint64_t now) noexcept;
    bool another_life(int64_t ahead, uint32_t timestamp, uint64_t now) const noexcept;
    bool far_off(const Life& life, uint32_t timestamp, uint64_t now) const noexcept;

    const uint32_t clock_rate_;
    uint32_t timestamp_ = 0;  // the highest that was sent
    uint64_t at_ = 0;         // when the first packet of it came
    uint64_t last_ = 0;       // when anything came
    Life now_, before_;
    Counter ssrc_;  // that is seen, and kKnown
    Counter restarts_;
};

}  // namespace penstock::rtp
