// A part of Worker: packets that leave at the end of the turn, so that those which came together leave as one.
#include "dataplane/trains.hpp"

#include <rte_prefetch.h>

#include <algorithm>
#include <utility>

#include "dataplane/worker.hpp"

namespace penstock::dataplane {

using flow::Leg;

namespace {

// How far ahead legs are fetched, and then their states: as for copies.
constexpr size_t kStatesAhead = 8, kLegsAhead = 16;

}  // namespace

void Worker::gather(rte_mbuf* m, const flow::Classified& in, std::span<const Leg> legs, uint32_t shareable,
                    flow::PayloadSum sum) noexcept {
    if (trains_.full()) [[unlikely]]
        send_trains();
    trains_.hold(m, in, legs, shareable, sum);
}

// By one way for all packets of a turn that go to the same legs, so that none overtakes another: a packet that is alone
// takes the port's queues, which cost less than a socket does for each packet.
void Worker::send_trains() noexcept {
    bool own_queues = true;  // rings to other workers' are slower than a socket
    for (size_t p = 0; p < plan_.segmenters.size(); p++)
        own_queues &= plan_.segmenters[p] == nullptr || plan_.tx[p].owns_queue();
    for (const Trains::One& one : trains_.arrange()) {
        if (one.packets.size() == 1 && !one.several && own_queues) {
            send_alone(*one.packets[0], one);
        } else {
            send_train(one);
        }
    }
    for (const auto& segmenter : plan_.segmenters)
        if (segmenter) segmenter->flush(ledger_);
    for (TxBuffer& tx : plan_.tx) tx.flush(ledger_);
    for (const Held& packet : trains_.held())
        if (packet.m != nullptr) rte_pktmbuf_free(packet.m);
    trains_.clear();
}

void Worker::send_alone(Held& packet, const Trains::One& of) noexcept {
    if (rte_mbuf_refcnt_read(packet.m) == 1)
        give_away(std::exchange(packet.m, nullptr), packet.in, of.legs, of.shareable, packet.sum);
    else
        send_each(packet.m, packet.in, of.legs, of.shareable, packet.sum);
}

void Worker::send_train(const Trains::One& one) noexcept {
    const std::span<const Leg> legs = one.legs;
    const auto segmenter_for = [&](const Leg& leg) -> Segmenter* {
        Segmenter* const s = segmenter_of(leg);
        return s != nullptr && s->takes(leg, one.train) ? s : nullptr;
    };
    for (size_t i = 0; i < legs.size();) {
        if (Segmenter* segmenter = segmenter_for(legs[i])) {
            if (i + kLegsAhead < legs.size()) rte_prefetch0(&legs[i + kLegsAhead]);
            if (i + kStatesAhead < legs.size()) rte_prefetch0(legs[i + kStatesAhead].state);
            segmenter->add(legs[i++], one, ledger_);
            continue;
        }
        size_t end = i + 1;  // these take their port's queues
        while (end < legs.size() && segmenter_for(legs[end]) == nullptr) end++;
        const size_t shareable = std::clamp<size_t>(one.shareable, i, end) - i;
        for (const Held* packet : one.packets)
            send_each(packet->m, packet->in, legs.subspan(i, end - i), static_cast<uint32_t>(shareable), packet->sum);
        i = end;
    }
}

}  // namespace penstock::dataplane
