#pragma once
// DPDK's environment: one a process, started by main, cleaned up by the destructor.
#include <memory>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "base/result.hpp"

namespace penstock::dataplane {

enum class Hugepages : uint8_t { automatic, on, off };

struct EalPlan {
    unsigned control_core = 0;
    std::vector<unsigned> worker_cores;  // lcore i + 1 runs on worker_cores[i]
    Hugepages hugepages = Hugepages::automatic;
    size_t memory = 0;                     // bytes that the pools and rings will take
    size_t free_hugepages = 0;             // of 2 MiB, that this process may have
    std::vector<std::string> pci_devices;  // "0000:3b:02.1"; no others are touched
    bool telemetry = false;                // DPDK's socket for dpdk-telemetry.py
    bool verbose = false;                  // DPDK's own informational lines too
};

// Pages of 2 MiB that `memory` bytes of pools and rings take, and DPDK itself.
size_t hugepages_for(size_t memory);

class Eal {
public:
    static Result<std::unique_ptr<Eal>> start(const EalPlan& plan, Log& log);
    ~Eal();
    Eal(const Eal&) = delete;
    Eal& operator=(const Eal&) = delete;

    bool hugepages() const noexcept { return hugepages_; }

private:
    Eal() = default;
    bool hugepages_ = false;
    std::string runtime_directory_;  // ours alone
};

}  // namespace penstock::dataplane
