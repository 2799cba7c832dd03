// bench-merge: what two paths cost an arriving packet, beyond its reception: hot, and of many tracks in turn. Without a
// NIC or a relay. Prints a JSON object a line: TSC cycles per arriving packet, of which half are copies.
#include <rte_cycles.h>

#include <memory>
#include <vector>

#include "dataplane/heap.hpp"
#include "rtp/merge.hpp"
#include "samples.hpp"

namespace {

using namespace penstock;
using namespace penstock::bench;

constexpr unsigned kRound = 2000, kRounds = 600, kWarm = 100;
constexpr uint64_t kPacket = (uint64_t{1} << 32) / 1500;

struct Track {
    rtp::Merge merge;
    rtp::Arrivals arrivals[2];
    uint32_t number = 1000;
};

// The second path is 20 packets behind and fills what the first one lost.
void run(uint32_t flows) {
    std::vector<std::unique_ptr<Track>> tracks(flows);
    for (auto& t : tracks) t = std::make_unique<Track>();
    uint64_t now = uint64_t{1} << 32, used = 0;
    Samples samples;
    for (unsigned round = 0; round < kRounds; round++) {
        const uint64_t start = rte_rdtsc_precise();
        for (unsigned i = 0; i < kRound; i += 2, now += kPacket) {
            Track& t = *tracks[i / 2 % flows];
            const auto bring = [&](unsigned path, uint32_t n) {
                used += t.merge.take(path, t.arrivals[path], static_cast<uint16_t>(n), n * 60, 7, now) ==
                        rtp::Arrival::first;
            };
            bring(0, t.number % 50 == 0 ? t.number - 1 : t.number);
            bring(1, t.number - 20);
            t.number++;
        }
        if (round >= kWarm) samples.add(static_cast<double>(rte_rdtsc_precise() - start) / kRound);
    }
    if (used == 0) std::abort();
    print({"merge", "penstock", 0, 1, flows, "hot"}, samples);
}

}  // namespace

int main() {
    dataplane::put_heap_on_huge_pages();  // as penstock does
    for (const uint32_t flows : {1u, 256u}) run(flows);
    return 0;
}
