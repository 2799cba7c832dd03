#pragma once
// One wire form of a stream over TCP: which tracks on which channels, and the ring of its frames, shared by all viewers
// who asked for the same. Knows where a viewer can begin, and where one who was too slow can go on.
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "control/rtsp/frame_ring.hpp"
#include "rtp/picture.hpp"

namespace penstock::rtsp {

struct Lane {  // a track
    uint64_t feed = 0;
    uint8_t rtp = 0, rtcp = 1;  // channels
    rtp::Codec codec = rtp::Codec::other;
    bool video = false;
    auto operator<=>(const Lane&) const = default;
};

class Rendition {
public:
    explicit Rendition(std::vector<Lane> lanes, FrameRing::Limits limits = {});

    // Frame::lane of a packet.
    static uint8_t row(size_t lane, bool rtcp) { return static_cast<uint8_t>(2 * lane + (rtcp ? 1 : 0)); }

    // `restarts`: of the track's source so far. Numbers go on, but nobody begins with pictures of the former one.
    void put(Instant now, size_t lane, bool rtcp, std::span<const std::byte> packet, uint64_t restarts = 0);
    uint64_t restarts(size_t lane) const { return restarts_[lane]; }
    // Whether a picture, or what else belongs together, is complete with the last frame.
    bool complete() const noexcept { return boundary_ == ring_.end(); }

    // Nobody watches it, and packets will be missing: it begins anew.
    void clear();

    std::optional<uint64_t> key_frame() const noexcept {  // the first frame of the newest one, if it is still there
        return key_ && *key_ >= ring_.first() ? key_ : std::nullopt;
    }
    // Where one who comes now begins: with the newest key frame if it is there, or with what comes next.
    uint64_t entry(bool with_key_frame) const noexcept;
    // Where one goes on who lost what came before `number`; nothing: with a key frame that is yet to come.
    std::optional<uint64_t> re_entry(uint64_t number) const noexcept;
    // Where what is whole begins, with a key frame or without: late in the ring, or he is overtaken again at once.
    uint64_t boundary() const noexcept { return boundary_ >= ring_.first() ? boundary_ : ring_.end(); }
    // How many frames of a row there were before this one.
    uint64_t before(uint64_t number, uint8_t row) const;

    const FrameRing& ring() const noexcept { return ring_; }
    const std::vector<Lane>& lanes() const noexcept { return lanes_; }

private:
    const std::vector<Lane> lanes_;
    const FrameRing::Limits limits_;
    FrameRing ring_;
    std::optional<size_t> pictures_;  // the lane by which key frames are found
    rtp::KeyFrames key_frames_;
    std::optional<uint64_t> key_;     // the newest
    uint64_t boundary_ = 0;           // after the last packet that completes something
    std::vector<uint64_t> totals_;    // by row
    std::vector<uint64_t> restarts_;  // by lane
};

}  // namespace penstock::rtsp
