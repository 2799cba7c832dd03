// The second half of Worker: one packet becomes one copy a leg.
//
// One leg: the packet itself leaves with its header rewritten in place. More legs: where the port can send chained
// mbufs and the payload is not small, each copy is a header mbuf in front of the one payload, whose reference count is
// raised once a batch (rte_pktmbuf_clone a receiver costs three times as much). Small payloads and other ports get real
// copies.
#include <rte_prefetch.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "dataplane/worker.hpp"

namespace penstock::dataplane {

using flow::Classified;
using flow::Drop;
using flow::Leg;

namespace {

// Below this a copy costs no more than a second segment does.
constexpr uint16_t kShareFrom = 64;  // bytes of payload
// An mbuf's reference count has 16 bits, and drivers hold references until they have sent: legs beyond this get copies.
constexpr uint32_t kMaxShared = 32'000;

// Legs of a fan-out lie in one piece, their counters where they were made: both are fetched some legs ahead.
void prefetch_ahead(std::span<const Leg> legs, size_t i) noexcept {
    constexpr size_t kLegs = kFetchedLegs + 8;
    if (i + kFetchedLegs >= legs.size()) return;
    rte_prefetch0(legs[i + kFetchedLegs].state);
    if (i + kLegs < legs.size()) rte_prefetch0(&legs[i + kLegs]);
}

uint32_t ip_size(const Leg& leg, const Classified& in) noexcept {
    return static_cast<uint32_t>(in.payload_size + leg.ip_overhead());
}

}  // namespace

void Worker::replicate(const RxQueue& from, rte_mbuf* m, const Classified& in, const flow::Flow& f,
                       flow::Audience audience) noexcept {
    if (f.diverted && audience != flow::Audience::outputs) [[unlikely]]
        divert(m, bytes_of(m).subspan(in.payload_offset, in.payload_size), f);
    if (f.leg_count == 0 && !f.spread) {
        if (!f.diverted) return nobody_else(m, f);
        ledger_.forwarded++;
        return rte_pktmbuf_free(m);
    }
    ledger_.forwarded++;
    const auto sum = unwrap(from, m, in, f.needs_checksum);
    if (f.leg_count == 1 && !f.spread && audience == flow::Audience::all) {  // the usual relay: two calls less
        ledger_.tx_wanted++;
        if (makes_trains({f.legs, 1})) [[unlikely]]
            return gather(m, in, {f.legs, 1}, f.shareable, sum);
        return send_in_place(m, in, *f.legs, sum);
    }
    deliver(m, in, f, sum, audience);
}

void Worker::deliver(rte_mbuf* m, const Classified& in, const flow::Flow& f, flow::PayloadSum sum,
                     flow::Audience audience) noexcept {
    if (f.spread || audience != flow::Audience::all) [[unlikely]] {
        const flow::Shard& own = f.rendition->shards[0];
        ledger_.tx_wanted += f.rendition->legs_of(own, audience).size();
        if (f.spread) share_out(m, in, f, sum, audience);  // first: others begin while we are busy
        send(m, in, *f.rendition, own, sum, audience);
        return rte_pktmbuf_free(m);
    }
    fan_out(m, in, {f.legs, f.leg_count}, f.shareable, sum);
}

void Worker::fan_out(rte_mbuf* m, const Classified& in, std::span<const Leg> legs, uint32_t shareable,
                     flow::PayloadSum sum) noexcept {
    ledger_.tx_wanted += legs.size();
    if (makes_trains(legs)) return gather(m, in, legs, shareable, sum);
    give_away(m, in, legs, shareable, sum);
}

void Worker::give_away(rte_mbuf* m, const Classified& in, std::span<const Leg> legs, uint32_t shareable,
                       flow::PayloadSum sum) noexcept {
    if (legs.size() == 1) return send_in_place(m, in, legs[0], sum);
    const uint32_t shared = in.payload_size >= kShareFrom ? std::min(shareable, kMaxShared) : 0;
    if (shared != 0) send_shared(m, in, legs.first(shared), sum);
    if (shared == legs.size()) return rte_pktmbuf_free(m);
    if (shared != 0) {  // others read the payload: it may not be written to
        send_copies(m, in, legs.subspan(shared), sum);
        return rte_pktmbuf_free(m);
    }
    send_copies(m, in, legs.first(legs.size() - 1), sum);
    send_in_place(m, in, legs.back(), sum);
}

void Worker::send(rte_mbuf* payload, const Classified& in, const flow::Rendition& rendition, const flow::Shard& shard,
                  flow::PayloadSum sum, flow::Audience audience) noexcept {
    const size_t most = kMaxShared / rendition.shards.size();  // of all shards together
    if (audience == flow::Audience::all) [[likely]] {
        const auto legs = rendition.legs_of(shard);
        const auto shareable = static_cast<uint32_t>(std::min<size_t>(shard.shareable, most));
        if (!makes_trains(legs)) return send_each(payload, in, legs, shareable, sum);
        rte_mbuf_refcnt_update(payload, 1);
        return gather(payload, in, legs, shareable, sum);
    }
    if (!trains_.empty()) send_trains();  // of before, to the same legs
    const flow::Legs legs = rendition.legs_of(shard, audience);
    const size_t shared = in.payload_size >= kShareFrom ? std::min(legs.shareable.size(), most) : 0;
    send_shared(payload, in, legs.shareable.first(shared), sum);
    send_copies(payload, in, legs.shareable.subspan(shared), sum);
    send_copies(payload, in, legs.others, sum);
}

void Worker::send_each(rte_mbuf* payload, const Classified& in, std::span<const Leg> legs, uint32_t shareable,
                       flow::PayloadSum sum) noexcept {
    const uint32_t shared = in.payload_size >= kShareFrom ? std::min(shareable, kMaxShared) : 0;
    send_shared(payload, in, legs.first(shared), sum);
    send_copies(payload, in, legs.subspan(shared), sum);
}

void Worker::send_in_place(rte_mbuf* m, const Classified& in, const Leg& leg, flow::PayloadSum sum) noexcept {
    if (!flow::fits(leg, in)) [[unlikely]] {
        refuse({&leg, 1}, Drop::mtu, m, in, sum);
        return rte_pktmbuf_free(m);
    }
    if (leg.header_size > m->data_off) [[unlikely]] {  // less headroom than the header needs: cannot be with our pools
        refuse({&leg, 1}, Drop::no_buffer, m, in, sum);
        return rte_pktmbuf_free(m);
    }
    m->data_off = static_cast<uint16_t>(m->data_off - leg.header_size);
    m->data_len = static_cast<uint16_t>(leg.header_size + in.payload_size);
    m->pkt_len = m->data_len;
    m->ol_flags = 0;
    flow::write_header(rte_pktmbuf_mtod(m, std::byte*), leg, in, sum);
    plan_.tx[leg.tx_port].add(m, leg, ip_size(leg, in), ledger_);
}

void Worker::send_shared(rte_mbuf* payload, const Classified& in, std::span<const Leg> legs,
                         flow::PayloadSum sum) noexcept {
    std::array<rte_mbuf*, kBurst> headers;
    for (size_t done = 0; done < legs.size(); done += kBurst) {
        const auto batch = legs.subspan(done, std::min<size_t>(legs.size() - done, kBurst));
        const uint16_t got = allocate(plan_.pools.header, std::span{headers}.first(batch.size()));
        if (got < batch.size()) [[unlikely]]
            refuse(batch.subspan(got), Drop::no_buffer, payload, in, sum);
        rte_mbuf_refcnt_update(payload, static_cast<int16_t>(got));
        for (uint16_t i = 0; i < got; i++) {
            prefetch_ahead(legs, done + i);
            const Leg& leg = batch[i];
            rte_mbuf* m = headers[i];
            if (!flow::fits(leg, in)) [[unlikely]] {
                refuse({&leg, 1}, Drop::mtu, payload, in, sum);
                rte_pktmbuf_free(m);
                rte_mbuf_refcnt_update(payload, -1);
                continue;
            }
            m->data_len = leg.header_size;
            m->pkt_len = uint32_t{leg.header_size} + in.payload_size;
            m->nb_segs = 2;
            m->next = payload;
            flow::write_header(rte_pktmbuf_mtod(m, std::byte*), leg, in, sum);
            plan_.tx[leg.tx_port].add(m, leg, ip_size(leg, in), ledger_);
        }
    }
}

void Worker::send_copies(rte_mbuf* payload, const Classified& in, std::span<const Leg> legs,
                         flow::PayloadSum sum) noexcept {
    const auto* bytes = rte_pktmbuf_mtod(payload, const std::byte*);
    std::array<rte_mbuf*, kBurst> copies;
    for (size_t done = 0; done < legs.size(); done += kBurst) {
        const auto batch = legs.subspan(done, std::min<size_t>(legs.size() - done, kBurst));
        const uint16_t got = allocate(plan_.pools.packet, std::span{copies}.first(batch.size()));
        if (got < batch.size()) [[unlikely]]
            refuse(batch.subspan(got), Drop::no_buffer, payload, in, sum);
        for (uint16_t i = 0; i < got; i++) {
            prefetch_ahead(legs, done + i);
            const Leg& leg = batch[i];
            rte_mbuf* m = copies[i];
            if (!flow::fits(leg, in)) [[unlikely]] {
                refuse({&leg, 1}, Drop::mtu, payload, in, sum);
                rte_pktmbuf_free(m);
                continue;
            }
            m->data_len = static_cast<uint16_t>(leg.header_size + in.payload_size);
            m->pkt_len = m->data_len;
            auto* to = rte_pktmbuf_mtod(m, std::byte*);
            flow::write_header(to, leg, in, sum);
            std::memcpy(to + leg.header_size, bytes, in.payload_size);
            plan_.tx[leg.tx_port].add(m, leg, ip_size(leg, in), ledger_);
        }
    }
}

// As many as there are: all at once if possible, else one by one.
uint16_t Worker::allocate(rte_mempool* pool, std::span<rte_mbuf*> into) noexcept {
    const auto wanted = static_cast<uint16_t>(into.size());
    if (rte_pktmbuf_alloc_bulk(pool, into.data(), wanted) == 0) [[likely]]
        return wanted;
    uint16_t got = 0;
    while (got < wanted && (into[got] = rte_pktmbuf_alloc(pool)) != nullptr) got++;
    return got;
}

void Worker::refuse(std::span<const Leg> legs, Drop why, const rte_mbuf* payload, const Classified& in,
                    flow::PayloadSum sum) noexcept {
    if (tap_ != nullptr && payload != nullptr) [[unlikely]]
        capture_refused(legs, why, payload, in, sum);
    ledger_[why] += legs.size();
    for (const Leg& leg : legs) leg.state->drop(why).add();
}

void Worker::refuse_all(const flow::Flow& f, const Classified& in, flow::Audience audience) noexcept {
    for (const flow::Shard& shard : f.rendition->shards) {
        const flow::Legs legs = f.rendition->legs_of(shard, audience);
        ledger_.tx_wanted += legs.size();
        // A leg's drops are counted by the worker that serves it, but for this one reason.
        const Drop why = shard.worker == plan_.id ? Drop::no_buffer : Drop::shard_full;
        refuse(legs.shareable, why, nullptr, in, {});
        refuse(legs.others, why, nullptr, in, {});
    }
    if (f.kind == flow::Kind::rtcp && audience != flow::Audience::outputs) {
        ledger_.tx_wanted += f.joining().size();
        refuse(f.joining(), Drop::no_buffer, nullptr, in, {});
    }
    if (!f.diverted || audience == flow::Audience::outputs) return;
    ledger_.tx_wanted++;
    ledger_[Drop::tcp_full]++;
}

}  // namespace penstock::dataplane
