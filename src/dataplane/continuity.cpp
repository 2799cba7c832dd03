// A part of Worker: what viewers see of a source is one SSRC and one numbering, however often it is restarted. Packets
// of a source that was not restarted leave as they came, to everybody. Those of one that was are altered: in place
// where viewers are all who get them, else in a copy, since outputs get them as they came.
#include <cstring>

#include "base/wire.hpp"
#include "dataplane/alter.hpp"
#include "dataplane/made.hpp"
#include "dataplane/worker.hpp"
#include "rtp/rtcp/shift.hpp"

namespace penstock::dataplane {

using flow::Audience;
using flow::Classified;
using flow::Drop;
using flow::Flow;

// Whom `m` is for after this.
Audience Worker::go_on(rte_mbuf* m, Classified& in, const Flow& f, rtp::Continuity::Came came) noexcept {
    const auto packet = bytes_of(m).subspan(in.payload_offset, in.payload_size);
    const uint16_t sequence = wire::load16(&packet[2]);
    const uint32_t timestamp = wire::load32(&packet[4]);
    const auto place = f.more->continuity->take(sequence, timestamp, wire::load32(&packet[8]), now_, came);
    if (place.restarted) [[unlikely]]
        restarted(f);
    if (place.shift == nullptr) [[likely]]
        return Audience::all;
    const rtp::Shift& shift = *place.shift;
    if (!f.has_outputs) {
        renumber(m, in, static_cast<uint16_t>(sequence + shift.sequence));
        alter32(m, in, 4, timestamp + shift.timestamp);
        set_ssrc(m, in, shift.ssrc);
        return Audience::all;
    }
    if (rte_mbuf* const copy = copy_for_viewers(packet, in, f)) {
        rtp::apply(shift, {rte_pktmbuf_mtod(copy, std::byte*), packet.size()});
        settle(copy, made(in, packet.size()), f, Audience::viewers);
        send_to_viewers(copy, in, f);
    }
    return Audience::outputs;
}

// RTCP of the source itself.
void Worker::go_on_with_rtcp(const RxQueue& from, rte_mbuf* m, const Classified& arrived, const Flow& f) noexcept {
    const auto packet = bytes_of(m).subspan(arrived.payload_offset, arrived.payload_size);
    const auto sender = rtp::sender_of(packet);
    if (!sender || !f.more->continuity->begun()) return replicate_rtcp(from, m, arrived, f);
    // Paths may have SSRCs of their own; their media has one.
    const bool of_path = f.merge != nullptr && *sender == f.path->reception.ssrc();
    const auto shift = f.more->continuity->shift_of(of_path ? f.merge->ssrc() : *sender);
    if (!shift) {
        if (!f.has_outputs) return drop(m, Drop::rtcp_ssrc, &f);
        return replicate_rtcp(from, m, arrived, f, Audience::outputs);
    }
    if (*shift == rtp::Shift{.ssrc = *sender}) return replicate_rtcp(from, m, arrived, f);
    if (!f.has_outputs) {
        Classified in = arrived;
        rtp::each_shifted(packet, *sender, *shift, [&](size_t at, uint32_t word) { alter32(m, in, at, word); });
        return replicate_rtcp(from, m, in, f);
    }
    if (rte_mbuf* const copy = copy_for_viewers(packet, arrived, f)) {
        auto* const to = rte_pktmbuf_mtod(copy, std::byte*);
        rtp::each_shifted(packet, *sender, *shift, [&](size_t at, uint32_t word) { wire::store32(to + at, word); });
        send_to_viewers(copy, arrived, f);
    }
    replicate_rtcp(from, m, arrived, f, Audience::outputs);
}

// Decoders cannot begin in the middle of what it sends, and it may be long until it sends a key frame by itself.
void Worker::restarted(const Flow& f) noexcept {
    if (!f.more->late) return;  // no pictures
    flow::Upstream& up = f.path->upstream;
    if (up.reached()) return ask_key_frame(f);
    up.wants_key_frame = true;
}

rte_mbuf* Worker::copy_for_viewers(std::span<const std::byte> packet, const Classified& in, const Flow& f) noexcept {
    rte_mbuf* copy = nullptr;
    if (allocate(plan_.pools.packet, {&copy, 1}) == 0) [[unlikely]] {
        refuse_all(f, in, Audience::viewers);
        return nullptr;
    }
    std::memcpy(extend(copy, packet.size()), packet.data(), packet.size());
    return copy;
}

void Worker::send_to_viewers(rte_mbuf* copy, const Classified& like, const Flow& f) noexcept {
    const auto packet = bytes_of(copy);
    if (f.diverted) divert(copy, packet, f);
    const Classified in = made(like, packet.size());
    const flow::PayloadSum sum{wire::sum16(packet), true};
    if (f.kind == flow::Kind::rtcp) return deliver_rtcp(copy, in, f, sum, Audience::viewers);
    deliver(copy, in, f, sum, Audience::viewers);
}

}  // namespace penstock::dataplane
