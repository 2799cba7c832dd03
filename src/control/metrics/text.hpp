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

struct WorkerView {
    flow::Ledger ledger;
    flow::Latency latency;
    uint64_t turns = 0;
    bool stalled = false;
};

struct PortView {
    std::string port;
    bool up = true;
    std::vector<std::pair<std::string, uint64_t>> counters;  // as the driver names them
};

struct TwinView {
    std::string port;
    uint64_t lost_to_kernel = 0;
    uint64_t lost_from_kernel = 0;
};

struct PoolView {
    std::string pool;
    uint64_t free = 0;
    uint64_t size = 0;
};

struct IngestView {  // what came by TCP
    uint64_t packets = 0, bytes = 0;
    uint64_t too_long = 0, no_buffer = 0, ring_full = 0;  // dropped
    uint64_t told = 0, gone = 0;  // RTCP for those it came from: given to the connection, or there was none any more
};

struct View {
    std::string version;
    std::string node;
    const mesh::Mesh& mesh;
    uint64_t now = 0;  // in the clock of rtp::ReceptionCounters::last_arrival: seconds, 32.32 fixed point
    std::vector<WorkerView> workers = {};
    std::vector<PortView> ports = {};
    std::vector<TwinView> twins = {};
    std::vector<PoolView> pools = {};
    size_t table_pending = 0;
    IngestView ingest = {};
};

std::string render(const View& view);

// Packets of a path that are certainly lost: a hole that can still be filled is not, unless the path fell silent.
uint64_t lost(const rtp::ReceptionCounters& counters, uint64_t now);

}  // namespace penstock::metrics
