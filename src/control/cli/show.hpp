#pragma once
// The answers of the show commands, from the model and what the data plane tells. Pure. docs/cli.md lists the JSON
// keys.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "control/cli/report.hpp"
#include "control/mesh/mesh.hpp"
#include "control/metrics/text.hpp"
#include "flow/latency.hpp"
#include "flow/ledger.hpp"

namespace penstock::cli {

struct WorkerFacts {
    unsigned core = 0;
    int numa_node = -1;  // -1: not known
    std::string queues;  // "lan/0, wan/0"
    mesh::Placement placed;
    flow::Ledger ledger;
    flow::Latency latency;
    bool stalled = false;
};

struct PortFacts {
    flow::PortInfo info;
    std::string driver;     // of DPDK
    std::string steering;   // af_xdp: "native (driver veth)"
    std::string zero_copy;  // af_xdp: "copy: driver veth does not offer zero-copy"
    unsigned rx_queues = 0, tx_queues = 0;
    int numa_node = -1;
    std::string device;                // pci: its address and IDs
    std::string firmware;              // empty: the driver does not tell
    std::string offloads;              // what of the NIC's is in use
    std::string multicast;             // that the NIC lets in
    std::optional<size_t> flow_rules;  // flows that the NIC was told a queue for; absent: not asked
    std::string why_down;              // empty: it is up
    std::vector<std::pair<std::string, uint64_t>> counters;  // as the driver names them
    std::string segmentation;  // af_xdp: "tracks with 16 receivers and more", "none: Linux 5.15 is older"
};

Report show_streams(const mesh::Mesh& mesh, uint64_t now);
Report show_stream(const mesh::Mesh& mesh, const mesh::Stream& stream, uint64_t now);
Section late_joiners(const mesh::Stream& stream);    // one of show_stream()
Section media_delivery(const mesh::Stream& stream);  // another
Report show_stream_path(const mesh::Mesh& mesh, const mesh::Stream& stream, const std::vector<PortFacts>& ports,
                        const std::vector<WorkerFacts>& workers);
// Of one of two paths, else unknown: how much of what was used it brought, and how it stands to the other one.
Cell first_share(const mesh::Track& track, const mesh::Path& path);
Cell behind_ms(const mesh::Track& track, const mesh::Path& path);
Report show_stream_repair(const mesh::Stream& stream);
// What a receiver of the stream's outputs is told. `receivers`: addresses, or address:port, of those that are meant;
// empty: there is one. There must be such a stream.
Result<std::string> stream_sdp(const mesh::Mesh& mesh, const std::string& name, std::string_view receivers);
std::vector<std::string> receivers_of(const mesh::Stream& stream);  // as stream_sdp() takes them
std::string text(const rtp::fec::Carriage& carriage);               // "st2022-1", "flexfec 110"
std::string text(const rtp::fec::Code& code);                       // "flexfec 110 10x10 row+column block"
Report show_workers(const mesh::Mesh& mesh, const std::vector<WorkerFacts>& workers);
Report show_drops(const std::vector<WorkerFacts>& workers);
Report show_port_info(const std::vector<PortFacts>& ports);
Report show_port_counters(const std::vector<PortFacts>& ports, bool all);  // all: xstats; otherwise the usual ones
Report show_config(const mesh::Mesh& mesh);
Section state_of(const mesh::Mesh& mesh);  // of these: whether `stop` is in force

}  // namespace penstock::cli
