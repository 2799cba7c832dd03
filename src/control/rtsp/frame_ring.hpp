#pragma once
// The last interleaved frames (RFC 2326 section 10.12) of one rendition as they go on the wire, each once for all who
// watch it. Bounded: it grows until it holds what it is asked to hold, or until its limit; the oldest frames go first.
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>

#include "base/time.hpp"

namespace penstock::rtsp {

class FrameRing {
public:
    static constexpr size_t kHeader = 4;  // '$', channel, length in two bytes
    static constexpr size_t kLongestPacket = 65535;

    struct Limits {  // bytes; powers of two, and a frame fits the smallest
        size_t smallest = size_t{128} << 10;
        size_t largest = size_t{8} << 20;
        Duration hold = std::chrono::seconds(2);  // what is younger makes it grow
    };
    struct Frame {
        uint64_t at = 0;  // of its first byte, counted from the first frame ever
        Instant put{};
        uint32_t size = 0;  // with its header
        uint32_t timestamp = 0;
        uint16_t sequence = 0;
        uint8_t lane = 0;  // whose it is: the owner's business
    };

    explicit FrameRing(Limits limits);
    FrameRing() : FrameRing(Limits{}) {}

    // Frames have numbers from 0 on. Those from first() to before end() are there.
    uint64_t first() const noexcept { return first_; }
    uint64_t end() const noexcept { return first_ + frames_.size(); }
    const Frame& operator[](uint64_t number) const { return frames_[number - first_]; }
    // Frames from this number on shall be held even if they are old.
    void hold_from(uint64_t number) noexcept { held_ = number; }

    // A packet of at most kLongestPacket bytes; `what` tells lane, sequence and timestamp.
    void append(Instant now, uint8_t channel, Frame what, std::span<const std::byte> packet);

    // The bytes of the frames from `number` on, at most `most` of them, in two pieces; the second may be empty.
    std::array<iovec, 2> bytes(uint64_t number, size_t most) const;
    // The bytes of one frame without its first `skip` ones.
    std::array<iovec, 2> rest(uint64_t number, size_t skip) const;
    size_t capacity() const noexcept { return capacity_; }

private:
    uint64_t begin() const noexcept { return frames_.empty() ? end_ : frames_.front().at; }
    std::array<iovec, 2> piece(uint64_t at, size_t size) const;
    void put(std::span<const std::byte> bytes);
    void make_room(Instant now, size_t size);
    void grow();

    Limits limits_;
    size_t capacity_;
    std::unique_ptr<std::byte[]> bytes_;
    std::deque<Frame> frames_;
    uint64_t first_ = 0;  // number of frames_.front()
    uint64_t end_ = 0;    // where the next frame's first byte will be
    uint64_t held_ = UINT64_MAX;
};

}  // namespace penstock::rtsp
