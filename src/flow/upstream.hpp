#pragma once
// The source of one path, as far as RTCP goes: the way back to it, what it said last, and what it was told. Written by
// the one worker that owns the track; the counters are read by control.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
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

    // What turns the header of a frame round, that came by this port and was classified. `further`: to so many ports
    // above the sender's. None: IP with options, or extension headers.
    static std::optional<LegPlan> back(std::span<const std::byte> frame, const Classified& in, uint16_t port,
                                       uint16_t further) noexcept {
        if (in.payload_offset > kMaxHeader) return std::nullopt;
        LegPlan plan;
        std::memcpy(plan.hop.mac.bytes.data(), &frame[6], 6);
        std::memcpy(plan.from.bytes.data(), frame.data(), 6);
        plan.hop.source = in.key.destination;
        plan.hop.port = port;
        plan.hop.mtu = kMtu;
        plan.from_port = static_cast<uint16_t>(in.key.port + further);
        plan.to.ip = sender_of(frame, in);
        plan.to.port = static_cast<uint16_t>(wire::load16(&frame[in.payload_offset - 8u]) + further);
        plan.ttl = kTtl;
        plan.vlan = in.key.vlan;
        return plan;
    }
    // `frame` came from the source.
    void came(std::span<const std::byte> frame, const Classified& in, uint16_t port, uint16_t further) noexcept {
        const auto plan = back(frame, in, port, further);
        if (!plan) return;
        way_ = *plan;
        by_tcp_ = false;
    }
    // Its media comes by TCP, and its RTCP as if to this address: control knows the connection by that.
    void came_by_tcp(const Endpoint& rtcp) noexcept {
        way_.to = rtcp;
        by_tcp_ = true;
    }
    bool reached() const noexcept { return way_.to.port != 0; }                       // whether the way is known
    void fetch() const noexcept { __builtin_prefetch(&way_.to); }                     // for that
    const Endpoint* by_tcp() const noexcept { return by_tcp_ ? &way_.to : nullptr; }  // then there is no leg
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
    uint8_t commands = 0;          // FIR that we sent, modulo 256: each has a number
    uint32_t told_time = 0;        // middle of the time of ours that it was told last; 0: none yet

private:
    static constexpr uint16_t kMtu = 1500;
    static constexpr uint64_t kKeyFrameEvery = uint64_t{1} << 31;  // half a second
    LegPlan way_;
    bool by_tcp_ = false;
    uint8_t name_size_ = 0;
    std::array<char, 64> name_{};
    uint64_t key_frame_at_ = 0;

public:
    Counter reports;  // that we sent
    Counter nacks;
    Counter round_trip;         // gauge: seconds as 32.32 fixed point, by its last answer; 0: not known
    Counter key_frames;         // PLI or FIR that we sent
    Counter key_frames_merged;  // and requests of receivers that one before them served
};

}  // namespace penstock::flow
