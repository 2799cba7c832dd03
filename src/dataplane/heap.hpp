#pragma once
// The heap on 2 MiB pages.

namespace penstock::dataplane {

// Workers read at random what control allocates (flows, legs, counters): with 100,000 flows on 4 KiB pages, most of
// what a packet costs is TLB misses. To be called first in main(); where the kernel does not do it, nothing changes.
void put_heap_on_huge_pages() noexcept;

}  // namespace penstock::dataplane
