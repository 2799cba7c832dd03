#include "control/rtsp/rendition.hpp"

#include <algorithm>
#include <utility>

#include "rtp/header.hpp"

namespace penstock::rtsp {

Rendition::Rendition(std::vector<Lane> lanes, FrameRing::Limits limits)
    : lanes_(std::move(lanes)), limits_(limits), ring_(limits), totals_(2 * lanes_.size()), restarts_(lanes_.size()) {
    for (size_t i = lanes_.size(); i-- > 0;)
        if (lanes_[i].codec != rtp::Codec::other) pictures_ = i;
}

void Rendition::put(Instant now, size_t lane, bool rtcp, std::span<const std::byte> packet, uint64_t restarts) {
    if (std::exchange(restarts_[lane], restarts) != restarts && lane == pictures_) {
        key_.reset();
        key_frames_ = {};
        ring_.hold_from(ring_.end());
    }
    FrameRing::Frame frame;
    frame.lane = row(lane, rtcp);
    const auto header = rtcp ? std::unexpected(rtp::Invalid::runt) : rtp::Header::parse(packet);
    if (header) {
        frame.sequence = header->sequence();
        frame.timestamp = header->timestamp();
    }
    const uint64_t number = ring_.end();
    totals_[frame.lane]++;
    ring_.append(now, rtcp ? lanes_[lane].rtcp : lanes_[lane].rtp, frame, packet);
    if (!header) return;
    // Of audio every packet is whole, whatever its marker says; with video beside it what counts is the picture.
    const bool video = std::ranges::any_of(lanes_, &Lane::video);
    if (!video || (lanes_[lane].video && header->marker())) boundary_ = ring_.end();
    if (lane != pictures_) return;
    const auto part = rtp::part_of(lanes_[lane].codec, packet.subspan(header->size()));
    if (const auto begin = key_frames_.see(part, number, header->timestamp())) {
        key_ = begin;
        ring_.hold_from(*begin);
    }
}

void Rendition::clear() {
    ring_ = FrameRing(limits_);
    key_frames_ = {};
    key_.reset();
    boundary_ = 0;
    totals_.assign(totals_.size(), 0);
}

uint64_t Rendition::entry(bool with_key_frame) const noexcept {
    return with_key_frame ? key_frame().value_or(ring_.end()) : ring_.end();
}

std::optional<uint64_t> Rendition::re_entry(uint64_t number) const noexcept {
    if (!pictures_) return boundary();
    if (key_ && *key_ >= std::max(number, ring_.first())) return key_;
    return std::nullopt;
}

uint64_t Rendition::before(uint64_t number, uint8_t row) const {
    uint64_t after = 0;
    for (uint64_t n = number; n < ring_.end(); n++) after += ring_[n].lane == row ? 1 : 0;
    return totals_[row] - after;
}

}  // namespace penstock::rtsp
