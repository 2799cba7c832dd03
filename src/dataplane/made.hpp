#pragma once
// Payloads that a worker makes itself, and keeps.
#include <rte_mbuf.h>

#include <cstddef>

#include "flow/classify.hpp"

namespace penstock::dataplane {

// What such a payload says: TTL and DSCP are those of the packet that gave rise to it.
inline flow::Classified made(const flow::Classified& in, size_t size) noexcept {
    flow::Classified out = in;
    out.payload_offset = 0;
    out.payload_size = static_cast<uint16_t>(size);
    return out;
}

// What keeps buffers as pointers of which it knows nothing gives them back by this.
inline void give_back(void* buffer) { rte_pktmbuf_free(static_cast<rte_mbuf*>(buffer)); }

// What is kept in its buffer must not starve the rx queues: with less of the pool left than this nothing more is.
// Without what cores keep to themselves, which takes its time to be counted.
inline bool runs_low(const rte_mempool* pool) noexcept {
    return rte_mempool_get_ops(pool->ops_index)->get_count(pool) < pool->size / 8;
}

// An empty buffer of `size` bytes, with room for headers before it.
inline std::byte* extend(rte_mbuf* m, size_t size) noexcept {
    m->data_len = static_cast<uint16_t>(size);
    m->pkt_len = static_cast<uint32_t>(size);
    return rte_pktmbuf_mtod(m, std::byte*);
}

}  // namespace penstock::dataplane
