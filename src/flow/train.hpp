#pragma once
// Packets that may leave a port as one, which the kernel or the NIC cuts into segments (UDP GSO): all have one header
// and one size, but the last, which may be smaller.
#include <cstdint>

#include "flow/classify.hpp"

namespace penstock::flow {

class Train {
public:
    static constexpr uint16_t kMostPackets = 64;
    static constexpr uint32_t kMostBytes = 64'000;  // of payload: an IP packet has 65,535, its headers included

    Train() = default;
    explicit Train(const Classified& first) noexcept
        : bytes_(first.payload_size), size_(first.payload_size), ttl_(first.ttl), tos_(first.tos) {}

    // Whether the packet, which goes to the same legs and came after those, may be of it.
    bool takes(const Classified& next) const noexcept {
        return !ended_ && next.payload_size <= size_ && next.payload_size != 0 && next.ttl == ttl_ &&
               next.tos == tos_ && packets_ < kMostPackets && bytes_ + next.payload_size <= kMostBytes;
    }
    void add(const Classified& next) noexcept {
        packets_++;
        bytes_ += next.payload_size;
        ended_ = next.payload_size < size_;
    }

    uint16_t packets() const noexcept { return packets_; }
    uint16_t size() const noexcept { return size_; }    // of the payload of each, but the last
    uint32_t bytes() const noexcept { return bytes_; }  // of all payloads

private:
    uint32_t bytes_ = 0;
    uint16_t packets_ = 1;
    uint16_t size_ = 0;
    uint8_t ttl_ = 0, tos_ = 0;
    bool ended_ = false;  // by a smaller one
};

}  // namespace penstock::flow
