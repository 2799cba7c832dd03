#pragma once
// Packet memory: one pool of whole packets, one of headers, on 2 MiB pages (hugepages or transparent ones: on 4 KiB
// pages the same relay costs three times more).
#include <rte_mempool.h>

#include <memory>
#include <string>

#include "base/result.hpp"

namespace penstock::dataplane {

struct FreePool {
    void operator()(rte_mempool* pool) const noexcept { rte_mempool_free(pool); }
};
using Pool = std::unique_ptr<rte_mempool, FreePool>;

// 2048 bytes of packet after the usual headroom, and small enough that AF_XDP's 4 KiB UMEM chunk holds the whole
// object.
inline constexpr uint16_t kPacketRoom = RTE_PKTMBUF_HEADROOM + 2048;
inline constexpr uint16_t kHeaderRoom = RTE_PKTMBUF_HEADROOM + 128;
inline constexpr unsigned kPoolCache = 256;  // mbufs a core keeps to itself

// With `hugepages` from DPDK's memory, otherwise from a mapping of its own.
Result<Pool> make_pool(const std::string& name, unsigned mbufs, uint16_t data_room, bool hugepages);

// Bytes that such a pool takes, roughly and rather too many.
size_t pool_memory(unsigned mbufs, uint16_t data_room);

}  // namespace penstock::dataplane
