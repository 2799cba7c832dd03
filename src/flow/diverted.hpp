#pragma once
// What a worker hands on to the thread that writes to viewers over TCP: one packet of a track, however many viewers
// there are.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace penstock::flow {

struct Diverted {
    uint64_t feed = 0;  // Flow::feed: the track
    bool rtcp = false;
    uint64_t restarts = 0;              // of the source so far
    std::span<const std::byte> packet;  // good during the call alone
};

// Hands over what is waiting, in the order in which the workers gave it; says how many packets that were. One thread.
using TakeDiverted = std::function<size_t(const std::function<void(const Diverted&)>&)>;

}  // namespace penstock::flow
