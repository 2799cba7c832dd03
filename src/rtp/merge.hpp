#pragma once
// Live-live (SMPTE ST 2022-7, RFC 7198): of two paths that carry the same packets, whichever copy comes first is used.
// Written by the one worker that owns the track.
#include <array>
#include <cstdint>

namespace penstock::rtp {

class Merge {
public:
    // Sequence numbers remembered: what one path may lag behind the other, 8192 packets (ST 2022-7 class C, 450 ms, at
    // 18,000 packets/s).
    static constexpr uint32_t kWindow = 8192;

    // Whether this packet is the first with its number. A path that jumps beyond the window (a restarted source) is
    // followed when it goes on from there; the single stray packet is refused.
    bool first(uint16_t sequence, uint32_t ssrc) noexcept {
        if (!started_) return restart(sequence, ssrc);
        if (ssrc != ssrc_) return other_source(sequence, ssrc);
        former_run_ = 0;
        const auto ahead = static_cast<uint16_t>(sequence - highest_);
        if (ahead != 0 && ahead < 0x8000) {
            if (ahead > kMaxDropout && sequence != restart_at_) return stray(sequence);
            if (ahead > kMaxDropout) return restart(sequence, ssrc);
            for (uint16_t i = 0; i < ahead; i++) clear(++highest_);
            mark(sequence);
            return true;
        }
        if (static_cast<uint16_t>(highest_ - sequence) >= kWindow)
            return sequence == restart_at_ ? restart(sequence, ssrc) : stray(sequence);
        if (seen(sequence)) return false;
        mark(sequence);
        return true;
    }

private:
    static constexpr uint32_t kMaxDropout = 3000;  // as RFC 3550 appendix A.1
    static constexpr uint32_t kFormerRun = 128;    // packets of the former SSRC without one of the present

    bool restart(uint16_t sequence, uint32_t ssrc) noexcept {
        seen_ = {};
        highest_ = sequence;
        ssrc_ = ssrc;
        started_ = true;
        mark(sequence);
        return true;
    }
    // A new SSRC takes over at once. What still comes with the former one is the slower path lagging behind the change,
    // unless it comes alone: then the source went back.
    bool other_source(uint16_t sequence, uint32_t ssrc) noexcept {
        if (has_former_ && ssrc == former_ssrc_ && ++former_run_ < kFormerRun) return false;
        former_ssrc_ = ssrc_;
        has_former_ = true;
        former_run_ = 0;
        return restart(sequence, ssrc);
    }
    bool stray(uint16_t sequence) noexcept {
        restart_at_ = static_cast<uint16_t>(sequence + 1);
        return false;
    }
    bool seen(uint16_t s) const noexcept { return seen_[s % kWindow / 64] >> s % 64 & 1; }
    void mark(uint16_t s) noexcept { seen_[s % kWindow / 64] |= uint64_t{1} << s % 64; }
    void clear(uint16_t s) noexcept { seen_[s % kWindow / 64] &= ~(uint64_t{1} << s % 64); }

    std::array<uint64_t, kWindow / 64> seen_{};
    uint32_t ssrc_ = 0;
    uint32_t former_ssrc_ = 0;
    uint32_t former_run_ = 0;
    uint32_t restart_at_ = 0x10000;
    uint16_t highest_ = 0;
    bool started_ = false;
    bool has_former_ = false;
};

}  // namespace penstock::rtp
