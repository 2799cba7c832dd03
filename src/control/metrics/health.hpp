#pragma once
// Whether the forwarder does its work: does every worker turn, is every port up. Pure: what is seen comes as values.
#include <cstdint>
#include <string>
#include <vector>

#include "base/time.hpp"

namespace penstock::metrics {

// One worker's turns as control sees them, look by look.
class Pulse {
public:
    // Far more than a busy worker is ever kept from its core, and an alarm within a second leaves time to say so.
    static constexpr Duration kStalledAfter = std::chrono::milliseconds(500);
    static constexpr Duration kLook = std::chrono::milliseconds(100);

    enum class News : uint8_t { none, stalled, recovered };
    News look(uint64_t turns, Instant now);
    bool stalled() const noexcept { return stalled_; }
    Duration still() const noexcept { return still_; }  // for how long it has not turned
    Duration pause() const noexcept { return pause_; }  // how long the last stall was

private:
    uint64_t turns_ = 0;
    Instant seen_{};
    Duration still_{}, pause_{};
    bool looked_ = false, stalled_ = false;
};

struct PortHealth {
    std::string port;
    std::string why_not;  // empty: it is up
};

struct Readiness {
    bool ready = true;
    std::string text;  // "ready", or a line for each reason why not
};
Readiness readiness(bool started, const std::vector<PortHealth>& ports, const std::vector<Pulse>& workers);

}  // namespace penstock::metrics
