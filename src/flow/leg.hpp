#pragma once
// One copy to one receiver: a tx port and a header that control wrote in advance. Workers fill in what differs a
// packet.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <forward_list>
#include <memory>
#include <span>
#include <vector>

#include "flow/next_hop.hpp"
#include "flow/state.hpp"

namespace penstock::flow {

inline constexpr size_t kUsualHeader = 14 + 20 + 8;  // Ethernet, IPv4, UDP
inline constexpr size_t kLeastV6Header = 14 + 40 + 8;
inline constexpr size_t kMaxHeader = 14 + 4 + 40 + 8;  // Ethernet, 802.1Q, IPv6, UDP

// Headers that are too long to lie in their leg. They stay where they are as more are added.
using LongHeaders = std::forward_list<std::array<std::byte, kMaxHeader>>;

// One cache line: the header of an untagged IPv4 leg, the usual one, lies in it, any other is elsewhere.
struct alignas(64) Leg {
    static constexpr uint8_t kKeep = 0xff;  // for dscp

    LegState* state = nullptr;  // never null in a published table
    uint8_t tx_port = 0;        // PortInfo::index: DPDK has fewer ports than this tells (RTE_MAX_ETHPORTS)
    bool rtcp = false;          // made by rtcp_leg()
    uint16_t mtu = 0;           // bytes of IP
    uint16_t ip_sum = 0;        // IPv4: sum of the header with total length, TOS and TTL zero
    uint16_t udp_sum = 0;       // sum of pseudo-header and UDP header with both lengths zero
    uint16_t rtcp_port = 0;     // UDP, of the receiver: where RTCP goes alongside
    uint8_t header_size = 0;    // 42, 46, 62 or 66
    uint8_t l3_offset = 0;      // 14, or 18 with a VLAN tag
    uint8_t ttl = 0;            // 0: kept from the arriving packet
    uint8_t dscp = kKeep;       // kKeep: kept from the arriving packet
    std::array<std::byte, kUsualHeader> bytes{};  // the header if it has this size, else the address of it

    std::span<const std::byte> header() const noexcept {
        if (header_size == kUsualHeader) [[likely]]
            return bytes;
        const std::byte* elsewhere;
        std::memcpy(&elsewhere, bytes.data(), sizeof elsewhere);
        return {elsewhere, header_size};
    }
    bool v4() const noexcept { return header_size < kLeastV6Header; }
    size_t ip_overhead() const noexcept { return size_t{header_size} - l3_offset; }  // bytes of IP and UDP header
};
static_assert(sizeof(Leg) == 64);

struct LegPlan {
    NextHop hop;
    Mac from;                // of the tx port
    uint16_t from_port = 0;  // UDP
    Endpoint to;
    uint16_t rtcp_port = 0;  // UDP, of the receiver
    uint8_t ttl = 0;
    uint8_t dscp = Leg::kKeep;
    uint16_t vlan = 0;
};
Leg make_leg(const LegPlan& plan, LegState* state, LongHeaders& longer);  // which must live as long as the leg
// The same without an allocation: a header that is too long for the leg is written to `longer`.
Leg make_leg(const LegPlan& plan, LegState* state, std::array<std::byte, kMaxHeader>& longer) noexcept;
// The leg by which RTCP goes to the receiver of a leg of RTP: from the port after its own, unless both go to one port.
// Made for each packet, which are few: kept, they would be as many as those of RTP. As long as `leg` and `room`.
Leg rtcp_leg(const Leg& leg, std::array<std::byte, kMaxHeader>& room) noexcept;
// Such legs for all of these, some at a time: `use` is called with each of the spans.
template <class Use>
void each_rtcp_leg(std::span<const Leg> legs, Use use) noexcept {
    constexpr size_t kAtOnce = 32;
    std::array<Leg, kAtOnce> made;
    std::array<std::array<std::byte, kMaxHeader>, kAtOnce> rooms;
    for (size_t done = 0; done < legs.size(); done += kAtOnce) {
        const auto some = legs.subspan(done, std::min(legs.size() - done, kAtOnce));
        for (size_t i = 0; i < some.size(); i++) made[i] = rtcp_leg(some[i], rooms[i]);
        use(std::span<const Leg>(made).first(some.size()));
    }
}

// The legs that one worker serves: first those whose port can send a shared payload, then those that need a copy.
struct Shard {
    uint16_t worker = 0;
    uint32_t first = 0;  // in Rendition::legs
    uint32_t count = 0;
    uint32_t shareable = 0;  // how many of the first kind
    // Of viewers, whose copies may have other numbers than the outputs' (rtp::Continuity): the last of all kinds, of
    // the first kind.
    uint32_t viewers = 0, shareable_viewers = 0;
};

// Whom a packet is for.
enum class Audience : uint8_t { all, outputs, viewers };

struct Legs {
    std::span<const Leg> shareable, others;
    size_t size() const noexcept { return shareable.size() + others.size(); }
};

// One wire form of a track and all who receive it.
struct Rendition {
    std::span<const Leg> legs;    // shard by shard
    std::vector<Shard> shards;    // the first is that of the track's owner and may be empty, the others are not
    bool needs_checksum = false;  // an IPv6 leg: a UDP checksum is not optional (RFC 8200 section 8.1)

    std::span<const Shard> others() const noexcept { return std::span(shards).subspan(1); }
    std::span<const Leg> legs_of(const Shard& shard) const noexcept {
        return std::span(legs).subspan(shard.first, shard.count);
    }
    Legs legs_of(const Shard& shard, Audience audience) const noexcept {
        const auto all = legs_of(shard);
        const auto part = [&](std::span<const Leg> kind, uint32_t viewers) {
            const size_t outputs = kind.size() - viewers;
            return audience == Audience::all       ? kind
                   : audience == Audience::outputs ? kind.first(outputs)
                                                   : kind.subspan(outputs);
        };
        return {part(all.first(shard.shareable), shard.shareable_viewers),
                part(all.subspan(shard.shareable), shard.viewers - shard.shareable_viewers)};
    }
};

// One that has its legs with it.
class OwnRendition : public Rendition {
public:
    OwnRendition() = default;
    OwnRendition(OwnRendition&&) noexcept = default;  // the legs stay where they are
    OwnRendition& operator=(OwnRendition&&) noexcept = default;

    void reserve(size_t count) { legs_.reserve(count); }
    void add(const LegPlan& plan, LegState* state) {
        legs_.push_back(make_leg(plan, state, long_headers_));
        legs = legs_;
        needs_checksum |= !plan.to.ip.is_v4();
    }
    LongHeaders take_long_headers() noexcept { return std::move(long_headers_); }  // what legs refer to

private:
    std::vector<Leg> legs_;
    LongHeaders long_headers_;
};

}  // namespace penstock::flow
