#pragma once
// Time as a value. The clock itself is read only in the I/O shells (control/io, dataplane, main).
#include <chrono>

namespace penstock {

using Clock = std::chrono::steady_clock;
using Instant = Clock::time_point;
using Duration = Clock::duration;

}  // namespace penstock
