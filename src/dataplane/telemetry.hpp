#pragma once
// penstock's own commands in DPDK's telemetry (dpdk-telemetry.py): /penstock/streams, /penstock/stream,NAME,
// /penstock/workers and /penstock/drops. DPDK calls them on threads of its own, one a client, and what they ask for is
// control's: so a question is handed to the control thread, and whoever asked waits for the answer, but not for long.
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.hpp"

namespace penstock::dataplane {

class Telemetry {
public:
    enum class About : uint8_t { streams, stream, workers, drops };

    using Fields = std::vector<std::pair<std::string, std::variant<uint64_t, std::string>>>;
    struct Told {
        std::vector<std::string> names;                     // a list; or else an object
        Fields fields;                                      // of these
        std::vector<std::pair<std::string, Fields>> parts;  // and of objects
    };
    // Absent: there is no such thing.
    using Answer = std::function<std::optional<Told>(About what, std::string_view parameter)>;

    // `answer` is called on the thread that calls serve(). There is one Telemetry at a time, since DPDK's callbacks
    // carry no argument.
    static Result<std::unique_ptr<Telemetry>> open(Answer answer);
    ~Telemetry();
    Telemetry(const Telemetry&) = delete;
    Telemetry& operator=(const Telemetry&) = delete;

    int fd() const noexcept { return fd_; }  // readable while somebody waits: call serve() then
    void serve();

    // A thread of DPDK's, one at a time. Absent also when there is no answer in time.
    std::optional<Told> ask(About what, std::string_view parameter);

private:
    explicit Telemetry(Answer answer) : answer_(std::move(answer)) {}

    struct Question {
        About what;
        std::string parameter;
    };
    const Answer answer_;
    int fd_ = -1;       // eventfd
    std::mutex mutex_;  // of what follows; held for moments only
    std::condition_variable answered_;
    std::optional<Question> question_;
    std::optional<Told> told_;
};

}  // namespace penstock::dataplane
