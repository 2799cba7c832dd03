#pragma once
// The log for lines that peers cause: so many at once, so many a second. What is left out is said with the next one.
#include <algorithm>
#include <utility>

#include "base/log.hpp"
#include "base/time.hpp"

namespace penstock {

class PeerLog {
public:
    static constexpr double kAtOnce = 200, kASecond = 20;

    PeerLog(
        Log& log, Instant (*now)() = [] { return Clock::now(); })
        : log_(log), now_(now), filled_(now()) {}

    template <class... Args>
    void info(fmt::format_string<Args...> text, Args&&... args) {
        if (has_room()) log_.info(text, std::forward<Args>(args)...);
    }
    template <class... Args>
    void warning(fmt::format_string<Args...> text, Args&&... args) {
        if (has_room()) log_.warning(text, std::forward<Args>(args)...);
    }

private:
    bool has_room() {
        const Instant now = now_();
        const double passed = std::chrono::duration<double>(now - std::exchange(filled_, now)).count();
        credit_ = std::min(kAtOnce, credit_ + passed * kASecond);
        if (credit_ < 1) {
            left_out_++;
            return false;
        }
        credit_--;
        if (const uint64_t left_out = std::exchange(left_out_, 0); left_out != 0)
            log_.warning("{} lines on what peers did are left out: they come too fast", left_out);
        return true;
    }

    Log& log_;
    Instant (*now_)();
    Instant filled_;
    double credit_ = kAtOnce;
    uint64_t left_out_ = 0;
};

}  // namespace penstock
