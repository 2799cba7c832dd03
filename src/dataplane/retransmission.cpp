// A part of Worker: packets that are sent again. Those of a track are held as they leave, for receivers that ask for
// them; what a source sends again in a stream of its own goes on as if it had come so.
#include <array>
#include <cstring>
#include <optional>

#include "base/wire.hpp"
#include "dataplane/made.hpp"
#include "dataplane/pools.hpp"
#include "dataplane/worker.hpp"
#include "rtp/fec/flexfec.hpp"
#include "rtp/rtx.hpp"

namespace penstock::dataplane {

using flow::Classified;
using flow::Drop;
using flow::Flow;

namespace {

// Whether buffers are short is looked at once in so many packets of a track; then so many are given back.
constexpr unsigned kLookEvery = 16;
constexpr size_t kMovedOut = 64;

}  // namespace

void Worker::resend(uint16_t sequence, uint32_t ssrc, const Flow& track, const flow::Receiver& receiver) noexcept {
    const flow::Retransmission& of = *track.more->retransmission;
    flow::Feedback& feedback = *receiver.feedback;
    // Where there are outputs the ring has what they were sent.
    std::optional<rtp::Continuity::Original> original;
    if (track.watched && track.has_outputs && track.more->continuity->ssrc() == ssrc)
        original = track.more->continuity->original(sequence);
    const auto* kept = of.ring == nullptr || receiver.numbered_anew ? nullptr
                       : original                                   ? of.ring->find(original->sequence, original->ssrc)
                                                                    : of.ring->find(sequence, ssrc);
    if (kept == nullptr) return feedback.not_kept.add();
    if (!feedback.budget.take(now_, of.per_second)) return feedback.over_budget.add();
    const std::span leg{&of.leg_of(receiver), 1};
    flow::Classified like;
    like.ttl = kept->ttl;
    like.tos = kept->tos;
    const size_t more = receiver.rtx ? rtp::kRtxMore : receiver.flexfec ? rtp::fec::kRetransmissionMore : 0;
    const size_t size = kept->size + more;
    std::array<std::byte, kPacketRoom> shifted;
    std::span<const std::byte> packet = kept->bytes();
    if (original) {  // as the receiver knows it
        std::memcpy(shifted.data(), packet.data(), packet.size());
        packet = std::span{shifted}.first(packet.size());
        rtp::apply(original->shift, std::span{shifted}.first(packet.size()));
    }
    const Classified in = made(like, size);
    rte_mbuf* m = nullptr;
    if (allocate(plan_.pools.packet, {&m, 1}) == 0) [[unlikely]] {
        ledger_.tx_wanted++;
        return refuse(leg, Drop::no_buffer, nullptr, in, {});
    }
    std::byte* const to = extend(m, size);
    if (receiver.rtx) {
        const rtp::RtxStream as{receiver.rtx->payload_type,
                                receiver.rtx->ssrc != 0 ? receiver.rtx->ssrc : rtp::rtx_ssrc_for(ssrc)};
        rtp::write_rtx(to, packet, as, feedback.rtx_sequence++);
    } else if (receiver.flexfec) {
        rtp::fec::write_retransmission(to, packet, *receiver.flexfec, feedback.rtx_sequence++);
    } else {
        std::memcpy(to, packet.data(), size);
    }
    fan_out(m, in, leg, 0, {wire::sum16({to, size}), true});
}

// A packet of the track is about to leave as `packet`, which lies in `m`.
void Worker::hold(rte_mbuf* m, std::span<const std::byte> packet, const Classified& in, const Flow& f) noexcept {
    flow::PacketRing* const ring = f.more->retransmission->ring;
    if (ring == nullptr) return;
    const uint16_t sequence = wire::load16(&packet[2]);
    rte_mbuf_refcnt_update(m, 1);
    ring->keep(sequence, {m, packet.data(), static_cast<uint16_t>(packet.size()), in.ttl, in.tos}, give_back);
    if (sequence % kLookEvery == 0 && runs_low(plan_.pools.packet)) [[unlikely]]
        ring->move_out(kMovedOut);
}

// The source's answer in a stream of its own (RFC 4588): what it was goes on as if it had come so, where it is missing.
void Worker::take_rtx(rte_mbuf* m, const Classified& in, const Flow& f) noexcept {
    const rtp::RtxStream media{f.payload_type, f.ssrc()};
    std::array<std::byte, 2048> room;
    const auto packet = rtp::read_rtx(room, bytes_of(m).subspan(in.payload_offset, in.payload_size), media);
    ledger_.repair++;
    const auto misses = [&] {
        const uint16_t sequence = wire::load16(&(*packet)[2]);
        return f.more->retransmission->asking->misses(sequence) &&
               f.merge->recovered(sequence, wire::load32(&(*packet)[4])) &&
               !(f.has_fec && f.more->fec->decoder != nullptr && !f.more->fec->decoder->media(*packet));
    };
    if (packet && misses()) mend(in, f, *packet);
    rte_pktmbuf_free(m);
}

}  // namespace penstock::dataplane
