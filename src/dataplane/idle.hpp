#pragma once
// What a worker does when nothing arrives. It polls for a while, then sleeps in steps that grow to 300 us: an idle core
// costs a few percent, and a packet after silence waits well under a millisecond. A timed sleep, not a wait for an
// event, because hardly any of our drivers can raise one (af_xdp and af_packet cannot).
//
// The kernel alone measures the time, from when it was told how long: no clock that is wrong or jumps makes a sleep
// longer. But it takes an interrupt of the core's timer to end it, and emulated machines have lost one: so it is a wait
// that control can end, and does when it sees a worker stand still.
#include <linux/futex.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace penstock::dataplane {

class Idle {
public:
    static constexpr uint32_t kLongest = 300'000;  // ns

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
    // ns until `then`, of times in the workers' clock (32.32 seconds), but never longer than the longest sleep; 0: it
    // is over.
    static uint32_t until(uint64_t then, uint64_t now) noexcept {
        if (then <= now) return 0;
        const uint64_t left = std::min(then - now, uint64_t{1} << 30);  // so that the product fits
        return std::min(static_cast<uint32_t>(left * 1'000'000'000 >> 32), kLongest);
    }
    // Until it is over, or wake().
    void sleep(uint32_t ns) noexcept {
        asleep_.store(1, std::memory_order_relaxed);
        const timespec span{ns / 1'000'000'000, ns % 1'000'000'000};
        syscall(SYS_futex, &asleep_, FUTEX_WAIT_PRIVATE, 1, &span, nullptr, 0);
        asleep_.store(0, std::memory_order_relaxed);
    }
    // Control. It may come a moment too early and be lost: to be repeated.
    void wake() noexcept {
        if (asleep_.load(std::memory_order_relaxed) != 0)
            syscall(SYS_futex, &asleep_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
    }

private:
    static constexpr uint32_t kPolls = 1000;  // rounds, about 100 us
    static constexpr uint32_t kSleepsPerStep = 16;
    static constexpr uint32_t kSteps = 4;
    uint32_t quiet_ = 0;
    std::atomic<uint32_t> asleep_{0};  // a futex
};
static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t));

}  // namespace penstock::dataplane
