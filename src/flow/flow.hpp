#pragma once
// One arriving flow and what becomes of it: immutable once it is in a table.
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "flow/by_ssrc.hpp"
#include "flow/fec.hpp"
#include "flow/key.hpp"
#include "flow/late.hpp"
#include "flow/latency.hpp"
#include "flow/leg.hpp"
#include "flow/participants.hpp"
#include "flow/path.hpp"
#include "flow/reorder.hpp"
#include "flow/repeat.hpp"
#include "flow/retransmission.hpp"
#include "flow/state.hpp"
#include "rtp/continuity.hpp"

namespace penstock::flow {

// rtcp: in no table, see Flow::of_rtcp(). feedback: of receivers; it ends here. repair: FEC, for the track's decoder.
// by_ssrc: stands for the two flows of sources that share an address.
enum class Kind : uint8_t { rtp, rtcp, feedback, repair, by_ssrc };

// What receivers send back by a protocol that watches, on a flow of Kind::feedback of their own.
struct Watching {
    Feedback* feedback = nullptr;                // where it is counted
    const Participants* participants = nullptr;  // of a group: who is heard there
    // What finds the track, which may change meanwhile.
    Key track;
    Ip track_sender;
    uint16_t track_port = 0xffff;
    uint16_t sender_port = 0;  // of a viewer that is alone: from which it is expected
};

// Who holds a flow holds what it points at: one piece for all flows of a track.
struct alignas(64) Flow {
    static constexpr uint16_t kAnyPort = 0xffff;
    static constexpr uint8_t kAnyPayloadType = 0xff;

    struct Extras {                             // what few have, all flows of a track the same but for `watching`
        FirstPacket* first = nullptr;           // rtp: legs came with this flow that want to know
        Sent* sent = nullptr;                   // null: all leaves as it came, sender reports too
        rtp::Continuity* continuity = nullptr;  // what viewers see; null: nobody has watched yet
        const Fec* fec = nullptr;
        const Late* late = nullptr;              // kept for those who come late
        const Repetition* repetition = nullptr;  // packets are sent once more, later
        const Retransmission* retransmission = nullptr;
        const Delay* delay = nullptr;
        const BySsrc* by_ssrc = nullptr;     // null: its address tells whose a packet is
        const Watching* watching = nullptr;  // feedback; null: it is of one of the receivers in `retransmission`
        uint64_t feed = 0;                   // what the sender thread knows the track by; 0: by nothing

        bool operator==(const Extras&) const = default;
    };

    Key key;
    uint32_t clock_rate = 90000;  // Hz of the RTP timestamp
    uint16_t rx_port = kAnyPort;  // PortInfo::index
    uint16_t owner = 0;           // the worker that owns the track's state
    Kind kind = Kind::rtp;
    uint8_t payload_type = kAnyPayloadType;
    bool has_sender : 1 = false;
    bool spread : 1 = false;          // other workers serve some of the legs: Rendition::others()
    bool needs_checksum : 1 = false;  // Rendition::needs_checksum
    bool notes_first : 1 = false;     // rtp: Extras::first is not null
    bool has_fec : 1 = false;         // Extras::fec is not null
    bool keeps : 1 = false;           // Extras::late or repetition is not null: packets are kept as they leave
    bool retransmits : 1 = false;     // rtp: packets are kept in their buffers, or asked for
    bool tells_sender : 1 = false;    // control wants to know PathState::first_sender
    bool diverted : 1 = false;        // somebody watches over TCP: the sender thread gets every packet as it comes
    bool two_paths : 1 = false;       // live-live
    bool second_path : 1 = false;     // of the two that merge joins
    bool constant_rate : 1 = false;   // its media delivery index is measured
    bool delays : 1 = false;          // Extras::delay is not null: packets leave in order
    bool counts : 1 = false;          // Extras::sent is not null
    bool watched : 1 = false;         // Extras::continuity is not null
    bool has_outputs : 1 = false;     // who may get other packets than viewers
    const Leg* legs = nullptr;        // the owner's
    uint32_t leg_count = 0;
    uint32_t shareable = 0;
    PathState* path = nullptr;
    MergeState* merge = nullptr;  // null: the track has one path, and is not asked for packets again

    const Rendition* rendition = nullptr;  // of the legs
    const Extras* more = &kNone;
    SampledLatency* latency = nullptr;  // of the track; null: nobody wants it measured
    Ip sender;                          // when has_sender: only packets from here are the flow's
    // Repair that comes on this key: to a port of its own (Kind::repair), or by its payload type among the media.
    rtp::fec::Carriage repair{.payload_type = kAnyPayloadType};
    bool takes_fir = false;  // for a key frame the source takes FIR, not PLI

    static const Extras kNone;

    bool matches(const Key& k, const Ip& from, uint16_t port) const noexcept {
        return key == k && (!has_sender || sender == from) && (rx_port == kAnyPort || rx_port == port);
    }
    // What RTCP that comes with it, on the next port or on the same (RFC 5761), goes by: the same legs, and to those
    // who are catching up. Made for each packet: kept, it would be as much as is kept of RTP.
    Flow of_rtcp() const noexcept {
        Flow f = *this;
        f.kind = Kind::rtcp;
        f.has_fec = has_fec && more->fec->renumbers;
        const Late* const late = more->late;
        if (late == nullptr) return f;
        f.diverted |= late->joins.size() > late->joining.legs.size();
        f.needs_checksum |= late->joining.needs_checksum;
        return f;
    }
    std::span<const Leg> joining() const noexcept {
        return more->late != nullptr ? std::span(more->late->joining.legs) : std::span<const Leg>();
    }
    // Of what leaves: paths may have SSRCs of their own.
    uint32_t ssrc() const noexcept { return merge != nullptr ? merge->ssrc() : path->reception.ssrc(); }
    // Another number with each life of the source that is believed in; of one path, where its SSRC stays the same.
    uint64_t life() const noexcept {
        return merge != nullptr ? merge->counters().lives.read() : path->reception.counters().restarts.read() + 1;
    }
    // Of two flows with one key the narrower is found first.
    unsigned narrowness() const noexcept {
        return (has_sender ? 4u : 0u) + (rx_port != kAnyPort ? 2u : 0u) + (kind == Kind::by_ssrc ? 1u : 0u);
    }
};
static_assert(offsetof(Flow, rendition) == 64);  // one cache line holds what a usual packet needs
static_assert(sizeof(Flow) == 128);
inline constexpr Flow::Extras Flow::kNone{};

using FlowPtr = std::shared_ptr<const Flow>;

// The flows of a piece: what they lead to, all of it, lives as long as one of them is held.
using Flows = std::shared_ptr<const std::span<const Flow>>;
inline void share(const Flows& flows, std::vector<FlowPtr>& with) {
    if (!flows) return;
    for (const Flow& f : *flows) with.emplace_back(flows, &f);
}

}  // namespace penstock::flow
