// bench-table: the table apart from packets. One change among all flows, in microseconds; classify and find, in TSC
// cycles per packet. Prints a JSON object a line, as bench-relay does.
#include <rte_cycles.h>

#include <array>
#include <chrono>
#include <cstdlib>

#include "dataplane/heap.hpp"
#include "flow/classify.hpp"
#include "samples.hpp"
#include "traffic.hpp"

namespace {

using namespace penstock;
using namespace penstock::bench;

constexpr uint16_t kPayload = 200;
constexpr size_t kFrames = 4096;

void changes(const mesh::Mesh& mesh, const flow::Table& table, uint32_t flows) {
    Samples us;
    for (unsigned n = 0; n < 300; n++) {
        const flow::Flows& of = mesh.tracks()[n * 97 % flows]->flows;
        const flow::FlowPtr old(of, &of->front());
        const std::array removed{old};
        const std::array added{flow::FlowPtr{std::make_shared<flow::Flow>(*old)}};
        const auto start = std::chrono::steady_clock::now();
        const auto next = table.with(added, removed);
        us.add(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
    }
    fmt::print(R"({{"case": "table-change", "subject": "penstock", "flows": {}, "microseconds_median": {:.1f}, )"
               R"("microseconds_best": {:.1f}}})"
               "\n",
               flows, us.median(), us.best());
}

void lookups(const flow::Table& table, uint32_t flows) {
    constexpr size_t kSize = kHeaders + kPayload;
    Traffic traffic(flows);
    std::vector<std::byte> frames(kFrames * kSize);
    for (size_t i = 0; i < kFrames; i++) traffic.write_next(&frames[i * kSize], kPayload);
    Samples cycles;
    for (unsigned round = 0; round < 300; round++) {
        size_t found = 0;
        const uint64_t start = rte_rdtsc();
        for (size_t i = 0; i < kFrames; i++) {
            const std::span frame{&frames[i * kSize], kSize};
            const auto in = flow::classify(frame);
            found += table.find(in.key, flow::sender_of(frame, in), 0) != nullptr;
        }
        const uint64_t took = rte_rdtsc() - start;
        if (found != kFrames) fmt::print(stderr, "bench-table: {} of {} found\n", found, kFrames), std::exit(1);
        cycles.add(static_cast<double>(took) / kFrames);
    }
    print({.of = "classify-find", .subject = "penstock", .size = kPayload, .flows = flows}, cycles);
}

}  // namespace

int main() {
    dataplane::put_heap_on_huge_pages();  // as penstock does
    for (const uint32_t flows : {1000u, 100000u}) {
        const auto mesh = make_mesh(flows, 1, true);
        const auto table = mesh->compile();
        changes(*mesh, *table, flows);
        lookups(*table, flows);
    }
    return 0;
}
