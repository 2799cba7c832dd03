// The fifth part of Worker: viewers that come late. Packets of such a track are kept as they leave; who has just begun
// to play is sent them from the newest key frame on, some a turn, and has caught up when there are no more. From then
// on it gets each packet as it is kept, until control has made its leg one of the track's: nothing comes twice, in
// another order, or not at all.
#include <algorithm>
#include <cstring>

#include "base/wire.hpp"
#include "dataplane/made.hpp"
#include "dataplane/worker.hpp"

namespace penstock::dataplane {

using flow::Drop;

namespace {

// A turn takes from what arrives meanwhile: hundreds of viewers may begin at the same moment.
constexpr unsigned kMostAll = 64, kMostEach = 8;

}  // namespace

// `packet` is about to leave.
void Worker::keep(std::span<const std::byte> packet, const flow::Classified& in, const flow::Flow& f,
                  flow::Audience audience) noexcept {
    if (f.more->repetition && audience != flow::Audience::viewers)
        f.more->repetition->repeat->keep(packet, in.ttl, in.tos, now_);
    if (!f.more->late || audience == flow::Audience::outputs) return;
    const flow::Late& late = *f.more->late;
    const uint64_t restarts = f.watched ? f.more->continuity->restarts() : 0;
    const auto number = late.history->keep(packet, in.ttl, in.tos, now_, restarts);
    for (size_t i = 0; i < late.joins.size(); i++)
        if (late.joins[i]->takes(*late.history, number, now_)) send_kept(packet, f, i);
}

void Worker::serve_late() noexcept {
    const auto flows = table_->served();
    unsigned left = kMostAll;
    late_turns_++;
    now_ = clock_now();
    if (tap_ != nullptr) [[unlikely]]
        tap_->begin(now_);
    for (size_t i = 0; i < flows.size(); i++) {
        const flow::Flow& f = *flows[(i + late_turns_) % flows.size()];
        if (f.owner != plan_.id) continue;
        if (f.more->repetition) left -= repeat(*f.more->repetition, left);
        if (!f.more->late) continue;
        const size_t joins = f.more->late->joins.size();
        for (size_t j = 0; j < joins && left != 0; j++)
            left -= serve_late(f, (j + late_turns_) % joins, std::min(left, kMostEach));
    }
    moved_ |= left != kMostAll;
}

unsigned Worker::serve_late(const flow::Flow& f, size_t join, unsigned most) noexcept {
    const flow::Late& late = *f.more->late;
    for (unsigned sent = 0; sent < most; sent++) {
        const auto packet = late.joins[join]->next(*late.history, now_);
        if (packet.empty()) return sent;
        send_kept(packet, f, join);
    }
    return most;
}

void Worker::send_kept(std::span<const std::byte> packet, const flow::Flow& f, size_t join) noexcept {
    const flow::Late& late = *f.more->late;
    if (join == late.joining.legs.size()) return divert_kept(packet, f);
    late.joins[join]->first().note(wire::load16(&packet[2]), wire::load32(&packet[4]));
    const std::span leg{&late.joining.legs[join], 1};
    flow::Classified like;
    like.ttl = late.history->ttl();
    like.tos = late.history->tos();
    const flow::Classified in = made(like, packet.size());
    rte_mbuf* m = nullptr;
    if (allocate(plan_.pools.packet, {&m, 1}) == 0) [[unlikely]] {
        ledger_.tx_wanted++;
        return refuse(leg, Drop::no_buffer, nullptr, in, {});
    }
    std::memcpy(extend(m, packet.size()), packet.data(), packet.size());
    fan_out(m, in, leg, 0, {wire::sum16(packet), true});
}

// No leg of the track's own: it was kept for those who are to have it from there, or those who are numbered anew had
// it, or else it is lost.
void Worker::nobody_else(rte_mbuf* m, const flow::Flow& f) noexcept {
    const bool kept = f.more->late && !f.more->late->joins.empty();
    if (!kept && !(f.has_fec && f.more->fec->renumbers)) return drop(m, Drop::no_leg, &f);
    ledger_.forwarded++;
    rte_pktmbuf_free(m);
}

}  // namespace penstock::dataplane
