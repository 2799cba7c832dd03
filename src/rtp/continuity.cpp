#include "rtp/continuity.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "rtp/clock.hpp"

namespace penstock::rtp {

// Everything but the next packet: the first one, a gap, a late one, a restart.
Continuity::Place Continuity::unusual(uint16_t sequence, uint32_t timestamp, uint32_t ssrc, uint64_t now,
                                      Came came) noexcept {
    if (!now_.begun()) return begin(sequence, timestamp, ssrc, now);
    const auto reach = [&](const Life& life) -> std::optional<int64_t> {
        const int64_t ahead = life.ahead(sequence);
        if (!life.begun() || life.ssrc != ssrc || ahead <= -kBehind || ahead > kAhead) return std::nullopt;
        return ahead;
    };
    const auto of_now = reach(now_), of_before = reach(before_);
    const bool nearer_before =
        of_before && (!of_now || std::abs(*of_before) < std::abs(*of_now)) && !far_off(before_, timestamp, now);
    if (of_now && !nearer_before && !another_life(*of_now, timestamp, now)) {
        if (*of_now > 0) now_.newest += static_cast<uint64_t>(*of_now);
        return {note(now_, timestamp, now), false};
    }
    if (nearer_before && *of_before <= 0) return {before_.alters ? &before_.shift : nullptr, false};  // late
    if (came == Came::mended) return {now_.alters ? &now_.shift : nullptr, false};
    if (nearer_before) {
        // What came since was a stray, or two send at the same time. Times go on as they were, numbers after the last.
        const uint16_t next = static_cast<uint16_t>(now_.sent() + 1);
        std::swap(now_, before_);
        now_.newest += static_cast<uint64_t>(*of_before);
        now_.first = now_.newest;
        now_.shift.sequence = static_cast<uint16_t>(next - sequence);
        now_.alters = now_.alters || now_.shift.sequence != 0;
        return {note(now_, timestamp, now), false};
    }
    restart(sequence, timestamp, ssrc, now);
    return {note(now_, timestamp, now), true};
}

Continuity::Place Continuity::begin(uint16_t sequence, uint32_t timestamp, uint32_t ssrc, uint64_t now) noexcept {
    if (!this->ssrc()) ssrc_.set(kKnown | ssrc);
    const uint32_t seen = *this->ssrc();
    now_ = {uint64_t{0x10000} + sequence, uint64_t{0x10000} + sequence, ssrc, seen != ssrc, {seen, 0, 0}};
    timestamp_ = timestamp;
    at_ = now;
    return {note(now_, timestamp, now), false};
}

void Continuity::restart(uint16_t sequence, uint32_t timestamp, uint32_t ssrc, uint64_t now) noexcept {
    restarts_.add();
    const uint16_t next = static_cast<uint16_t>(now_.sent() + 1);
    // Another picture has another time, however fast it comes.
    const uint32_t passed = std::max(in_rtp_units(now - at_, clock_rate_), uint32_t{1});
    before_ = now_;
    now_ = {uint64_t{0x10000} + sequence,
            uint64_t{0x10000} + sequence,
            ssrc,
            true,
            {before_.shift.ssrc, timestamp_ + passed - timestamp, static_cast<uint16_t>(next - sequence)}};
}

// Encoders there are that begin with the same SSRC and number each time. What tells them is the silence.
bool Continuity::another_life(int64_t ahead, uint32_t timestamp, uint64_t now) const noexcept {
    return ahead != 0 && now - last_ >= kSilence && (ahead < 0 || far_off(now_, timestamp, now));
}

bool Continuity::far_off(const Life& life, uint32_t timestamp, uint64_t now) const noexcept {
    const uint32_t expected = timestamp_ + in_rtp_units(now - at_, clock_rate_);
    const auto off = static_cast<int32_t>(timestamp + life.shift.timestamp - expected);
    return std::abs(int64_t{off}) > int64_t{kFarOff} * clock_rate_;
}

}  // namespace penstock::rtp
