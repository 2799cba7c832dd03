// The sixth part of Worker: RTCP with receivers and with sources. Receivers' reports and requests end here; what they
// ask for again is sent again, a key frame is asked of the source once for all. The source gets our reports, and our
// requests for what did not arrive, the way that its packets come.
#include <rte_random.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "dataplane/made.hpp"
#include "dataplane/worker.hpp"
#include "rtp/rtcp/feedback.hpp"
#include "rtp/rtcp/report.hpp"
#include "rtp/rtcp/writer.hpp"

namespace penstock::dataplane {

using flow::Classified;
using flow::Drop;
using flow::Flow;
using flow::PathState;

namespace {

constexpr size_t kAskedAtOnce = 64;  // numbers in one NACK

// Canonical names need only differ (RFC 7022): ours are as random as our SSRCs.
std::array<char, 16> cname_of(uint32_t ssrc) {
    static constexpr std::string_view kDigits = "0123456789abcdef";
    std::array<char, 16> name{'p', 'e', 'n', 's', 't', 'o', 'c', 'k'};
    for (size_t i = 0; i < 8; i++) name[8 + i] = kDigits[ssrc >> (28 - 4 * i) & 15];
    return name;
}

Endpoint sender_endpoint(const rte_mbuf* m, const Classified& in) noexcept {
    const auto frame = bytes_of(m);
    return {flow::sender_of(frame, in), wire::load16(&frame[in.payload_offset - 8u])};
}

}  // namespace

// Of a receiver: receiver reports, requests, and what players send to open the way through a NAT, which need not be RTP
// at all. All of it says that the receiver is there.
void Worker::hear(rte_mbuf* m, const Classified& in, const Flow& f) noexcept {
    if (f.participants) return hear_in_group(m, in, f);
    const auto payload = bytes_of(m).subspan(in.payload_offset, in.payload_size);
    const bool rtcp = rtp::protocol_of(payload) == rtp::Protocol::rtcp;
    if (rtcp && !rtp::valid_rtcp(payload)) return drop(m, Drop::rtcp_invalid, &f);
    const bool viewer = f.feedback != nullptr;
    const Flow* const track = viewer ? table_->find(f.track, f.track_sender, f.track_port) : &f;
    const flow::Retransmission* const kept = track != nullptr ? track->retransmission.get() : nullptr;
    const flow::Receiver* const receiver =
        kept == nullptr ? nullptr : kept->find(viewer ? Endpoint{f.sender, f.sender_port} : sender_endpoint(m, in));
    flow::Feedback* const feedback = viewer ? f.feedback : receiver != nullptr ? receiver->feedback : nullptr;
    if (feedback == nullptr) return drop(m, Drop::no_flow, &f);
    feedback->packets.add();
    ledger_.feedback++;
    if (rtcp) {
        if (const auto report = rtp::first_report(payload)) {
            feedback->lost.set(static_cast<uint64_t>(std::max(report->lost, 0)));
            if (track != nullptr)
                if (const auto away = track->path->upstream.reporter.round_trip(*report, now_))
                    feedback->round_trip.set(*away);
        }
        if (track != nullptr) serve(payload, *track, receiver, *feedback);
    }
    rte_pktmbuf_free(m);
}

// What a receiver asks for. `receiver`: null where nothing is kept for it.
void Worker::serve(std::span<const std::byte> rtcp, const Flow& track, const flow::Receiver* receiver,
                   flow::Feedback& feedback) noexcept {
    const uint32_t media = track.ssrc();
    rtp::each_packet(rtcp, [&](const rtp::RtcpPacket& packet) {
        if (rtp::asks_key_frame(packet, media)) {
            feedback.key_frames.add();
            ask_key_frame(*track.path);
        }
        const auto nack = rtp::feedback(packet, rtp::RtcpType::rtpfb, rtp::kNack);
        if (!nack) return;
        rtp::each_number(*nack, [&](uint16_t sequence) {
            feedback.asked.add();
            if (receiver != nullptr) return resend(sequence, nack->media, *track.retransmission, *receiver);
            feedback.not_kept.add();
        });
    });
}

void Worker::resend(uint16_t sequence, uint32_t ssrc, const flow::Retransmission& of,
                    const flow::Receiver& receiver) noexcept {
    flow::Feedback& feedback = *receiver.feedback;
    const auto* kept = of.ring != nullptr ? of.ring->find(sequence, ssrc) : nullptr;
    if (kept == nullptr) return feedback.not_kept.add();
    if (!feedback.budget.take(now_, of.per_second)) return feedback.over_budget.add();
    const std::span leg{&of.leg_of(receiver), 1};
    flow::Classified like;
    like.ttl = kept->ttl;
    like.tos = kept->tos;
    const size_t size = kept->size + (receiver.rtx ? rtp::kRtxMore : 0);
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
        rtp::write_rtx(to, kept->bytes(), as, feedback.rtx_sequence++);
    } else {
        std::memcpy(to, kept->packet, size);
    }
    fan_out(m, in, leg, 0, {wire::sum16({to, size}), true});
}

// A packet of the track is about to leave as `packet`, which lies in `m`.
void Worker::hold(rte_mbuf* m, std::span<const std::byte> packet, const Classified& in, const Flow& f) noexcept {
    flow::PacketRing* const ring = f.retransmission->ring;
    if (ring == nullptr) return;
    rte_mbuf_refcnt_update(m, 1);
    ring->keep(wire::load16(&packet[2]), {m, packet.data(), static_cast<uint16_t>(packet.size()), in.ttl, in.tos},
               give_back);
}

// A packet of the track that is new, however it came: what is missing is asked for. `frame`: of the source, null when
// it came otherwise.
void Worker::follow_numbers(const RxQueue& from, std::span<const std::byte> packet, const Flow& f,
                            const rte_mbuf* frame, const Classified& in) noexcept {
    const flow::Retransmission& r = *f.retransmission;
    rtp::Asking* const asking = r.asking;
    if (asking == nullptr) return;
    asking->arrived(wire::load16(&packet[2]), wire::load32(&packet[8]), now_);
    if (!asking->has_due(now_)) [[likely]]
        return;
    flow::Upstream& up = r.source->upstream;
    // Until the source says by its RTCP where to, it is expected to listen on the port after that of its media.
    if (!up.talks && frame != nullptr && f.path == r.source && reachable(from, f))
        up.came(bytes_of(frame), in, from.port, 1);
    std::array<uint16_t, kAskedAtOnce> numbers;
    const size_t count = asking->due(now_, numbers);
    if (count == 0 || !up.reached()) return;
    up.nacks.add();
    tell(*r.source,
         [&](rtp::RtcpWriter& w) { w.nack(up.ssrc, r.source->reception.ssrc(), std::span{numbers}.first(count)); });
}

// Whether who sent it can be answered: not a group's sender, whom a port of ours must not answer for the group, and not
// one that came by TCP.
bool Worker::reachable(const RxQueue& from, const Flow& f) const noexcept {
    return from.port < plan_.tx.size() && !f.key.destination.is_multicast();
}

// RTCP of the source, before it goes on to the receivers.
void Worker::hear_source(const RxQueue& from, const rte_mbuf* m, const Classified& in, const Flow& f) noexcept {
    if (!reachable(from, f)) return;
    PathState& path = *f.path;
    bool reported = false;
    rtp::each_packet(bytes_of(m).subspan(in.payload_offset, in.payload_size), [&](const rtp::RtcpPacket& packet) {
        const auto info = rtp::sender_info(packet);
        if (!info || info->ssrc != path.reception.ssrc()) return;
        path.upstream.reporter.heard(info->ntp, now_);
        reported = true;
    });
    if (!reported) return;
    path.upstream.talks = true;
    path.upstream.came(bytes_of(m), in, from.port, 0);
    if (path.upstream.reporter.due(path.reception, now_, static_cast<uint32_t>(rte_rand())))
        tell(path, [](rtp::RtcpWriter&) {});
}

void Worker::ask_key_frame(PathState& path) noexcept {
    flow::Upstream& up = path.upstream;
    if (!up.reached()) return;
    if (!up.ask_key_frame(now_)) return up.key_frames_merged.add();
    up.key_frames.add();
    tell(path, [&](rtp::RtcpWriter& writer) { writer.pli(up.ssrc, path.reception.ssrc()); });
}

// To the source: our report, who we are and what else there is, as RFC 4585 section 3.1 has it.
template <class More>
void Worker::tell(PathState& path, More more) noexcept {
    flow::Upstream& up = path.upstream;
    while (up.ssrc == 0 || up.ssrc == path.reception.ssrc()) up.ssrc = static_cast<uint32_t>(rte_rand());
    std::array<std::byte, 512> room;
    rtp::RtcpWriter writer(room);
    const rtp::ReportBlock block = up.reporter.block(path.reception, now_);
    writer.receiver_report(up.ssrc, {&block, 1});
    const auto name = cname_of(up.ssrc);
    writer.cname(up.ssrc, {name.data(), name.size()});
    more(writer);
    const auto bytes = writer.written();
    up.reports.add();
    const std::span leg{&up.leg(), 1};
    const Classified in = made({}, bytes.size());
    rte_mbuf* m = nullptr;
    if (allocate(plan_.pools.packet, {&m, 1}) == 0) [[unlikely]] {
        ledger_.tx_wanted++;
        return refuse(leg, Drop::no_buffer, nullptr, in, {});
    }
    std::memcpy(extend(m, bytes.size()), bytes.data(), bytes.size());
    fan_out(m, in, leg, 0, {wire::sum16(bytes), true});
}

// The source's answer in a stream of its own (RFC 4588): what it was goes on as if it had come so, where it is missing.
void Worker::take_rtx(const RxQueue& from, rte_mbuf* m, const Classified& in, const Flow& f) noexcept {
    const rtp::RtxStream media{f.payload_type, f.ssrc()};
    std::array<std::byte, 2048> room;
    const auto packet = rtp::read_rtx(room, bytes_of(m).subspan(in.payload_offset, in.payload_size), media);
    ledger_.repair++;
    const auto misses = [&] {
        const uint16_t sequence = wire::load16(&(*packet)[2]);
        return f.retransmission->asking->misses(sequence) &&
               f.merge->recovered(sequence, wire::load32(&(*packet)[4])) &&
               !(f.has_fec && f.fec->decoder != nullptr && !f.fec->decoder->media(*packet));
    };
    if (packet && misses()) mend(from, in, f, *packet);
    rte_pktmbuf_free(m);
}

}  // namespace penstock::dataplane
