// The fourth part of Worker: forward error correction. Media packets pass through the track's decoder and encoders on
// their way to replicate(); what they make leaves in buffers of its own, by the same legs or by the repair legs.
#include <array>
#include <cstring>
#include <optional>

#include "base/wire.hpp"
#include "dataplane/worker.hpp"

namespace penstock::dataplane {

using flow::Classified;
using flow::Drop;
using flow::Flow;
using flow::Rendition;

namespace {

// What a payload says that we made ourselves: TTL and DSCP are those of the packet that gave rise to it.
Classified made(const Classified& in, size_t size) noexcept {
    Classified out = in;
    out.payload_offset = 0;
    out.payload_size = static_cast<uint16_t>(size);
    return out;
}

// An empty buffer of `size` bytes, with room for headers before it.
std::byte* extend(rte_mbuf* m, size_t size) noexcept {
    m->data_len = static_cast<uint16_t>(size);
    m->pkt_len = static_cast<uint32_t>(size);
    return rte_pktmbuf_mtod(m, std::byte*);
}

using Repairs = std::array<std::optional<rtp::fec::Repair>, flow::Fec::kMaxRenditions>;

void protect(const flow::Fec& fec, std::span<const std::byte> packet, Repairs& repairs) noexcept {
    for (size_t i = 0; i < fec.repairs.size(); i++) repairs[i] = fec.repairs[i].encoder->protect(packet);
}

}  // namespace

// A valid media packet that was counted for its path and is the first of its number by any path.
void Worker::take_with_fec(const RxQueue& from, rte_mbuf* m, const Classified& in, const Flow& f) noexcept {
    const flow::Fec& fec = *f.fec;
    const auto packet = bytes_of(m).subspan(in.payload_offset, in.payload_size);
    if (fec.decoder != nullptr && !fec.decoder->media(packet)) {
        ledger_.duplicate++;
        return rte_pktmbuf_free(m);
    }
    const Ip sender = f.has_sender ? flow::sender_of(bytes_of(m), in) : Ip{};
    Repairs repairs;
    protect(fec, packet, repairs);
    replicate(from, m, in, f);
    for (size_t i = 0; i < fec.repairs.size(); i++)
        if (repairs[i]) send_repair(fec.repairs[i].of(repairs[i]->line), *repairs[i], in);
    if (fec.decoder != nullptr) send_recovered(from, in, f, sender);
}

void Worker::take_repair(const RxQueue& from, rte_mbuf* m, const Classified& in, const Flow& f) noexcept {
    ledger_.repair++;
    f.fec->decoder->repair(bytes_of(m).subspan(in.payload_offset, in.payload_size));
    send_recovered(from, in, f, f.has_sender ? flow::sender_of(bytes_of(m), in) : Ip{});
    rte_pktmbuf_free(m);
}

// Each recovered packet goes where a received one goes. It was not received, so it is in tx_wanted only.
void Worker::send_recovered(const RxQueue& from, const Classified& in, const Flow& f, const Ip& sender) noexcept {
    const flow::Fec& fec = *f.fec;
    while (const auto packet = fec.decoder->recover()) {
        if (f.merge != nullptr && !f.merge->first(wire::load16(&(*packet)[2]), wire::load32(&(*packet)[8]))) continue;
        Repairs repairs;
        protect(fec, *packet, repairs);
        rte_mbuf* m = nullptr;
        if (f.leg_count == 0 && !f.spread) {
            // There is nobody to send it to, as for a received one.
        } else if (allocate(plan_.pools.packet, {&m, 1}) == 0) [[unlikely]] {
            for (const flow::Shard& shard : f.rendition->shards) {
                ledger_.tx_wanted += shard.count;
                // A leg's drops are counted by the worker that serves it, but for this one reason.
                refuse(f.rendition->legs_of(shard), shard.worker == plan_.id ? Drop::no_buffer : Drop::shard_full,
                       nullptr, in, {});
            }
        } else {
            std::memcpy(extend(m, packet->size()), packet->data(), packet->size());
            deliver(from, m, made(in, packet->size()), f, {wire::sum16(*packet), true}, sender);
        }
        for (size_t i = 0; i < fec.repairs.size(); i++)
            if (repairs[i]) send_repair(fec.repairs[i].of(repairs[i]->line), *repairs[i], in);
    }
}

void Worker::send_repair(const Rendition& to, const rtp::fec::Repair& repair, const Classified& in) noexcept {
    if (to.legs.empty()) return;
    rte_mbuf* m = nullptr;
    if (allocate(plan_.pools.packet, {&m, 1}) == 0) [[unlikely]] {
        ledger_.tx_wanted += to.legs.size();
        return refuse(to.legs, Drop::no_buffer, nullptr, in, {});
    }
    const size_t size = repair.header.size() + repair.body.size();
    std::byte* const at = extend(m, size);
    std::memcpy(at, repair.header.data(), repair.header.size());
    std::memcpy(at + repair.header.size(), repair.body.data(), repair.body.size());
    fan_out(m, made(in, size), to.legs, to.shards[0].shareable, {wire::sum16({at, size}), true});
}

}  // namespace penstock::dataplane
