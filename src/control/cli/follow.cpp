#include "control/cli/follow.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <ctime>

#include "base/time.hpp"

namespace penstock::cli {
namespace {

constexpr timespec kBetween{0, 50'000'000};

sigset_t interrupts() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}

}  // namespace

void hold_interrupts() {
    const sigset_t set = interrupts();
    sigprocmask(SIG_BLOCK, &set, nullptr);
}

Result<Followed> follow_capture(Connection& connection, std::optional<std::chrono::milliseconds> at_most) {
    const bool shown = !at_most && isatty(STDERR_FILENO) != 0;
    std::string ours;  // its number
    for (const Instant start = Clock::now();;) {
        const auto reply = connection.ask("progress", "");
        if (!reply) return fail(reply.error().text);
        std::string line = reply->body;
        if (!line.empty() && line.back() == '\n') line.pop_back();
        const size_t space = line.find(' ');
        const std::string number = line.substr(0, space);
        const std::string state = space == std::string::npos ? "" : line.substr(space + 1);
        if (ours.empty()) ours = number;
        const bool running = state.starts_with("running") && number == ours;
        if (shown && running) fmt::print(stderr, "\r{} packets ", state.substr(state.find(' ') + 1));
        if (shown && !running) fmt::print(stderr, "\r\x1b[K");
        if (number != ours) return Followed{true, "another capture was started since; the log tells of this one"};
        if (!running) return Followed{true, state.starts_with("failed ") ? state.substr(7) : ""};
        if (at_most && Clock::now() - start >= *at_most) return Followed{};
        const sigset_t set = interrupts();
        if (sigtimedwait(&set, nullptr, &kBetween) < 0) continue;
        sigprocmask(SIG_UNBLOCK, &set, nullptr);  // the next one ends us
        if (const auto stopped = connection.ask("text", "capture stop"); !stopped) return fail(stopped.error().text);
    }
}

}  // namespace penstock::cli
