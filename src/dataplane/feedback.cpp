// The sixth part of Worker: RTCP with receivers and with sources. Receivers' reports and requests end here; a key frame
// is asked of the source once for all. The source gets our reports, and our requests for what did not arrive, the way
// that its packets come.
#include <rte_random.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "dataplane/alter.hpp"
#include "dataplane/made.hpp"
#include "dataplane/pools.hpp"
#include "dataplane/worker.hpp"
#include "rtp/rtcp/description.hpp"
#include "rtp/rtcp/feedback.hpp"
#include "rtp/rtcp/report.hpp"
#include "rtp/rtcp/shift.hpp"
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

// Of the source, as it calls itself or, if it does not, as if it were one of ours.
void name(rtp::RtcpWriter& writer, uint32_t ssrc, const PathState& path) {
    const auto unknown = cname_of(ssrc);
    const std::string_view known = path.upstream.cname();
    writer.cname(ssrc, known.empty() ? std::string_view{unknown.data(), unknown.size()} : known);
}

// Under which receivers know the media.
uint32_t media_ssrc(const Flow& track) noexcept {
    return track.watched ? track.more->continuity->ssrc().value_or(0) : track.ssrc();
}

Endpoint sender_endpoint(const rte_mbuf* m, const Classified& in) noexcept {
    const auto frame = bytes_of(m);
    return {flow::sender_of(frame, in), wire::load16(&frame[in.payload_offset - 8u])};
}

}  // namespace

// Of a receiver: receiver reports, requests, and what players send to open the way through a NAT, which need not be RTP
// at all. All of it says that the receiver is there.
void Worker::hear(const RxQueue& from, rte_mbuf* m, const Classified& in, const Flow& f) noexcept {
    const flow::Watching* const viewer = f.more->watching;
    if (viewer != nullptr && viewer->participants != nullptr) return hear_in_group(m, in, f);
    const auto payload = bytes_of(m).subspan(in.payload_offset, in.payload_size);
    const bool rtcp = rtp::protocol_of(payload) == rtp::Protocol::rtcp;
    if (rtcp && !rtp::valid_rtcp(payload)) return drop(m, Drop::rtcp_invalid, &f);
    const Flow* const track =
        viewer != nullptr ? table_->find(viewer->track, viewer->track_sender, viewer->track_port) : &f;
    const flow::Retransmission* const kept = track != nullptr ? track->more->retransmission : nullptr;
    const Endpoint who = viewer != nullptr ? Endpoint{f.sender, viewer->sender_port} : sender_endpoint(m, in);
    const flow::Receiver* const receiver = kept != nullptr ? kept->find(who) : nullptr;
    flow::Feedback* const feedback = viewer != nullptr     ? viewer->feedback
                                     : receiver != nullptr ? receiver->feedback
                                                           : nullptr;
    if (feedback == nullptr) return drop(m, Drop::no_flow, &f);
    feedback->packets.add();
    ledger_.feedback++;
    if (rtcp) {
        if (const auto report = rtp::report_on(track != nullptr ? media_ssrc(*track) : 0, payload)) {
            feedback->lost.set(static_cast<uint64_t>(std::max(report->lost, 0)));
            if (track != nullptr)
                if (const auto away = track->path->upstream.reporter.round_trip(*report, now_))
                    feedback->round_trip.set(*away);
        }
        if (track != nullptr) serve(payload, *track, receiver, *feedback);
        if (track != nullptr) answer_time(from, m, in, *track);
    }
    rte_pktmbuf_free(m);
}

// How long its packets are on their way is what one who only receives cannot know by reports: it tells its time, and is
// told how long we had it, in the name of the source. That is nothing, since we answer at once.
void Worker::answer_time(const RxQueue& from, const rte_mbuf* m, const Classified& in, const Flow& track) noexcept {
    const auto payload = bytes_of(m).subspan(in.payload_offset, in.payload_size);
    std::optional<rtp::SinceReference> told;
    rtp::each_packet(payload, [&](const rtp::RtcpPacket& packet) {
        if (const auto time = rtp::reference_time(packet))
            told = {.ssrc = wire::load32(packet.body.data()), .last = rtp::middle_of(*time), .since = 0};
    });
    if (!told || from.port >= plan_.tx.size()) return;
    const auto plan = flow::Upstream::back(bytes_of(m), in, from.port, 0);
    if (!plan) return;
    std::array<std::byte, 160> room;
    rtp::RtcpWriter writer(room);
    const uint32_t ssrc = media_ssrc(track);
    writer.receiver_report(ssrc, {});
    name(writer, ssrc, *track.path);
    writer.since_reference(ssrc, *told);
    std::array<std::byte, flow::kMaxHeader> header;
    const flow::Leg leg = make_leg(*plan, &by_ourselves_, header);
    send_one(leg, writer.written());
}

// What a receiver asks for. `receiver`: null where nothing is kept for it.
void Worker::serve(std::span<const std::byte> rtcp, const Flow& track, const flow::Receiver* receiver,
                   flow::Feedback& feedback) noexcept {
    const uint32_t media = media_ssrc(track);
    // Who gets packets once more may ask for either.
    const uint32_t again = track.more->repetition != nullptr ? flow::Repeat::ssrc_for(media) : media;
    rtp::each_packet(rtcp, [&](const rtp::RtcpPacket& packet) {
        if (rtp::asks_key_frame(packet, media) || rtp::asks_key_frame(packet, again)) {
            feedback.key_frames.add();
            ask_key_frame(track);
        }
        const auto nack = rtp::feedback(packet, rtp::RtcpType::rtpfb, rtp::kNack);
        if (!nack) return;
        rtp::each_number(*nack, [&](uint16_t sequence) {
            feedback.asked.add();
            if (receiver != nullptr)
                return resend(sequence, nack->media == again ? media : nack->media, track, *receiver);
            feedback.not_kept.add();
        });
    });
}

// A packet of the track that is new, however it came: what is missing is asked for.
void Worker::follow_numbers(std::span<const std::byte> packet, const Flow& f) noexcept {
    const flow::Retransmission& r = *f.more->retransmission;
    rtp::Asking* const asking = r.asking;
    if (asking == nullptr) return;
    asking->arrived(wire::load16(&packet[2]), wire::load32(&packet[8]), f.life(), now_);
    if (!asking->has_due(now_)) [[likely]]
        return;
    std::array<rtp::Asking::Due, kAskedAtOnce> due;
    const size_t count = asking->due(now_, due);
    for (size_t s = 0; s < r.sources.size(); s++) {
        PathState& path = *r.sources[s];
        std::array<uint16_t, kAskedAtOnce> numbers;
        size_t mine = 0;
        for (const auto& [sequence, times] : std::span{due}.first(count))
            if (r.whom(times) == s) numbers[mine++] = sequence;
        if (mine == 0 || !path.upstream.reached()) continue;
        path.upstream.nacks.add();
        tell(path, [&](rtp::RtcpWriter& w) {
            w.nack(path.upstream.ssrc, path.reception.ssrc(), std::span{numbers}.first(mine));
        });
    }
}

// By which way who sent it can be answered: by that of what came, or the connection that it came by. Not a group's
// sender, whom a port of ours must not answer for the group. `further`: its RTCP goes to so many ports above.
void Worker::note_way(const RxQueue& from, const rte_mbuf* m, const Classified& in, const Flow& f,
                      uint16_t further) noexcept {
    flow::Upstream& up = f.path->upstream;
    if (from.port >= plan_.tx.size())
        up.came_by_tcp({in.key.destination, static_cast<uint16_t>(in.key.port + further)});
    else if (!f.key.destination.is_multicast())
        up.came(bytes_of(m), in, from.port, further);
}

// RTP of a source that was not there before. Until it says by its RTCP where to, it is expected to listen on the port
// after that of its media, whatever one before it did.
void Worker::meet(const RxQueue& from, const rte_mbuf* m, const Classified& in, const Flow& f) noexcept {
    note_way(from, m, in, f, 1);
}

// RTCP of the source, before it goes on to the receivers.
void Worker::hear_source(const RxQueue& from, const rte_mbuf* m, const Classified& in, const Flow& f) noexcept {
    PathState& path = *f.path;
    flow::Upstream& up = path.upstream;
    const uint32_t ssrc = path.reception.ssrc();
    bool reported = false;
    rtp::each_packet(bytes_of(m).subspan(in.payload_offset, in.payload_size), [&](const rtp::RtcpPacket& packet) {
        if (const auto info = rtp::sender_info(packet); info && info->ssrc == ssrc) {
            up.reporter.heard(info->ntp, now_);
            reported = true;
        }
        rtp::each_since_reference(packet, [&](const rtp::SinceReference& told) {
            if (up.told_time == 0 || told.ssrc != up.ssrc || told.last != up.told_time) return;
            const uint32_t away = rtp::middle_of(now_) - told.last - told.since;
            up.round_trip.set(away >> 31 != 0 ? 0 : uint64_t{away} << 16);  // clocks that run differently: at once
        });
        rtp::each_item(packet, [&](uint32_t of, uint8_t type, std::string_view text) {
            if (of == ssrc && type == rtp::kCname) up.called(text);
        });
        rtp::each_leaving(packet, [&](uint32_t of) {
            if (of == ssrc) path.end();
        });
    });
    if (!reported) return;
    note_way(from, m, in, f, 0);
    if (up.reached() && std::exchange(up.wants_key_frame, false)) ask_key_frame(f);
}

// A sender report of a track whose packets do not all leave as they came says what left, under the SSRC under which it
// left. Its times are the source's, as those of the packets are.
void Worker::restate(rte_mbuf* m, Classified& in, const Flow& f) noexcept {
    const auto payload = bytes_of(m).subspan(in.payload_offset, in.payload_size);
    rtp::each_restated(payload, f.path->reception.ssrc(), f.ssrc(), f.more->sent->packets(), f.more->sent->octets(),
                       [&](size_t at, uint32_t word) { alter32(m, in, at, word); });
}

// A table that is new: who is told that a track ends.
void Worker::follow(const flow::Table& table) noexcept {
    seen_ = &table;
    for (const flow::FlowPtr& f : table.ending())
        if (f->owner == plan_.id) farewell(*f);
}

// RFC 3550 section 6.6. The source is told by us, the receivers in the name of the source, unless it told them.
void Worker::farewell(const Flow& media) noexcept {
    now_ = clock_now();
    const Flow f = media.of_rtcp();
    PathState& path = *f.path;
    flow::Upstream& up = path.upstream;
    if (up.reached() && up.reports.read() != 0) tell(path, [&](rtp::RtcpWriter& w) { w.bye(up.ssrc); });
    const uint32_t ssrc = f.ssrc();
    if (f.second_path || ssrc == 0 || path.ended()) return;
    if (f.leg_count == 0 && f.joining().empty() && !f.spread && !f.diverted && !f.has_fec) return;
    const uint32_t seen = f.watched ? f.more->continuity->ssrc().value_or(ssrc) : ssrc;
    if (seen == ssrc || !f.has_outputs) return take_leave(f, seen, flow::Audience::all);
    take_leave(f, ssrc, flow::Audience::outputs);
    take_leave(f, seen, flow::Audience::viewers);
}

void Worker::take_leave(const Flow& f, uint32_t ssrc, flow::Audience audience) noexcept {
    std::array<std::byte, 128> room;
    rtp::RtcpWriter writer(room);
    writer.receiver_report(ssrc, {});
    name(writer, ssrc, *f.path);
    writer.bye(ssrc);
    const auto bytes = writer.written();
    rte_mbuf* m = nullptr;
    if (allocate(plan_.pools.packet, {&m, 1}) == 0) return;
    std::memcpy(extend(m, bytes.size()), bytes.data(), bytes.size());
    moved_ = true;
    if (f.diverted && audience != flow::Audience::outputs) divert(m, bytes_of(m), f);
    Classified like;
    like.ttl = flow::Upstream::kTtl;
    if (f.has_fec && audience != flow::Audience::viewers) send_renumbered_rtcp(m, made(like, bytes.size()), f);
    if (f.more->repetition != nullptr && audience != flow::Audience::viewers) repeat_rtcp(bytes, like, f);
    deliver_rtcp(m, made(like, bytes.size()), f, {wire::sum16(bytes), true}, audience);
}

// Whether packets come or not: the sources in one piece of the table after another, all of them twice a second, are
// looked at, whether it is time to report to them. Pieces are small, since they are in no cache and packets wait
// meanwhile: a part of 400 flows a millisecond took 10 to 50 us. After a sleep or a gap of the machine some pieces at
// once, but no more than that: 128 of them took 120 us, as if the gap had been longer.
void Worker::tick() noexcept {
    constexpr uint64_t kEvery = (uint64_t{1} << 31) / flow::Table::kPieces, kMost = 16;
    const uint64_t pieces = std::min((now_ - next_tick_) / kEvery + 1, kMost);
    next_tick_ = now_ + kEvery;
    for (uint64_t n = 0; n < pieces; n++) look_at(table_->piece(piece_++ % flow::Table::kPieces));
}

void Worker::look_at(std::span<const flow::FlowPtr> flows) noexcept {
    const auto is_source = [&](const Flow& f) { return f.kind == flow::Kind::rtp && f.owner == plan_.id; };
    for (const flow::FlowPtr& f : flows) rte_prefetch0(f.get());
    for (const flow::FlowPtr& f : flows)
        if (is_source(*f)) f->path->upstream.fetch();
    for (const flow::FlowPtr& f : flows) {
        if (!is_source(*f) || !f->path->upstream.reached()) continue;
        if (f->path->upstream.reporter.due(f->path->reception, now_, static_cast<uint32_t>(rte_rand())))
            tell(*f->path, [&](rtp::RtcpWriter& writer) {
                flow::Upstream& up = f->path->upstream;
                if (writer.reference_time(up.ssrc, now_)) up.told_time = rtp::middle_of(now_);
            });
    }
}

void Worker::ask_key_frame(const Flow& f) noexcept {
    PathState& path = *f.path;
    flow::Upstream& up = path.upstream;
    if (!up.reached()) return;
    if (!up.ask_key_frame(now_)) return up.key_frames_merged.add();
    up.key_frames.add();
    tell(path, [&](rtp::RtcpWriter& writer) {
        if (f.takes_fir)
            writer.fir(up.ssrc, path.reception.ssrc(), up.commands++);
        else
            writer.pli(up.ssrc, path.reception.ssrc());
    });
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
    moved_ = true;
    if (up.by_tcp()) return reply(*up.by_tcp(), bytes);
    std::array<std::byte, flow::kMaxHeader> header;
    send_one(up.leg(by_ourselves_, header), bytes);
}

// A packet of our own making to one. The leg need not last, only its state: its header is in the packet already.
void Worker::send_one(const flow::Leg& leg, std::span<const std::byte> bytes) noexcept {
    ledger_.tx_wanted++;
    const Classified in = made({}, bytes.size());
    rte_mbuf* m = nullptr;
    if (allocate(plan_.pools.packet, {&m, 1}) == 0) [[unlikely]]
        return refuse({&leg, 1}, Drop::no_buffer, nullptr, in, {});
    std::memcpy(extend(m, bytes.size()), bytes.data(), bytes.size());
    send_in_place(m, in, leg, {wire::sum16(bytes), true});
}

}  // namespace penstock::dataplane
