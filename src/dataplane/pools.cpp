#include "dataplane/pools.hpp"

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <sys/mman.h>

namespace penstock::dataplane {
namespace {

constexpr size_t kPage = size_t{2} << 20;
// Objects may straddle 4 KiB pages: no device of ours does DMA into a pool without hugepages but AF_XDP, which maps it
// whole.
constexpr unsigned kFlags = RTE_MEMPOOL_F_NO_IOVA_CONTIG;

void unmap(rte_mempool_memhdr* memory, void*) { munmap(memory->addr, memory->len); }

// A mapping of whole, aligned 2 MiB pages that the kernel is asked to back with huge ones. All objects lie in this one
// piece, which the AF_XDP driver needs to use the pool as UMEM.
void* map(size_t size) {
    auto* raw = static_cast<std::byte*>(
        mmap(nullptr, size + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (raw == MAP_FAILED) return nullptr;
    const size_t skip = (kPage - reinterpret_cast<uintptr_t>(raw) % kPage) % kPage;
    if (skip != 0) munmap(raw, skip);
    if (skip != kPage) munmap(raw + skip + size, kPage - skip);
    madvise(raw + skip, size, MADV_HUGEPAGE);
    return raw + skip;
}

Result<Pool> make_on_transparent_pages(const std::string& name, unsigned mbufs, uint16_t data_room) {
    Pool pool(rte_mempool_create_empty(name.c_str(), mbufs, static_cast<unsigned>(sizeof(rte_mbuf)) + data_room,
                                       kPoolCache, sizeof(rte_pktmbuf_pool_private), SOCKET_ID_ANY, kFlags));
    if (pool == nullptr || rte_mempool_set_ops_byname(pool.get(), "ring_mp_mc", nullptr) != 0)
        return fail(fmt::format("packet pool '{}': {}", name, rte_strerror(rte_errno)));
    rte_pktmbuf_pool_private priv{};
    priv.mbuf_data_room_size = data_room;
    rte_pktmbuf_pool_init(pool.get(), &priv);

    const size_t size = (pool_memory(mbufs, data_room) + kPage - 1) / kPage * kPage;
    void* memory = map(size);
    if (memory == nullptr) return fail(fmt::format("packet pool '{}': no {} MiB of memory", name, size >> 20));
    const int added = rte_mempool_populate_iova(pool.get(), static_cast<char*>(memory),
                                                reinterpret_cast<rte_iova_t>(memory), size, unmap, nullptr);
    if (added < static_cast<int>(mbufs)) {
        if (added <= 0) munmap(memory, size);
        return fail(fmt::format("packet pool '{}': {} of {} buffers fit", name, added, mbufs));
    }
    rte_mempool_obj_iter(pool.get(), rte_pktmbuf_init, nullptr);
    return pool;
}

}  // namespace

size_t pool_memory(unsigned mbufs, uint16_t data_room) {
    rte_mempool_objsz object{};
    const auto size = rte_mempool_calc_obj_size(static_cast<uint32_t>(sizeof(rte_mbuf)) + data_room, kFlags, &object);
    return (size_t{mbufs} + 1) * size + kPage;
}

Result<Pool> make_pool(const std::string& name, unsigned mbufs, uint16_t data_room, bool hugepages) {
    if (!hugepages) return make_on_transparent_pages(name, mbufs, data_room);
    Pool pool(rte_pktmbuf_pool_create(name.c_str(), mbufs, kPoolCache, 0, data_room, SOCKET_ID_ANY));
    if (pool == nullptr)
        return fail(fmt::format("packet pool '{}': {}: lower memory.mbufs or raise vm.nr_hugepages", name,
                                rte_strerror(rte_errno)));
    return pool;
}

}  // namespace penstock::dataplane
