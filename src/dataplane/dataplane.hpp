#pragma once
// The data plane as a whole: pools, ports, twins, workers and the table that they read. main() makes one.
#include <rte_ring.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "base/result.hpp"
#include "dataplane/diversion.hpp"
#include "dataplane/eal.hpp"
#include "dataplane/ingest.hpp"
#include "dataplane/pools.hpp"
#include "dataplane/port.hpp"
#include "dataplane/port_set.hpp"
#include "dataplane/rcu.hpp"
#include "dataplane/replies.hpp"
#include "dataplane/twin.hpp"
#include "dataplane/worker.hpp"
#include "flow/publisher.hpp"

namespace penstock::dataplane {

struct DataplanePlan {
    std::vector<PortPlan> ports;
    unsigned workers = 1;
    unsigned mbufs = 32768;
    bool sleep_when_idle = true;
};

// Bytes of packet memory that a plan takes; what EalPlan::memory wants to know.
size_t memory_of(unsigned mbufs);

class Dataplane final : public flow::Publisher {
public:
    // Opens all ports; on failure nothing is left behind.
    static Result<std::unique_ptr<Dataplane>> open(const DataplanePlan& plan, const Eal& eal, Log& log);
    ~Dataplane() override;

    void start();  // the workers; before it, a table should be published

    void publish(std::unique_ptr<const flow::Table> next) override { table_.publish(std::move(next)); }
    // From the next turn of each worker on; one without taps ends it.
    void capture(std::unique_ptr<const flow::Capture> next) { capture_.publish(std::move(next)); }
    size_t reclaim() override;  // closes ports, too, that no worker uses any more

    // A port whose netdev went: from the next turn on the workers leave it alone, and reclaim() closes it.
    void leave(uint16_t port);
    // What has been closed is opened anew, on the netdev that has the name by now, and given to the workers.
    Result<void> rejoin(uint16_t port, Log& log);

    Ingest& ingest() noexcept { return *ingest_; }           // what comes by TCP
    Diversion& diversion() noexcept { return *diversion_; }  // what leaves by TCP
    Replies& replies() noexcept { return *replies_; }        // what sources whose media comes by TCP are told

    // The first rx queue of the port that the worker polls.
    std::optional<uint16_t> queue_of(uint16_t port, uint16_t worker) const;

    const std::vector<std::unique_ptr<Port>>& ports() const noexcept { return ports_; }
    const std::vector<std::unique_ptr<Worker>>& workers() const noexcept { return workers_; }
    const std::vector<std::unique_ptr<TapTwin>>& twins() const noexcept { return twins_; }  // by port; null: none
    struct PoolUse {
        std::string name;
        unsigned free = 0, size = 0;  // mbufs
    };
    std::vector<PoolUse> pools() const;

private:
    explicit Dataplane(unsigned workers);
    Result<void> open_ports(const DataplanePlan& plan, Log& log);
    Result<void> make_workers(const DataplanePlan& plan);
    void publish_ports();
    Result<rte_ring*> make_ring(const std::string& name, unsigned size);

    struct FreeRing {
        void operator()(rte_ring* ring) const noexcept;
    };
    // Destroyed from the bottom up: workers before what they use, pools last.
    Pool packets_, headers_;
    std::vector<std::unique_ptr<rte_ring, FreeRing>> rings_;
    std::unique_ptr<Ingest> ingest_;
    std::unique_ptr<Diversion> diversion_;
    std::unique_ptr<Replies> replies_;
    Qsbr qsbr_;
    Published<flow::Table> table_;
    Published<flow::Capture> capture_;
    Published<PortSet> port_sets_;
    uint64_t port_generation_ = 0;
    std::vector<uint16_t> leaving_;  // ports that some worker may still be using
    std::vector<std::unique_ptr<Port>> ports_;
    std::vector<std::unique_ptr<TapTwin>> twins_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::unique_ptr<TwinThread> twin_thread_;
    std::atomic<bool> stop_{false};  // written by control, read by workers
    bool running_ = false;
};

}  // namespace penstock::dataplane
