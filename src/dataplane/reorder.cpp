// A part of Worker: tracks with `delay`. A packet whose turn has not come is put aside, in its buffer and without its
// headers; it leaves when those before it have come, or when its time is over, whether packets arrive or not.
#include <algorithm>
#include <array>
#include <cstring>

#include "dataplane/made.hpp"
#include "dataplane/worker.hpp"

namespace penstock::dataplane {

using flow::Classified;
using flow::Drop;
using flow::Flow;
using flow::Reorder;
using Turn = Reorder::Turn;

namespace {

// Looking at all tracks with a delay takes its time: they are not looked at more often.
constexpr uint64_t kEvery = (uint64_t{1} << 32) / 4000;

}  // namespace

// Whose turn it is: those that leave before this one leave meanwhile.
Turn Worker::turn_of(std::span<const std::byte> packet, const Flow& f) noexcept {
    const flow::Delay& delay = *f.more->delay;
    const auto leave = [&](const Reorder::Packet& held) { depart(held, f); };
    if (delay.former != nullptr) [[unlikely]]
        delay.former->release(Reorder::kNever, leave);
    if (delay.reorder == nullptr) return Turn::now;
    return delay.reorder->arrived(wire::load16(&packet[2]), wire::load32(&packet[8]), f.life(), now_, leave);
}

// A packet that arrived: whether it leaves now. If not, it is dealt with.
bool Worker::in_turn(const RxQueue& from, rte_mbuf* m, const Classified& in, const Flow& f) noexcept {
    switch (turn_of(bytes_of(m).subspan(in.payload_offset, in.payload_size), f)) {
        case Turn::now: return true;
        case Turn::late: drop(m, Drop::delay_late, &f); return false;
        case Turn::duplicate:
            ledger_.duplicate++;
            rte_pktmbuf_free(m);
            return false;
        case Turn::waits: break;
    }
    ledger_.delayed++;
    // A checksum in any case: which legs there are when it leaves is not known yet.
    const auto sum = from.partial_checksums || in.udp_checksum == 0 ? flow::sum_from_payload(bytes_of(m), in)
                                                                    : flow::sum_from_checksum(bytes_of(m), in);
    m->data_off = static_cast<uint16_t>(m->data_off + in.payload_offset);
    m->data_len = in.payload_size;
    m->pkt_len = in.payload_size;
    put_aside(m, in, f, sum);
    return false;
}

// The same of one that was mended, in a buffer of its own.
bool Worker::in_turn(rte_mbuf* m, const Classified& in, const Flow& f, flow::PayloadSum sum) noexcept {
    const Turn turn = turn_of(bytes_of(m), f);
    if (turn == Turn::now) return true;
    if (turn == Turn::waits) {
        put_aside(m, in, f, sum);
    } else {
        rte_pktmbuf_free(m);
    }
    return false;
}

void Worker::put_aside(rte_mbuf* m, const Classified& in, const Flow& f, flow::PayloadSum sum) noexcept {
    Reorder& reorder = *f.more->delay->reorder;
    reorder.hold({m, sum, in.ttl, in.tos}, now_, give_back);
    if (runs_low(plan_.pools.packet)) [[unlikely]]
        reorder.cut_short([&](const Reorder::Packet& held) { depart(held, f); });
    next_release_ = std::min(next_release_, reorder.due());
}

// After a packet that had its turn.
void Worker::release(const Flow& f) noexcept {
    if (f.more->delay->reorder != nullptr)
        f.more->delay->reorder->release(now_, [&](const Reorder::Packet& held) { depart(held, f); });
}

void Worker::depart(const Reorder::Packet& held, const Flow& f) noexcept {
    auto* const m = static_cast<rte_mbuf*>(held.buffer);
    Classified like;
    like.ttl = held.ttl;
    like.tos = held.tos;
    depart(m, bytes_of(m), made(like, m->data_len), f, held.sum);
}

// Once a turn while anything waits: what has waited long enough leaves.
void Worker::release_due() noexcept {
    now_ = clock_now();
    if (now_ < next_release_) return;
    if (tap_ != nullptr) [[unlikely]]
        tap_->begin(now_);
    uint64_t next = Reorder::kNever;
    for (const Flow* const f : table_->delayed()) {
        if (f->owner != plan_.id) continue;
        const auto leave = [&](const Reorder::Packet& held) { depart(held, *f); };
        if (f->more->delay->former != nullptr) f->more->delay->former->release(Reorder::kNever, leave);
        if (f->more->delay->reorder == nullptr) continue;
        f->more->delay->reorder->release(now_, leave);
        next = std::min(next, f->more->delay->reorder->due());
    }
    next_release_ = std::max(next, now_ + kEvery);
    if (next == Reorder::kNever) next_release_ = next;
    moved_ = true;
}

}  // namespace penstock::dataplane
