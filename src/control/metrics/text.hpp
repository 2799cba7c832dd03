#pragma once
// All that is measured, in the Prometheus text format. Pure: docs/metrics.md tells what each name means.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "control/mesh/mesh.hpp"
#include "flow/latency.hpp"
#include "flow/ledger.hpp"

namespace penstock::metrics {

struct PortCounters {
    std::string port;
    std::vector<std::pair<std::string, uint64_t>> counters;  // as the driver names them
};

struct TwinCounters {
    std::string port;
    uint64_t lost_to_kernel = 0;
    uint64_t lost_from_kernel = 0;
};

struct View {
    std::string version;
    std::string node;
    const mesh::Mesh& mesh;
    uint64_t now = 0;  // in the clock of rtp::ReceptionCounters::last_arrival: seconds, 32.32 fixed point
    std::vector<flow::Ledger> ledgers;                     // by worker
    std::vector<const flow::LatencyHistogram*> latencies;  // by worker
    std::vector<PortCounters> ports;
    std::vector<TwinCounters> twins;
    size_t table_pending = 0;
};

std::string render(const View& view);

// Packets of a path that are certainly lost: a hole that can still be filled is not, unless the path fell silent.
uint64_t lost(const rtp::ReceptionCounters& counters, uint64_t now);

}  // namespace penstock::metrics
