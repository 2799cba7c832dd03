#include "control/rtsp/frame_ring.hpp"

#include <algorithm>
#include <cstring>

#include "base/wire.hpp"

namespace penstock::rtsp {

FrameRing::FrameRing(Limits limits)
    : limits_(limits),
      capacity_(limits.smallest),
      bytes_(std::make_unique_for_overwrite<std::byte[]>(limits.smallest)) {}

void FrameRing::append(Instant now, uint8_t channel, Frame what, std::span<const std::byte> packet) {
    what.at = end_;
    what.size = static_cast<uint32_t>(kHeader + packet.size());
    what.put = now;
    make_room(now, what.size);
    std::array<std::byte, kHeader> header{std::byte{'$'}, std::byte{channel}};
    wire::store16(&header[2], static_cast<uint16_t>(packet.size()));
    frames_.push_back(what);
    put(header);
    put(packet);
}

// Rather grows than forgets what is young or held; but not without limit.
void FrameRing::make_room(Instant now, size_t size) {
    while (end_ + size - begin() > capacity_) {
        const bool wanted = now - frames_.front().put < limits_.hold || first_ >= held_;
        if (wanted && capacity_ < limits_.largest) {
            grow();
            continue;
        }
        frames_.pop_front();
        first_++;
    }
}

void FrameRing::grow() {
    const uint64_t from = begin();
    auto larger = std::make_unique_for_overwrite<std::byte[]>(2 * capacity_);
    // Each byte is at its position modulo the capacity, before and after.
    for (uint64_t at = from; at < end_;) {
        const size_t size = std::min<size_t>(end_ - at, capacity_ - at % capacity_);  // in one piece in both
        std::memcpy(&larger[at % (2 * capacity_)], &bytes_[at % capacity_], size);
        at += size;
    }
    bytes_ = std::move(larger);
    capacity_ *= 2;
}

void FrameRing::put(std::span<const std::byte> bytes) {
    const size_t first = std::min(bytes.size(), capacity_ - end_ % capacity_);
    if (first != 0) std::memcpy(&bytes_[end_ % capacity_], bytes.data(), first);
    if (first != bytes.size()) std::memcpy(bytes_.get(), &bytes[first], bytes.size() - first);
    end_ += bytes.size();
}

std::array<iovec, 2> FrameRing::piece(uint64_t at, size_t size) const {
    const size_t first = std::min(size, capacity_ - at % capacity_);
    return {iovec{&bytes_[at % capacity_], first}, iovec{bytes_.get(), size - first}};
}

std::array<iovec, 2> FrameRing::bytes(uint64_t number, size_t most) const {
    if (number >= end()) return {};
    const uint64_t at = (*this)[number].at;
    return piece(at, std::min<size_t>(end_ - at, most));
}

std::array<iovec, 2> FrameRing::rest(uint64_t number, size_t skip) const {
    const Frame& frame = (*this)[number];
    return piece(frame.at + skip, frame.size - skip);
}

}  // namespace penstock::rtsp
