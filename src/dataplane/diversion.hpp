#pragma once
// Packets on their way from the workers to the thread that writes to viewers over TCP: a reference each, however many
// viewers there are. The buffers are free again when that thread has looked, so that no rx queue ever waits for TCP.
#include <rte_ring.h>

#include <cstddef>
#include <functional>

#include "flow/diverted.hpp"

namespace penstock::dataplane {

class Diversion {
public:
    static constexpr size_t kRing = 4096;  // packets that may wait: at 100 Mbit/s, for 0.4 s

    explicit Diversion(rte_ring* ring) : ring_(ring) {}
    rte_ring* ring() const noexcept { return ring_; }  // workers put, one thread takes
    size_t take(const std::function<void(const flow::Diverted&)>& visit);

private:
    rte_ring* ring_;
};

}  // namespace penstock::dataplane
