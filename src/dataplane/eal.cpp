#include "dataplane/eal.hpp"

#include <fmt/format.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <rte_version.h>

#include <cstdio>

#include "dataplane/runtime_dir.hpp"

namespace penstock::dataplane {
namespace {

constexpr size_t kHugepage = size_t{2} << 20;

// What drivers of virtual functions say, as information, when their reset was not answered or gave no MAC address; they
// go on as if it had.
constexpr std::string_view kInvented = "MAC address not assigned by Host PF";

// DPDK writes to a FILE*; its lines become ours. The cookie is the Log, which outlives the Eal.
ssize_t write_line(void* cookie, const char* text, size_t size) {
    Log& log = *static_cast<Log*>(cookie);
    std::string_view line{text, size};
    if (line.contains(kInvented))
        log.warning(
            "a virtual function was given no MAC address, and its driver invents one: its physical function has none "
            "for it ('ip link set PF vf N mac ...'), or is down; then nothing passes until it is up");
    if (rte_log_cur_msg_loglevel() > static_cast<int>(RTE_LOG_WARNING) && !log.enabled(Level::debug))
        return static_cast<ssize_t>(size);
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
    if (!line.empty()) log.line(Level::warning, fmt::format("dpdk: {}", line));
    return static_cast<ssize_t>(size);
}

void log_through(Log& log) {
    const cookie_io_functions_t functions{nullptr, write_line, nullptr, nullptr};
    std::FILE* stream = fopencookie(&log, "w", functions);
    if (stream == nullptr) return;
    setvbuf(stream, nullptr, _IOLBF, 512);
    rte_openlog_stream(stream);
}

}  // namespace

size_t hugepages_for(size_t memory) {
    return (memory + kHugepage - 1) / kHugepage + 8;  // the rest: EAL's own needs
}

Result<std::unique_ptr<Eal>> Eal::start(const EalPlan& plan, Log& log) {
    const size_t wanted = hugepages_for(plan.memory);
    const size_t have = plan.hugepages == Hugepages::off ? 0 : plan.free_hugepages;
    // Where they must be, DPDK is told so whatever was counted: `penstock doctor` said before what is wrong.
    const bool huge = have >= wanted || plan.hugepages == Hugepages::on || !plan.pci_devices.empty();

    std::vector<std::string> args{"penstock", "--no-shconf", fmt::format("--file-prefix=penstock-{}", getpid())};
    std::string lcores = fmt::format("0@{}", plan.control_core);
    for (size_t i = 0; i < plan.worker_cores.size(); i++) lcores += fmt::format(",{}@{}", i + 1, plan.worker_cores[i]);
    args.insert(args.end(), {"--lcores", lcores, "--main-lcore=0"});
    if (huge) {
        args.push_back("--in-memory");  // needs no hugetlbfs mount and leaves no files
    } else {
        args.insert(args.end(), {"--no-huge", "-m", "64"});  // packet pools have their own memory (pools.cpp)
    }
    // With devices it is DPDK's choice: virtual addresses behind an IOMMU, physical ones where there is none.
    if (plan.pci_devices.empty()) args.insert(args.end(), {"--no-pci", "--iova-mode=va"});
    for (const std::string& device : plan.pci_devices) args.insert(args.end(), {"-a", device});
    const bool functions = !plan.pci_devices.empty();  // for kInvented; the rest of it is left out by write_line()
    args.push_back(fmt::format("--log-level={}", plan.verbose || functions ? "info" : "warning"));
    if (functions) args.emplace_back("--log-level=pmd.net.*.init:info");

    if (!plan.telemetry) args.emplace_back("--no-telemetry");

    log_through(log);
    std::vector<char*> argv;
    for (std::string& arg : args) argv.push_back(arg.data());
    if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0)
        return fail(fmt::format("DPDK did not start: {}", rte_strerror(rte_errno)));
    std::unique_ptr<Eal> eal(new Eal);
    eal->hugepages_ = huge;
    eal->runtime_directory_ = rte_eal_get_runtime_dir();
    remove_stale_siblings(eal->runtime_directory_);
    if (plan.telemetry) log.info("telemetry: dpdk-telemetry.py -f penstock-{}", getpid());
    if (huge) {
        log.info("{}: on hugepages of 2 MiB (up to {} needed, {} free)", rte_version(), wanted, have);
    } else {
        log.info("{}: without hugepages ({}); packet pools lie on transparent huge pages where the kernel gives them",
                 rte_version(),
                 plan.hugepages == Hugepages::off ? std::string("memory.hugepages is off")
                                                  : fmt::format("{} of {} are free", have, wanted));
    }
    return eal;
}

Eal::~Eal() {
    rte_eal_cleanup();
    remove_runtime_directory(runtime_directory_);  // DPDK does not
}

}  // namespace penstock::dataplane
