#include "dataplane/heap.hpp"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <climits>
#include <cstdint>
#include <cstdlib>

namespace penstock::dataplane {
namespace {

constexpr int kReserve = 1 << 30;         // bytes of address space; memory only as it is used
constexpr int kLargestOnHeap = 32 << 20;  // glibc's limit: larger pieces get a mapping of their own
constexpr uintptr_t kPage = uintptr_t{2} << 20;

}  // namespace

void put_heap_on_huge_pages() noexcept {
    mallopt(M_MMAP_THRESHOLD, kLargestOnHeap);
    mallopt(M_MXFAST, 0);  // what is left before pieces that begin cache lines joins its neighbours, and is used
    mallopt(M_TOP_PAD, kReserve);
    void* volatile piece = std::malloc(size_t{1} << 20);  // more than the heap has: it grows by the reserve
    std::free(piece);
    mallopt(M_TOP_PAD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, INT_MAX);  // beyond the reserve, so that it is not given back
    const auto end = reinterpret_cast<uintptr_t>(sbrk(0));
    const uintptr_t begin = (end - kReserve + kPage - 1) & ~(kPage - 1);
    madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
}

}  // namespace penstock::dataplane
