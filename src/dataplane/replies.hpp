#pragma once
// What workers say by RTCP to sources whose media came by TCP, on its way to control, which has the connections.
#include <rte_ring.h>

#include <cstddef>
#include <functional>
#include <span>

#include "base/address.hpp"

namespace penstock::dataplane {

class Replies {
public:
    static constexpr size_t kRing = 1024;  // that may wait: control looks ten times a second

    explicit Replies(rte_ring* ring) : ring_(ring) {}
    rte_ring* ring() const noexcept { return ring_; }  // workers put, control takes
    // `at`: where the source's own RTCP goes, by which control knows it.
    void take(const std::function<void(const Endpoint& at, std::span<const std::byte> rtcp)>& visit);

private:
    rte_ring* ring_;
};

}  // namespace penstock::dataplane
