#pragma once
// 64-bit numbers for the packets of one source, so that nothing behind it has to think of wrap-around. The low 16 bits
// of a number are the sequence number; numbers begin a whole cycle above zero, so that looking back never goes below.
#include <cstdint>
#include <optional>

namespace penstock::rtp {

class Numbering {
public:
    explicit Numbering(uint32_t behind) : behind_(behind) {}  // less than 32768: what a packet may lag

    // The packet's number; none for a stray: of another SSRC, or out of reach. Two strays in a row are a source that
    // restarted, as RFC 3550 appendix A.1 has it: the second begins anew, and `restarted` tells so.
    struct Place {
        uint64_t number;
        bool restarted;
    };
    std::optional<Place> place(uint16_t sequence, uint32_t ssrc) noexcept {
        if (!started()) return restart(sequence, ssrc);
        if (ssrc == ssrc_) [[likely]] {
            const uint64_t number = nearest(sequence);
            if (number <= newest_ + kMaxDropout && number + behind_ > newest_) return Place{number, false};
        }
        if (has_stray_ && sequence == static_cast<uint16_t>(stray_ + 1) && ssrc == stray_ssrc_)
            return restart(sequence, ssrc);
        stray_ = sequence;
        stray_ssrc_ = ssrc;
        has_stray_ = true;
        return {};
    }
    // It is the packet behind the newest, as nearly all are: what place() would say without looking further.
    bool follows(uint16_t sequence, uint32_t ssrc) const noexcept {
        return sequence == static_cast<uint16_t>(newest_ + 1) && ssrc == ssrc_ && started();
    }
    // The number nearest to the newest that has these low bits.
    uint64_t nearest(uint16_t sequence) const noexcept {
        const auto ahead = static_cast<int16_t>(static_cast<uint16_t>(sequence - static_cast<uint16_t>(newest_)));
        return newest_ + static_cast<uint64_t>(int64_t{ahead});
    }
    std::optional<Place> restart(uint16_t sequence, uint32_t ssrc) noexcept {
        newest_ = uint64_t{0x10000} + sequence;
        ssrc_ = ssrc;
        has_stray_ = false;
        return Place{newest_, true};
    }
    void advance(uint64_t to) noexcept { newest_ = to; }

    bool started() const noexcept { return newest_ != 0; }
    uint64_t newest() const noexcept { return newest_; }
    uint32_t ssrc() const noexcept { return ssrc_; }

private:
    static constexpr uint32_t kMaxDropout = 3000;  // RFC 3550 appendix A.1

    uint64_t newest_ = 0;  // 0: no packet yet
    uint32_t behind_;
    uint32_t ssrc_ = 0;
    uint32_t stray_ssrc_ = 0;
    uint16_t stray_ = 0;
    bool has_stray_ = false;
};

}  // namespace penstock::rtp
