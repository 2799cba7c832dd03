#pragma once
// What a worker does when nothing arrives. It polls for a while, then sleeps in steps that grow to 300 us: an idle core
// costs a few percent, and a packet after silence waits well under a millisecond. A timed sleep, not a wait for an
// event, because hardly any of our drivers can raise one (af_xdp and af_packet cannot).
#include <sys/prctl.h>
#include <time.h>

#include <cstdint>

namespace penstock::dataplane {

class Idle {
public:
    // Once, by the sleeping thread itself: without it the kernel adds 50 us to every sleep.
    static void prepare_thread() noexcept { prctl(PR_SET_TIMERSLACK, 1); }

    // How long to sleep after a round that moved something, or did not. 0: poll on.
    uint32_t after(bool moved) noexcept {  // ns
        if (moved) {
            quiet_ = 0;
            return 0;
        }
        if (++quiet_ <= kPolls) return 0;
        const uint32_t step = (quiet_ - kPolls) / kSleepsPerStep;
        if (step >= kSteps) {
            quiet_--;  // stay at the longest
            return kLongest;
        }
        return kLongest >> (kSteps - step);
    }
    static void sleep(uint32_t ns) noexcept {
        const timespec span{0, static_cast<long>(ns)};
        clock_nanosleep(CLOCK_MONOTONIC, 0, &span, nullptr);
    }

private:
    static constexpr uint32_t kPolls = 1000;  // rounds, about 100 us
    static constexpr uint32_t kSleepsPerStep = 16;
    static constexpr uint32_t kSteps = 4;
    static constexpr uint32_t kLongest = 300'000;  // ns
    uint32_t quiet_ = 0;
};

}  // namespace penstock::dataplane
