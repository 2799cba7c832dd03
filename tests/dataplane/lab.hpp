#pragma once
// Real workers on real mbufs, on ports whose wires are rings that the test holds. The test calls turn() itself, so
// every step is deterministic; when the lab ends, every buffer must be back in its pool.
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/diversion.hpp"
#include "dataplane/eal.hpp"
#include "dataplane/ingest.hpp"
#include "dataplane/pools.hpp"
#include "dataplane/replies.hpp"
#include "dataplane/worker.hpp"
#include "support/flows.hpp"

namespace penstock::test {

struct LabPort {
    bool partial_checksums = false;
    bool kernel_has_copy = false;
    bool twin = false;
    std::optional<std::vector<uint16_t>> vlans = {};  // of a virtual function that tells its port VLAN, too
    unsigned wire = 1024;                             // frames that the wire out holds, less one
    uint32_t trains_from = 0;  // legs from which on packets leave as trains, by a packet socket; 0: it has none
    int socket_buffer = 0;     // bytes that this socket takes until it is read; 0: the usual
    bool relayed = false;      // only worker 0 has a tx queue; the others send through rings to it
};

struct LabPlan {
    std::vector<LabPort> ports{{}, {}};
    unsigned workers = 1;
    unsigned inbox = 1024;     // to a worker that owns tracks
    unsigned ingest = 64;      // from TCP to a worker
    unsigned diversion = 256;  // to the thread that writes to viewers over TCP
    unsigned replies = 64;     // to control, for sources by TCP
    unsigned shares = 256;     // to a worker that serves some of a packet's legs
    unsigned relay = 64;       // to the worker that owns a tx queue
    unsigned twin = 8;         // to the kernel twin
    unsigned mbufs = 2048;
    bool sleep_when_idle = false;
};

struct Sent {
    Bytes frame;
    unsigned segments = 1;
};

// What a packet socket was given: one packet, or several that the kernel is to cut.
struct SentBySocket {
    dataplane::VirtioHeader how;
    Bytes frame;
};

class Lab {
public:
    explicit Lab(LabPlan plan = {});
    ~Lab();
    Lab(const Lab&) = delete;
    Lab& operator=(const Lab&) = delete;

    void publish(std::vector<flow::FlowPtr> flows, bool stopped = false);
    dataplane::Published<flow::Table>& published() { return *published_; }
    dataplane::Published<flow::Capture>& captures() { return *captures_; }
    void port_up(uint16_t port, bool up);  // as control tells the workers
    dataplane::Published<dataplane::PortSet>& port_sets() { return *port_sets_; }
    dataplane::Worker& worker(unsigned w = 0) { return *workers_[w]; }
    const dataplane::Pools& pools() const { return pools_; }

    dataplane::Ingest& ingest() { return *ingest_; }
    struct Diverted {
        uint64_t feed = 0;
        bool rtcp = false;
        Bytes packet;
    };
    std::vector<Diverted> diverted();  // what viewers over TCP are to get
    struct Reply {
        Endpoint at;
        Bytes rtcp;
    };
    std::vector<Reply> replies();  // what sources are to be told by TCP

    rte_mbuf* mbuf(std::span<const std::byte> frame, uint16_t headroom = RTE_PKTMBUF_HEADROOM);
    void arrive(rte_mbuf* m, uint16_t port = 0, unsigned worker = 0);
    void arrive(const Bytes& frame, uint16_t port = 0, unsigned worker = 0) { arrive(mbuf(frame), port, worker); }
    // One round of one worker; its ledger balances afterwards.
    bool turn(unsigned worker = 0);
    void run();  // all workers, until nothing moves
    // What left by the port, first come first; the buffers are given back.
    std::vector<Sent> sent(uint16_t port, unsigned worker = 0);
    std::vector<SentBySocket> sent_by_socket(uint16_t port, unsigned worker = 0);
    const dataplane::SegmenterCounters& socket_counters(uint16_t port, unsigned worker = 0) const {
        return ports_[port].counters[worker];
    }
    std::vector<Sent> punted(uint16_t port);  // to the kernel twin
    flow::Ledger ledger(unsigned worker = 0) const { return workers_[worker]->ledger().read(); }
    size_t buffers_out() const;  // of both pools

private:
    struct Wires {
        std::vector<rte_ring*> in, out;    // by worker
        std::vector<int> sockets, kernel;  // by worker; the other ends
        std::vector<dataplane::SegmenterCounters> counters;
        rte_ring* twin = nullptr;
        uint16_t ethdev = 0;
        std::string name;
    };
    rte_ring* ring(unsigned size);
    void make_port(const LabPort& plan);
    static std::vector<Sent> taken(rte_ring* from);

    unsigned id_;
    LabPlan plan_;
    dataplane::Pool packets_, headers_;
    dataplane::Pools pools_;
    std::vector<rte_ring*> rings_;
    std::vector<Wires> ports_;
    std::unique_ptr<dataplane::Ingest> ingest_;
    std::unique_ptr<dataplane::Diversion> diversion_;
    std::unique_ptr<dataplane::Replies> replies_;
    dataplane::Qsbr qsbr_;
    std::unique_ptr<dataplane::Published<flow::Table>> published_;
    std::unique_ptr<dataplane::Published<flow::Capture>> captures_;
    dataplane::PortSet set_;
    std::unique_ptr<dataplane::Published<dataplane::PortSet>> port_sets_;
    std::vector<std::unique_ptr<dataplane::Worker>> workers_;
};

}  // namespace penstock::test
