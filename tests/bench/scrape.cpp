// bench-scrape: how long control takes to write all metrics of 10,000 legs, as one stream and as 10,000 of them. Prints
// a JSON object a line.
#include <chrono>

#include "control/metrics/text.hpp"
#include "dataplane/heap.hpp"
#include "samples.hpp"
#include "traffic.hpp"

int main() {
    using namespace penstock;
    dataplane::put_heap_on_huge_pages();  // as penstock does
    using Clock = std::chrono::steady_clock;
    constexpr uint32_t kLegs = 10'000;
    for (const uint32_t streams : {1u, 100u, kLegs}) {
        const auto mesh = bench::make_mesh(streams, kLegs / streams, true);
        metrics::View view{.version = "1",
                           .node = "bench",
                           .mesh = *mesh,
                           .now = uint64_t{10} << 32,
                           .workers = std::vector<metrics::WorkerView>(2)};
        for (const mesh::Track* track : mesh->tracks()) {  // counters of the usual length
            track->latency->add(uint64_t{1} << 16);
            for (const mesh::Path& path : track->paths)
                path.state->reception.receive(1, 3000, 1, 1'000'000'000, uint64_t{9} << 32, 3000, 90000);
            for (const mesh::Output& output : track->outputs) {
                output.state->packets.add(12'345'678);
                output.state->bytes.add(12'345'678'901);
            }
        }
        bench::Samples milliseconds;
        size_t bytes = 0;
        for (int i = 0; i < 30; i++) {
            const auto start = Clock::now();
            bytes = metrics::render(view).size();
            milliseconds.add(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
        }
        fmt::print(R"({{"case": "scrape", "subject": "penstock", "flows": {}, "fanout": {}, "bytes": {}, )"
                   R"("milliseconds_median": {:.1f}, "milliseconds_best": {:.1f}}})"
                   "\n",
                   streams, kLegs / streams, bytes, milliseconds.median(), milliseconds.best());
    }
    return 0;
}
