#pragma once
// The source of one path, as far as RTCP goes: the way back to it, what it said last, and what it was told. Written by
// the one worker that owns the track; the counters are read by control.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "base/counter.hpp"
#include "flow/classify.hpp"
#include "flow/leg.hpp"
#include "flow/state.hpp"
#include "rtp/rtcp/reporter.hpp"

namespace penstock::flow {

// Answers go back the way that packets came: from the address and port that they were sent to, to where they come from.
class Upstream {
public:
    static constexpr uint8_t kTtl = 64;

    // `frame` came from the source by this port, and was classified. `further`: to so many ports above the sender's.
    void came(std::span<const std::byte> frame, const Classified& in, uint16_t port, uint16_t further) noexcept {
        const size_t size = in.payload_offset;
        if (size > kMaxHeader) return;  // IP with options, or extension headers
        std::memcpy(way_.hop.mac.bytes.data(), &frame[6], 6);
        std::memcpy(way_.from.bytes.data(), frame.data(), 6);
        way_.hop.source = in.key.destination;
        way_.hop.port = port;
        way_.hop.mtu = kMtu;
        way_.from_port = static_cast<uint16_t>(in.key.port + further);
        way_.to.ip = sender_of(frame, in);
        way_.to.port = static_cast<uint16_t>(wire::load16(&frame[in.payload_offset - 8u]) + further);
        way_.ttl = kTtl;
        way_.vlan = in.key.vlan;
    }
    bool reached() const noexcept { return way_.to.port != 0; }  // whether the way is known
    // Made for each packet, which are few: kept, it would be larger than all else here. As long as `state` and `room`.
    Leg leg(LegState& state, std::array<std::byte, kMaxHeader>& room) const noexcept {
        return make_leg(way_, &state, room);
    }

    // A receiver wants a key frame. Whether to ask for it: those who want one at the same time get the same.
    bool ask_key_frame(uint64_t now) noexcept {
        if (key_frame_at_ != 0 && now - key_frame_at_ < kKeyFrameEvery) return false;
        key_frame_at_ = now;
        return true;
    }

    // Who the source says that it is; empty: it does not.
    void called(std::string_view cname) noexcept {
        name_size_ = static_cast<uint8_t>(std::min(cname.size(), name_.size()));
        std::memcpy(name_.data(), cname.data(), name_size_);
    }
    std::string_view cname() const noexcept { return {name_.data(), name_size_}; }

    rtp::Reporter reporter;
    uint32_t ssrc = 0;             // ours; 0: not chosen yet
    bool wants_key_frame = false;  // as soon as it is known where to ask
    bool talks = false;            // the source sends RTCP: then the way is where that comes from
    Counter reports;               // that we sent
    Counter nacks;
    Counter key_frames;         // PLI that we sent
    Counter key_frames_merged;  // and requests of receivers that one before them served

private:
    static constexpr uint16_t kMtu = 1500;
    static constexpr uint64_t kKeyFrameEvery = uint64_t{1} << 31;  // half a second
    uint64_t key_frame_at_ = 0;
    LegPlan way_;
    uint8_t name_size_ = 0;
    std::array<char, 64> name_{};
};

}  // namespace penstock::flow
