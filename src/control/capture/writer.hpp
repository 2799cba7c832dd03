#pragma once
// A capture on its way to a file: a thread of its own drains the workers' rings, so that a slow or full disk holds up
// neither control nor a worker. What it cannot keep up with, the workers miss and count.
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.hpp"
#include "flow/capture.hpp"

namespace penstock::capture {

struct Interface {
    std::string name, description;
};

struct Plan {
    uint64_t number = 0;  // counts the captures of a forwarder
    std::string what;     // "stream camera-1, leg 10.0.1.20:6000"
    std::string file;
    uint64_t count = 0;                                   // packets after which it ends
    uint32_t rate = 0;                                    // packets a second and worker
    std::string application;                              // "penstock 0.1.0"
    std::vector<Interface> interfaces;                    // by PortInfo::index
    std::vector<std::string> labels;                      // by CaptureRecord::subject
    std::vector<std::shared_ptr<flow::CaptureTap>> taps;  // by worker
    // The same moment in the workers' clock and in nanoseconds since 1970.
    uint64_t anchor = 0, anchor_unix = 0;
};

struct Progress {
    bool running = true;
    bool failed = false;
    std::string ending;               // "running", "count reached", "stopped", or what went wrong
    uint64_t packets = 0, bytes = 0;  // in the file: packets, and bytes of all of it
    uint64_t missed_by_rate = 0, missed_by_ring = 0;
};

// A new file, readable and writable for the owner only; never one that is there, nor the target of a link.
Result<int> create_file(const std::string& path);

class Writer {
public:
    using Create = std::function<Result<int>(const std::string& path)>;

    // At once another thread creates the file and writes; errors are told by progress().
    explicit Writer(Plan plan, Create create = create_file);
    ~Writer();  // stops it, and waits a second for a disk that hangs, not longer

    void stop();  // returns at once
    const Plan& plan() const noexcept;
    Progress progress() const;

private:
    struct Shared;  // outlives this object while the disk hangs

    std::shared_ptr<Shared> shared_;
    std::thread thread_;
};

}  // namespace penstock::capture
