#include "rtp/reception.hpp"

#include <utility>

namespace penstock::rtp {

// Everything but the next packet of the same source: first packet, gap, late or duplicate packet, restart, new SSRC.
void Reception::unusual(uint16_t sequence, uint32_t timestamp, uint32_t ssrc, uint32_t arrival_rtp,
                        uint32_t clock_rate) noexcept {
    if (!started() || ssrc != ssrc_) {
        if (started()) counters_.ssrc_changes.add();
        return start(sequence, ssrc, arrival_rtp - timestamp);
    }
    const auto ahead = static_cast<uint16_t>(sequence - static_cast<uint16_t>(highest_));
    const uint32_t behind = uint32_t{0x10000} - ahead;
    if (ahead != 0 && ahead < kMaxDropout) {  // in order, with a gap
        if (ahead <= kWindow) {
            counters_.missing.add(ahead - 1u);
            advance(ahead);
        } else {  // all that the window held, and what it cannot hold, is lost at once
            counters_.lost.add(counters_.missing.read() + ahead - kWindow);
            counters_.missing.set(kWindow - 1);
            highest_ += ahead;
            window_ = {};
            mark(highest_);
        }
        restart_at_ = kNever;
    } else if (ahead == 0 || behind <= kMaxMisorder) {
        const uint64_t extended = highest_ - (ahead == 0 ? 0 : behind);
        if (extended < first_) {  // reception started with a reordered packet: what lies between may still come
            counters_.reordered.add();
            counters_.missing.add(first_ - extended - 1);
            while (--first_ != extended) clear(first_);
        } else if (seen(extended)) {
            counters_.duplicate.add();
        } else {
            mark(extended);
            counters_.reordered.add();
            counters_.missing.set(counters_.missing.read() - 1);
        }
    } else if (is_late(behind, arrival_rtp - timestamp, clock_rate)) {
        counters_.duplicate.add();
        return;
    } else if (late_run_ == kLateRun ||
               sequence == restart_at_) {  // two in a row from there: the source restarted without a new SSRC
        counters_.restarts.add();
        return start(sequence, ssrc, arrival_rtp - timestamp);
    } else {
        restart_at_ = static_cast<uint16_t>(sequence + 1);
        return;  // RFC 3550 A.1: not yet believed, neither for loss nor for jitter
    }
    measure_jitter(timestamp, arrival_rtp);
}

// What lies further back than the window, and by its timestamp is not of another life of the source.
bool Reception::is_late(uint32_t behind, uint32_t transit, uint32_t clock_rate) noexcept {
    if (behind >= 0x8000 || transit - transit_ >= kLatest * uint64_t{clock_rate}) return false;
    if (std::exchange(late_behind_, highest_) != highest_) late_run_ = 0;
    return ++late_run_ < kLateRun;
}

void Reception::start(uint16_t sequence, uint32_t ssrc, uint32_t transit) noexcept {
    // Holes of the former source can no longer be filled.
    counters_.lost.add(counters_.missing.read());
    counters_.missing.set(0);
    highest_ = first_ = uint64_t{0x10000} + sequence;
    window_.fill(~uint64_t{0});  // nothing from before is missing
    before_ = counters_.packets.read() - 1;
    ssrc_ = ssrc;
    counters_.ssrc.set(ssrc);
    transit_ = transit;
    counters_.jitter.set(0);
    restart_at_ = kNever;
    late_run_ = 0;
}

}  // namespace penstock::rtp
