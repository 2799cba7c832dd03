#include "dataplane/ingest.hpp"

#include <rte_mbuf.h>

#include <cstring>

#include "base/wire.hpp"
#include "dataplane/pools.hpp"
#include "flow/rewrite.hpp"

namespace penstock::dataplane {
namespace {

constexpr uint8_t kTtl = 64;  // as a host would send it: outputs without a `ttl` keep it
constexpr size_t kMostPayload = kPacketRoom - RTE_PKTMBUF_HEADROOM - flow::kMaxHeader;

flow::Leg header_of(const Endpoint& from, const Endpoint& to, flow::LongHeaders& longer) {
    flow::LegPlan plan;
    plan.hop.source = from.ip;
    plan.from_port = from.port;
    plan.to = to;
    plan.ttl = kTtl;
    return make_leg(plan, nullptr, longer);
}

}  // namespace

IngestWay::IngestWay(const Endpoint& from, const Endpoint& to, uint16_t worker)
    : header_(header_of(from, to, longer_)), worker_(worker) {}

bool Ingest::offer(const IngestWay& way, std::span<const std::byte> payload) noexcept {
    if (payload.size() > kMostPayload) {
        counters_.too_long++;
        return false;
    }
    rte_mbuf* m = rte_pktmbuf_alloc(packets_);
    if (m == nullptr) {
        counters_.no_buffer++;
        return false;
    }
    const flow::Leg& header = way.header_;
    m->data_len = static_cast<uint16_t>(header.header_size + payload.size());
    m->pkt_len = m->data_len;
    auto* to = rte_pktmbuf_mtod(m, std::byte*);
    flow::Classified out;
    out.payload_size = static_cast<uint16_t>(payload.size());
    // With a right checksum the worker need not read the payload again: its copies are derived from this one.
    flow::write_header(to, header, out, {wire::sum16(payload), true});
    if (!payload.empty()) std::memcpy(to + header.header_size, payload.data(), payload.size());
    if (rte_ring_sp_enqueue(rings_[way.worker_], m) != 0) {
        rte_pktmbuf_free(m);
        counters_.ring_full++;
        return false;
    }
    counters_.packets++;
    counters_.bytes += payload.size();
    return true;
}

}  // namespace penstock::dataplane
