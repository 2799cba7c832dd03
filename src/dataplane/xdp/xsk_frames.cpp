#include "dataplane/xdp/xsk_frames.hpp"

#include <fmt/format.h>
#include <linux/if_xdp.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <atomic>
#include <bit>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

namespace penstock::dataplane {
namespace {

// In mode "unaligned", which the driver uses, the upper 16 bits say where in the frame the packet begins.
constexpr uint64_t kFrame = (uint64_t{1} << XSK_UNALIGNED_BUF_OFFSET_SHIFT) - 1;

struct Ring {
    const std::byte* memory;
    size_t size;  // bytes, whole pages
};

// Of both the entries of the fill and completion ring, and the descriptors of the rx and tx ring, the address is first.
void collect(const Ring& ring, const xdp_ring_offset& at, size_t entry, std::vector<uint64_t>& frames) {
    const auto index = [&](uint64_t offset) {
        const auto* word = reinterpret_cast<const uint32_t*>(ring.memory + offset);
        return __atomic_load_n(word, __ATOMIC_ACQUIRE);
    };
    const auto entries = static_cast<uint32_t>(std::bit_floor((ring.size - at.desc) / entry));
    const uint32_t producer = index(at.producer);
    uint32_t consumer = index(at.consumer);
    if (producer - consumer > entries) return;  // no ring as we know it
    for (; consumer != producer; consumer++) {
        uint64_t address = 0;
        std::memcpy(&address, ring.memory + at.desc + (consumer & (entries - 1)) * entry, sizeof address);
        frames.push_back(address & kFrame);
    }
}

}  // namespace

std::vector<uint64_t> frames_in_rings(int af_xdp_fd) {
    std::vector<uint64_t> frames;
    xdp_mmap_offsets offsets{};
    socklen_t size = sizeof offsets;
    struct stat socket {};
    if (getsockopt(af_xdp_fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &size) != 0 || fstat(af_xdp_fd, &socket) != 0)
        return frames;
    // The kernel lets nobody map the rings of a bound socket, but the driver's own mappings are there.
    const std::string name = fmt::format("socket:[{}]", socket.st_ino);
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        uintptr_t from = 0, to = 0;
        uint64_t what = 0;
        if (!line.ends_with(name) ||
            std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " %*s %" SCNx64, &from, &to, &what) != 3)
            continue;
        const Ring ring{reinterpret_cast<const std::byte*>(from), to - from};
        switch (what) {
            case XDP_PGOFF_RX_RING: collect(ring, offsets.rx, sizeof(xdp_desc), frames); break;
            case XDP_PGOFF_TX_RING: collect(ring, offsets.tx, sizeof(xdp_desc), frames); break;
            case XDP_UMEM_PGOFF_FILL_RING: collect(ring, offsets.fr, sizeof(uint64_t), frames); break;
            case XDP_UMEM_PGOFF_COMPLETION_RING: collect(ring, offsets.cr, sizeof(uint64_t), frames); break;
            default: break;
        }
    }
    return frames;
}

}  // namespace penstock::dataplane
