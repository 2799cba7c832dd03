#include "dataplane/worker.hpp"

#include <rte_cycles.h>
#include <rte_prefetch.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <utility>

#include "base/wire.hpp"
#include "dataplane/alter.hpp"
#include "rtp/header.hpp"
#include "rtp/rtcp/bye.hpp"
#include "rtp/rtcp/packet.hpp"

namespace penstock::dataplane {

using flow::Classified;
using flow::Drop;
using flow::Flow;
using flow::Leg;

namespace {

// How many packets ahead legs are fetched, and then their states.
constexpr size_t kLegsAhead = 8, kStatesAhead = 4, kBodiesAhead = 3;

__extension__ using Wide = unsigned __int128;

Drop reason_of(rtp::Protocol protocol) noexcept {
    switch (protocol) {
        case rtp::Protocol::stun: return Drop::stun;
        case rtp::Protocol::zrtp: return Drop::zrtp;
        case rtp::Protocol::dtls: return Drop::dtls;
        case rtp::Protocol::turn_channel: return Drop::turn_channel;
        default: return Drop::not_rtp;
    }
}

Drop reason_of(rtp::Invalid invalid) noexcept {
    switch (invalid) {
        case rtp::Invalid::version: return Drop::not_rtp;
        case rtp::Invalid::runt: return Drop::rtp_runt;
        case rtp::Invalid::padding: return Drop::rtp_padding;
    }
    return Drop::not_rtp;
}

// Replicating a packet fetches the others.
std::span<const Leg> first_legs(const Flow* flow) noexcept {
    if (flow == nullptr) return {};
    return {flow->legs, std::min(flow->leg_count, kFetchedLegs)};
}

}  // namespace

Worker::Worker(Qsbr& qsbr, const Published<flow::Table>& table, const Published<flow::Capture>& capture,
               const Published<PortSet>& ports, WorkerPlan plan)
    : reader_(qsbr, plan.id), published_(table), captures_(capture), ports_(ports), plan_(std::move(plan)) {}

uint64_t clock_now() noexcept {
    static const uint64_t per_tick = ~uint64_t{0} / rte_get_tsc_hz();  // seconds, 0.64 fixed point
    return static_cast<uint64_t>(Wide{rte_rdtsc()} * per_tick >> 32);
}

void Worker::run(const std::atomic<bool>& stop) noexcept {
    if (plan_.sleep_when_idle) Idle::prepare_thread();
    while (!stop.load(std::memory_order_relaxed)) {
        const bool moved = turn();
        if (!plan_.sleep_when_idle) continue;
        uint32_t ns = idle_.after(moved);
        if (next_release_ != flow::Reorder::kNever) [[unlikely]]
            ns = std::min(ns, Idle::until(next_release_, clock_now()));
        if (ns != 0) {
            reader_.offline();
            idle_.sleep(ns);
            reader_.online();
        }
    }
    for (TxRelay& relay : plan_.relays) relay.discard();
}

bool Worker::turn() noexcept {
    table_ = &published_.read();  // one acquire load; valid until quiescent()
    if (const flow::Capture& capture = captures_.read(); capture.number != capture_) [[unlikely]]
        follow(capture);
    if (const PortSet& set = ports_.read(); set.generation != generation_) [[unlikely]]
        follow(set);
    moved_ = false;
    if (table_ != seen_) [[unlikely]]
        follow(*table_);
    turns_.add();
    latency_.begin();
    const uint64_t before = ledger_.forwarded;
    std::array<rte_mbuf*, kBurst> burst;
    for (const RxQueue& q : plan_.rx) {
        if (!q.up) [[unlikely]]
            continue;
        const uint16_t n = rte_eth_rx_burst(q.ethdev, q.queue, burst.data(), kBurst);
        if (n != 0) receive(q, std::span{burst}.first(n));
    }
    if (!plan_.inboxes.empty()) {
        const unsigned n =
            rte_ring_sc_dequeue_burst(plan_.inboxes[plan_.id], reinterpret_cast<void**>(burst.data()), kBurst, nullptr);
        for (unsigned i = 0, end = 0; i < n; i = end) {  // one run of packets that came by the same port at a time
            while (end < n && burst[end]->port == burst[i]->port) end++;
            receive(plan_.ports[burst[i]->port], std::span{burst}.subspan(i, end - i));
        }
    }
    if (plan_.ingest != nullptr) {
        const unsigned n =
            rte_ring_sc_dequeue_burst(plan_.ingest, reinterpret_cast<void**>(burst.data()), kBurst, nullptr);
        if (n != 0) receive(plan_.ports.back(), std::span{burst}.first(n));
    }
    if (!plan_.shares.empty()) serve_shares();
    if (!table_->served().empty()) [[unlikely]]
        serve_late();
    if (next_release_ != flow::Reorder::kNever) [[unlikely]]
        release_due();
    if (!moved_) now_ = clock_now();
    if (now_ >= next_tick_) [[unlikely]]
        tick();
    for (TxRelay& relay : plan_.relays) moved_ |= relay.turn(ledger_);
    if (moved_) {
        if (!trains_.empty()) send_trains();
        for (TxBuffer& tx : plan_.tx) tx.flush(ledger_);
        latency_.end(ledger_.forwarded - before, clock_now);
        board_.show(ledger_);
    }
    reader_.quiescent();
    return moved_;
}

// Ports went down or came up with other devices. The tx buffers are empty: each turn sends what it has.
void Worker::follow(const PortSet& set) noexcept {
    generation_ = set.generation;
    for (RxQueue& q : plan_.rx) {
        const PortQueues& port = set.ports[q.port];
        q.up = port.up;
        if (!q.up) continue;
        q.ethdev = port.rx[q.number].ethdev;
        q.queue = port.rx[q.number].queue;
        q.partial_checksums = port.partial_checksums;
    }
    for (size_t p = 0; p < plan_.tx.size(); p++) {
        if (set.ports[p].up) plan_.ports[p].partial_checksums = set.ports[p].partial_checksums;
        plan_.tx[p].follow(set.ports[p], plan_.id);
        if (p < plan_.segmenters.size() && plan_.segmenters[p])
            plan_.segmenters[p]->follow(set.ports[p].up && plan_.id < set.ports[p].packet_sockets.size()
                                            ? set.ports[p].packet_sockets[plan_.id]
                                            : -1);
    }
    for (TxRelay& relay : plan_.relays) relay.follow(set);
}

// The burst goes through each step as a whole, so that the memory of one packet is fetched while another is worked on.
void Worker::receive(const RxQueue& from, std::span<rte_mbuf*> burst) noexcept {
    ledger_.rx += burst.size();
    now_ = clock_now();
    moved_ = true;
    const size_t sample = latency_.burst(burst.size(), now_);
    alignas(Classified) std::byte room[kBurst * sizeof(Classified)];  // not filled until a packet is classified
    auto* const seen = reinterpret_cast<Classified*>(room);
    std::array<const flow::Table::Slot*, kBurst> slots;
    std::array<const Flow*, kBurst> flows;
    bool any_fec = false;

    for (rte_mbuf* m : burst) {
        rte_prefetch0(rte_pktmbuf_mtod(m, const void*));
        rte_mbuf_prefetch_part2(m);  // read when the packet is freed
    }
    for (size_t i = 0; i < burst.size(); i++) {
        if (burst[i]->nb_segs == 1) [[likely]] {
            new (&seen[i]) Classified(flow::classify(bytes_of(burst[i])));  // in place: an assignment would copy
        } else {
            (new (&seen[i]) Classified)->drop = Drop::segmented;
        }
        if ((burst[i]->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0) [[unlikely]] {
            if (from.is_port_vlan(burst[i]->vlan_tci))
                burst[i]->ol_flags &= ~(RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED);
            else
                seen[i].restore_vlan(burst[i]->vlan_tci);
        }
        table_->prefetch(seen[i].hash);
    }
    for (size_t i = 0; i < burst.size(); i++) {
        slots[i] = table_->candidate(seen[i].hash);
        if (slots[i]->flow != nullptr) rte_prefetch0(slots[i]->flow);
    }
    for (size_t i = 0; i < burst.size(); i++) {
        flows[i] = nullptr;
        if (seen[i].verdict != flow::Verdict::media) continue;
        flows[i] = table_->match(slots[i], seen[i].hash, seen[i].key, from.port,
                                 [&] { return flow::sender_of(bytes_of(burst[i]), seen[i]); });
        if (flows[i] == nullptr) [[unlikely]]
            flows[i] = table_->match_rtcp(seen[i].key, from.port,
                                          [&] { return flow::sender_of(bytes_of(burst[i]), seen[i]); });
        if (flows[i] == nullptr) continue;
        rte_prefetch0(&flows[i]->path->reception);
        rte_prefetch0(flows[i]->legs);
        any_fec |= flows[i]->has_fec;
    }
    if (tap_ != nullptr) [[unlikely]] {
        tap_->begin(now_);
        tap_->arriving_by(from.port);
        capture_arrivals(burst, std::span{seen, burst.size()}, std::span{flows}.first(burst.size()));
    }
    const auto fetch_legs = [&](size_t i) {
        if (i < burst.size())
            for (const Leg& leg : first_legs(flows[i])) rte_prefetch0(&leg);
    };
    const auto fetch_states = [&](size_t i) {
        if (i < burst.size())
            for (const Leg& leg : first_legs(flows[i])) rte_prefetch0(leg.state);
    };
    const auto fetch_body = [&](size_t i) {
        if (i < burst.size() && flows[i] != nullptr && flows[i]->has_fec) fetch_for_fec(burst[i], seen[i], *flows[i]);
    };
    if (any_fec) [[unlikely]] {
        fetch_encoders(std::span{flows}.first(burst.size()));
        for (size_t i = 0; i < kBodiesAhead; i++) fetch_body(i);
    }
    latency_.fetch(std::span{flows}.first(burst.size()), sample);
    for (size_t i = 0; i < kLegsAhead; i++) fetch_legs(i);
    for (size_t i = 0; i < kStatesAhead; i++) fetch_states(i);
    for (size_t i = 0; i < burst.size(); i++) {
        fetch_legs(i + kLegsAhead);
        fetch_states(i + kStatesAhead);
        if (any_fec) [[unlikely]]
            fetch_body(i + kBodiesAhead);
        rte_mbuf* m = burst[i];
        const Classified& in = seen[i];
        if (flows[i] != nullptr) {
            const uint64_t forwarded = ledger_.forwarded;
            take(from, m, in, *flows[i]);
            if (i == sample && ledger_.forwarded != forwarded) latency_.sample(*flows[i]);
        } else if (in.verdict == flow::Verdict::media) {
            no_flow(from, m, in);
        } else if (from.twin != nullptr && (in.verdict == flow::Verdict::kernel || in.drop == Drop::fragment)) {
            punt(from, m);
        } else if (from.kernel_has_copy && in.verdict == flow::Verdict::kernel) {
            ledger_.left_to_kernel++;
            rte_pktmbuf_free(m);
        } else {
            drop(m, in.drop);
        }
    }
}

// A packet of a known flow: which protocol, valid or not, whose, counted, and on to the legs.
void Worker::take(const RxQueue& from, rte_mbuf* m, const Classified& in, const Flow& f) noexcept {
    if (f.owner != plan_.id) [[unlikely]]
        return hand_over(from, m, f);
    if ((m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_BAD) [[unlikely]]
        return drop(m, Drop::udp_checksum, &f);
    const auto payload = bytes_of(m).subspan(in.payload_offset, in.payload_size);
    if (f.kind == flow::Kind::feedback) [[unlikely]]
        return hear(from, m, in, f);
    const auto protocol = rtp::protocol_of(payload);
    const bool media = f.kind == flow::Kind::rtp && in.key.port == f.key.port;
    if (protocol != rtp::Protocol::rtp || !media) [[unlikely]]
        return take_other(from, m, in, f, protocol);
    const auto header = rtp::Header::parse(payload);
    if (!header) return drop(m, reason_of(header.error()), &f);
    if (f.payload_type != Flow::kAnyPayloadType && header->payload_type() != f.payload_type)
        return take_other_type(m, in, f, *header);
    if (header->ssrc() != f.path->reception.ssrc()) [[unlikely]]
        meet(from, m, in, f);
    f.path->reception.receive(header->sequence(), header->timestamp(), header->ssrc(), in.payload_size, now_,
                              rtp::in_rtp_units(now_, f.clock_rate), f.clock_rate);
    if (f.tells_sender) [[unlikely]]
        f.path->more->first_sender.note(flow::sender_of(bytes_of(m), in));
    if (f.constant_rate) [[unlikely]]
        f.path->more->mdi.receive(in.payload_size, now_, f.path->reception.counters().lost.read());
    if (f.merge != nullptr) return take_merged(from, m, in, f, *header);
    use(from, m, in, f);
}

// Of a track with two paths: used when it is the first copy, and under one SSRC whatever path it came by.
void Worker::take_merged(const RxQueue& from, rte_mbuf* m, const Classified& in, const Flow& f,
                         const rtp::Header& header) noexcept {
    switch (f.merge->take(f.second_path, f.path->more->arrivals, header.sequence(), header.timestamp(), header.ssrc(),
                          now_)) {
        case rtp::Arrival::first: break;
        case rtp::Arrival::second: ledger_.duplicate++; return rte_pktmbuf_free(m);
        case rtp::Arrival::late: return drop(m, Drop::path_late, &f);
        case rtp::Arrival::apart: return drop(m, Drop::path_apart, &f);
    }
    if (header.ssrc() == f.merge->ssrc()) [[likely]]
        return use(from, m, in, f);
    Classified altered = in;
    set_ssrc(m, altered, f.merge->ssrc());
    use(from, m, altered, f);
}

// A valid media packet, counted for its path and the first of its number: on to the legs.
void Worker::use(const RxQueue& from, rte_mbuf* m, const Classified& in, const Flow& f) noexcept {
    if (f.has_fec) [[unlikely]]
        return take_with_fec(from, m, in, f);
    const auto payload = bytes_of(m).subspan(in.payload_offset, in.payload_size);
    if (f.retransmits) [[unlikely]]
        follow_numbers(payload, f);
    if (f.delays && !in_turn(from, m, in, f)) [[unlikely]]
        return;
    if (f.counts) [[unlikely]]
        f.more->sent->count(payload);
    if (f.watched) [[unlikely]] {
        Classified altered = in;
        const auto audience = go_on(m, altered, f, rtp::Continuity::Came::by_itself);
        settle(m, altered, f, audience);
        replicate(from, m, altered, f, audience);
    } else {
        if (f.keeps || f.retransmits || f.notes_first) [[unlikely]]
            settle(m, in, f, flow::Audience::all);
        replicate(from, m, in, f);
    }
    if (f.delays) [[unlikely]]
        release(f);
}

void Worker::settle(rte_mbuf* m, const Classified& in, const Flow& f, flow::Audience audience) noexcept {
    const auto packet = bytes_of(m).subspan(in.payload_offset, in.payload_size);
    if (f.notes_first && audience != flow::Audience::outputs) [[unlikely]]
        f.more->first->note(wire::load16(&packet[2]), wire::load32(&packet[4]));
    if (f.keeps) [[unlikely]]
        keep(packet, in, f, audience);
    if (f.retransmits && audience != flow::Audience::viewers) [[unlikely]]
        hold(m, packet, in, f);
}

// RTCP, repair, and what is none of ours.
void Worker::take_other(const RxQueue& from, rte_mbuf* m, const Classified& in, const Flow& f,
                        rtp::Protocol protocol) noexcept {
    const bool rtp = protocol == rtp::Protocol::rtp, rtcp = protocol == rtp::Protocol::rtcp;
    if (!rtp && !rtcp) return drop(m, reason_of(protocol), &f);
    if (f.kind == flow::Kind::by_ssrc) {
        const Flow* const path = flow_by_ssrc(m, in, f);
        return path != nullptr ? take(from, m, in, *path) : drop(m, Drop::path_apart, &f);
    }
    // The payload type of repair means nothing: it may look like RTCP.
    if (f.kind == flow::Kind::repair) return take_repair(m, in, f);
    const auto payload = bytes_of(m).subspan(in.payload_offset, in.payload_size);
    if (!rtcp || !rtp::valid_rtcp(payload)) return drop(m, Drop::rtcp_invalid, &f);
    f.path->rtcp_packets.add();
    f.path->rtcp_bytes.add(payload.size());
    hear_source(from, m, in, f);
    const Flow* const other = f.more->by_ssrc != nullptr ? f.more->by_ssrc->flows[f.second_path ? 0 : 1] : nullptr;
    if (other != nullptr) hear_source(from, m, in, *other);  // one datagram may have reports of both
    // A path of a live-live track ends, and the other one may go on with the same SSRC: players would end, too.
    if (f.two_paths && rtp::says_bye(payload)) {
        ledger_.duplicate++;
        rte_pktmbuf_free(m);
        return;
    }
    Classified altered = in;
    if (f.counts) [[unlikely]]
        restate(m, altered, f);
    if (other != nullptr) restate(m, altered, *other);
    const Flow to = f.of_rtcp();
    if (to.has_fec) [[unlikely]]
        send_renumbered_rtcp(m, altered, to);
    if (to.more->repetition != nullptr) [[unlikely]]
        repeat_rtcp(bytes_of(m).subspan(altered.payload_offset, altered.payload_size), altered, to);
    if (to.watched) [[unlikely]]
        return go_on_with_rtcp(from, m, altered, to);
    replicate_rtcp(from, m, altered, to);
}

}  // namespace penstock::dataplane
