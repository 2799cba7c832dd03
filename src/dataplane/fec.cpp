// The fourth part of Worker: forward error correction. Media packets pass through the track's decoder and encoders on
// their way to replicate(); what they make leaves in buffers of its own, by the same legs or by the repair legs.
#include <rte_prefetch.h>

#include <array>
#include <cstring>
#include <optional>

#include "base/wire.hpp"
#include "dataplane/alter.hpp"
#include "dataplane/made.hpp"
#include "dataplane/pools.hpp"
#include "dataplane/worker.hpp"
#include "rtp/rtcp/report.hpp"

namespace penstock::dataplane {

using flow::Classified;
using flow::Drop;
using flow::Flow;
using flow::Rendition;
using flow::Sent;

namespace {

using Repairs = std::array<std::optional<rtp::fec::Repair>, flow::Fec::kMaxRenditions>;

void protect(const flow::Fec& fec, std::span<const std::byte> packet, Repairs& repairs) noexcept {
    for (size_t i = 0; i < fec.repairs.size(); i++) repairs[i] = fec.repairs[i].encoder->protect(packet);
}

// The sums of so many encoders stay in the cache of a core: with 10 x 10, each has twenty open at once.
constexpr size_t kNear = 24;

}  // namespace

// The way to the sums has five steps, each of which waits for the memory of the former.
void Worker::fetch_encoders(std::span<const Flow* const> flows) const noexcept {
    if (table_->encoders() <= kNear) return;
    const auto each = [&](auto fetch) {
        for (const Flow* const f : flows)
            if (f != nullptr && f->has_fec && f->owner == plan_.id) fetch(*f->more);
    };
    each([](const Flow::Extras& more) { rte_prefetch0(&more); });
    each([](const Flow::Extras& more) { rte_prefetch0(more.fec); });
    each([](const Flow::Extras& more) { rte_prefetch0(more.fec->repairs.data()); });
    each([](const Flow::Extras& more) {
        for (const flow::RepairRenditions& r : more.fec->repairs) r.encoder->fetch_state();
    });
    each([](const Flow::Extras& more) {
        for (const flow::RepairRenditions& r : more.fec->repairs) r.encoder->fetch_places();
    });
}

void Worker::fetch_for_fec(const rte_mbuf* m, const Classified& in, const Flow& f) const noexcept {
    const auto packet = bytes_of(m).subspan(in.payload_offset, in.payload_size);
    if (f.kind != flow::Kind::rtp || f.owner != plan_.id || packet.size() < rtp::fec::kMediaHeader) return;
    rtp::fec::fetch_lines(packet.data(), packet.size());
    const flow::Fec& fec = *f.more->fec;
    if (fec.decoder != nullptr) fec.decoder->fetch(packet);
    if (table_->encoders() <= kNear) return;
    for (const flow::RepairRenditions& r : fec.repairs) r.encoder->fetch_sums(packet);
}

// A valid media packet that was counted for its path and is the first of its number by any path.
void Worker::take_with_fec(const RxQueue& from, rte_mbuf* m, const Classified& arrived, const Flow& f) noexcept {
    const flow::Fec& fec = *f.more->fec;
    Classified in = arrived;
    const auto packet = bytes_of(m).subspan(in.payload_offset, in.payload_size);
    if (fec.decoder != nullptr && !fec.decoder->media(packet)) {
        ledger_.duplicate++;
        return rte_pktmbuf_free(m);
    }
    if (fec.decoder != nullptr && fec.decoder->renumbers()) [[unlikely]]
        renumber(m, in, fec.decoder->renumbered(wire::load16(&packet[2])));
    if (f.retransmits) follow_numbers(packet, f);
    if (!f.delays || in_turn(from, m, in, f)) {
        leave(from, m, in, f);
        if (f.delays) release(f);
    }
    if (fec.decoder != nullptr) send_recovered(in, f);
}

// A packet of a track with FEC whose turn it is, as it arrived.
void Worker::leave(const RxQueue& from, rte_mbuf* m, Classified in, const Flow& f) noexcept {
    const flow::Fec& fec = *f.more->fec;
    const auto packet = bytes_of(m).subspan(in.payload_offset, in.payload_size);
    Repairs repairs;
    protect(fec, packet, repairs);
    if (f.counts) f.more->sent->count(packet);
    if (fec.renumbers) send_renumbered(fec, packet, in);
    const auto audience = f.watched ? go_on(m, in, f, rtp::Continuity::Came::by_itself) : flow::Audience::all;
    settle(m, in, f, audience);
    replicate(from, m, in, f, audience);
    send_repairs(fec, repairs, in);
}

// RTP of another type than the media's: repair that shares their port, or nothing of ours.
void Worker::take_other_type(rte_mbuf* m, const Classified& in, const Flow& f, const rtp::Header& header) noexcept {
    if (f.retransmits && f.more->retransmission->rtx[f.second_path] == header.payload_type()) return take_rtx(m, in, f);
    if (!f.has_fec || header.payload_type() != f.repair.payload_type) return drop(m, Drop::rtp_payload_type, &f);
    if (f.repair.among_media)  // it has a number of the media's: missing, it would be lost
        f.path->reception.receive(header.sequence(), header.timestamp(), header.ssrc(), in.payload_size, now_,
                                  rtp::in_rtp_units(now_, f.clock_rate), f.clock_rate);
    take_repair(m, in, f);
}

void Worker::take_repair(rte_mbuf* m, const Classified& in, const Flow& f) noexcept {
    ledger_.repair++;
    f.more->fec->decoder->repair(f.repair, bytes_of(m).subspan(in.payload_offset, in.payload_size));
    send_recovered(in, f);
    rte_pktmbuf_free(m);
}

// Each recovered packet goes where a received one goes. It was not received, so it is in tx_wanted only.
void Worker::send_recovered(const Classified& in, const Flow& f) noexcept {
    const flow::Fec& fec = *f.more->fec;
    while (const auto recovered = fec.decoder->recover()) {
        // What is of the source's life before comes too late: the merge follows another one.
        if (f.merge != nullptr && (wire::load32(&(*recovered)[8]) != f.merge->ssrc() ||
                                   !f.merge->recovered(wire::load16(&(*recovered)[2]), wire::load32(&(*recovered)[4]))))
            continue;
        const auto packet = fec.decoder->renumbers() ? fec.decoder->renumbered(*recovered) : *recovered;
        if (f.retransmits && f.more->retransmission->asking != nullptr)
            f.more->retransmission->asking->mended(wire::load16(&packet[2]));
        mend(in, f, packet);
    }
}

void Worker::mend(const Classified& like, const Flow& f, std::span<const std::byte> packet) noexcept {
    const Classified in = made(like, packet.size());
    if (f.retransmits) follow_numbers(packet, f);
    rte_mbuf* m = nullptr;
    const flow::PayloadSum sum{wire::sum16(packet), true};
    if (allocate(plan_.pools.packet, {&m, 1}) == 0) [[unlikely]]
        return f.delays ? refuse_all(f, in, flow::Audience::all) : depart(nullptr, packet, in, f, sum);
    std::memcpy(extend(m, packet.size()), packet.data(), packet.size());
    if (f.delays && !in_turn(m, in, f, sum)) return;
    depart(m, bytes_of(m), in, f, sum);
    if (f.delays) release(f);
}

// `packet` lies in `m`; null: there was no buffer for it.
void Worker::depart(rte_mbuf* m, std::span<const std::byte> packet, Classified in, const Flow& f,
                    flow::PayloadSum sum) noexcept {
    static const flow::Fec kNone;
    const flow::Fec& fec = f.has_fec ? *f.more->fec : kNone;
    Repairs repairs;
    protect(fec, packet, repairs);
    if (f.counts) f.more->sent->count(packet);
    if (fec.renumbers) send_renumbered(fec, packet, in);
    if (m == nullptr) [[unlikely]] {
        if (f.keeps && !f.watched) keep(packet, in, f, flow::Audience::all);
        refuse_all(f, in, flow::Audience::all);
    } else {
        auto audience = flow::Audience::all;
        if (f.watched) {
            audience = go_on(m, in, f, rtp::Continuity::Came::mended);
            sum = {wire::sum16(packet), true};
        }
        settle(m, in, f, audience);
        if (f.diverted && audience != flow::Audience::outputs) divert(m, packet, f);
        if (f.leg_count != 0 || f.spread) {
            deliver(m, in, f, sum, audience);
        } else {
            rte_pktmbuf_free(m);  // there is nobody to send it to, as for a received one
        }
    }
    send_repairs(fec, repairs, in);
}

void Worker::send_repairs(const flow::Fec& fec, std::span<const std::optional<rtp::fec::Repair>> repairs,
                          const Classified& in) noexcept {
    for (size_t i = 0; i < fec.repairs.size(); i++) {
        if (!repairs[i]) continue;
        if (fec.renumbers && !trains_.empty()) send_trains();  // it has a number between those of media
        if (Sent* const sent = fec.repairs[i].sent) {
            const auto head = repairs[i]->head.span();
            sent->count(wire::load32(&head[8]), head.size() - rtp::fec::kMediaHeader + repairs[i]->body.size());
        }
        send_made(fec.repairs[i].of(repairs[i]->line), repairs[i]->head.span(), repairs[i]->body, in);
    }
}

// The packet that was protected last, with the number that it has among repair packets.
void Worker::send_renumbered(const flow::Fec& fec, std::span<const std::byte> packet, const Classified& in) noexcept {
    for (const flow::RepairRenditions& repair : fec.repairs) {
        if (!repair.encoder->renumbers()) continue;
        std::array<std::byte, 4> head;
        std::memcpy(head.data(), packet.data(), 2);
        wire::store16(&head[2], repair.encoder->sequence());
        repair.sent->count(packet);
        send_made(repair.media, head, packet.subspan(head.size()), in);
    }
}

// RTCP of the source, for those who get repair among its packets: its reports count both.
void Worker::send_renumbered_rtcp(const rte_mbuf* m, const Classified& in, const Flow& f) noexcept {
    const auto came = bytes_of(m).subspan(in.payload_offset, in.payload_size);
    std::array<std::byte, kPacketRoom> room;
    for (const flow::RepairRenditions& repair : f.more->fec->repairs) {
        if (!repair.encoder->renumbers()) continue;
        std::memcpy(room.data(), came.data(), came.size());
        const auto rtcp = std::span{room}.first(came.size());
        rtp::each_packet(rtcp, [&](const rtp::RtcpPacket& packet) {
            if (const auto info = rtp::sender_info(packet); !info || info->ssrc != f.ssrc()) return;
            std::byte* const at = rtcp.data() + (packet.body.data() - rtcp.data());
            wire::store32(at + 16, repair.sent->packets());
            wire::store32(at + 20, repair.sent->octets());
        });
        send_made_rtcp(repair.media, rtcp, in);
    }
}

// A packet of our own making, in two pieces.
void Worker::send_made(const Rendition& to, std::span<const std::byte> head, std::span<const std::byte> body,
                       const Classified& in) noexcept {
    if (to.legs.empty()) return;
    rte_mbuf* m = nullptr;
    if (allocate(plan_.pools.packet, {&m, 1}) == 0) [[unlikely]] {
        ledger_.tx_wanted += to.legs.size();
        return refuse(to.legs, Drop::no_buffer, nullptr, in, {});
    }
    const size_t size = head.size() + body.size();
    std::byte* const at = extend(m, size);
    std::memcpy(at, head.data(), head.size());
    std::memcpy(at + head.size(), body.data(), body.size());
    fan_out(m, made(in, size), to.legs, to.shards[0].shareable, {wire::sum16({at, size}), true});
}

}  // namespace penstock::dataplane
