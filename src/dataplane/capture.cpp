// While a capture runs: what workers and tx buffers copy for it. An arriving packet is copied as it was received,
// before anything of it is changed; a copy to a receiver as it leaves, or as it would have left.
#include "flow/capture.hpp"

#include "base/wire.hpp"
#include "dataplane/worker.hpp"

namespace penstock::dataplane {

using flow::CaptureFilter;
using flow::CaptureRecord;
using flow::Drop;
using What = flow::CaptureFilter::What;

namespace {

void fill(CaptureRecord& record, const rte_mbuf* m) noexcept {
    record.original = m->pkt_len;
    auto first = bytes_of(m);
    if ((m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0 && first.size() >= 12) {  // on the wire it had the tag
        std::array<std::byte, 4> tag;
        wire::store16(&tag[0], 0x8100);
        wire::store16(&tag[2], m->vlan_tci);
        record.append(first.first<12>());
        record.append(tag);
        record.original += 4;
        first = first.subspan(12);
    }
    record.append(first);
    for (m = m->next; m != nullptr; m = m->next) record.append(bytes_of(m));
}

// A copy that is not, or no longer, there as it was to leave or left.
void fill(CaptureRecord& record, const flow::Leg& leg, const flow::Classified& in, flow::PayloadSum sum,
          const rte_mbuf* payload) noexcept {
    record.leaving = true;
    record.port = leg.tx_port;
    record.original = uint32_t{leg.header_size} + in.payload_size;
    flow::write_header(record.bytes.data(), leg, in, sum);
    record.size = leg.header_size;
    record.append(bytes_of(payload));
}

// The state of a track's path or leg, as control asked for it; a capture of all drops wants the others', too.
CaptureRecord* open(flow::CaptureTap& tap, const void* state) noexcept {
    const CaptureFilter::Entry* entry = state != nullptr ? tap.find(state) : nullptr;
    if (entry == nullptr && !tap.wants_anyone()) return nullptr;
    return tap.open(entry != nullptr ? entry->subject : CaptureFilter::kNobody);
}

}  // namespace

void Worker::follow(const flow::Capture& capture) noexcept {
    capture_ = capture.number;
    tap_ = capture.tap(plan_.id);
    for (uint16_t port = 0; port < plan_.tx.size(); port++) plan_.tx[port].capture(tap_, port);
    for (const auto& segmenter : plan_.segmenters)
        if (segmenter) segmenter->capture(tap_);
}

void Worker::capture_arrivals(std::span<rte_mbuf* const> burst, std::span<const flow::Classified> seen,
                              std::span<const flow::Flow* const> flows) noexcept {
    if (!tap_->wants(What::arrivals)) return;
    for (size_t i = 0; i < burst.size(); i++) {
        const flow::Flow* flow = flows[i];
        if (flow == nullptr || flow->owner != plan_.id) continue;  // the owner will see it
        if (flow->kind == flow::Kind::by_ssrc) flow = flow_by_ssrc(burst[i], seen[i], *flow);
        if (CaptureRecord* record = open(*tap_, flow != nullptr ? flow->path : flows[i]->path)) fill(*record, burst[i]);
    }
    tap_->ring().commit();
}

void Worker::capture_drop(const rte_mbuf* m, Drop why, const flow::Flow* of) noexcept {
    if (!tap_->wants(What::drops)) return;
    CaptureRecord* record = open(*tap_, of != nullptr ? of->path : nullptr);
    if (record == nullptr) return;
    record->drop = static_cast<uint8_t>(why);
    fill(*record, m);
    tap_->ring().commit();
}

void Worker::capture_refused(std::span<const flow::Leg> legs, Drop why, const rte_mbuf* payload,
                             const flow::Classified& in, flow::PayloadSum sum) noexcept {
    if (!tap_->wants(What::drops)) return;
    for (const flow::Leg& leg : legs) {
        CaptureRecord* record = open(*tap_, leg.state);
        if (record == nullptr) continue;
        record->drop = static_cast<uint8_t>(why);
        fill(*record, leg, in, sum, payload);
    }
    tap_->ring().commit();
}

// What the driver takes is its own from then on: it is copied before.
void TxBuffer::capture_offered() noexcept {
    if (!tap_->wants(What::copies)) return;
    for (uint16_t i = 0; i < size_; i++) {
        CaptureRecord* record = open(*tap_, account_[i].leg);
        if (record == nullptr) continue;
        record->leaving = true;
        record->port = port_;
        record->place = static_cast<uint8_t>(i);
        fill(*record, burst_[i]);
    }
}

void TxBuffer::capture_taken(uint16_t sent) noexcept {
    flow::CaptureRing& ring = tap_->ring();
    for (size_t i = 0; i < ring.opened(); i++)
        if (ring.opened(i).place >= sent) ring.opened(i).drop = static_cast<uint8_t>(Drop::tx_full);
    for (uint16_t i = sent; tap_->wants(What::drops) && i < size_; i++) {
        CaptureRecord* record = open(*tap_, account_[i].leg);
        if (record == nullptr) continue;
        record->drop = static_cast<uint8_t>(Drop::tx_full);
        record->leaving = true;
        record->port = port_;
        fill(*record, burst_[i]);
    }
    ring.commit();
}

void Segmenter::capture(const Message& message, std::span<Held* const> packets, Drop why) noexcept {
    const bool sent = why == Drop::count_;
    if (!tap_->wants(What::copies) && (sent || !tap_->wants(What::drops))) return;
    for (const Held* packet : packets) {
        CaptureRecord* record = open(*tap_, message.leg->state);
        if (record == nullptr) continue;
        if (!sent) record->drop = static_cast<uint8_t>(why);
        fill(*record, *message.leg, packet->in, packet->sum, packet->m);
    }
    tap_->ring().commit();
}

}  // namespace penstock::dataplane
