#include "control/io/event_loop.hpp"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace penstock::io {
namespace {

// Without its loop the control thread can neither work nor report: descriptors ran out or there is a bug of ours.
[[noreturn]] void die(const char* what) {
    fmt::print(stderr, "event loop: {}: {}\n", what, std::strerror(errno));
    std::abort();
}

}  // namespace

EventLoop::EventLoop() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    if (!epoll_) die("epoll_create1");
}

EventLoop::Watch EventLoop::add(int fd, Fd owned, uint32_t events, Callback callback) {
    const uint64_t id = next_id_++;
    epoll_event event{};
    event.events = events;
    event.data.u64 = id;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) die("cannot watch a descriptor");
    watches_.emplace(id, Watched{fd, std::move(owned), std::make_shared<Callback>(std::move(callback))});
    return {this, id};
}

EventLoop::Watch EventLoop::on_signal(std::initializer_list<int> signals, std::function<void(int)> callback) {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : signals) sigaddset(&set, signal);
    if (pthread_sigmask(SIG_BLOCK, &set, nullptr) != 0) die("cannot block signals");
    Fd fd{signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)};
    if (!fd) die("signalfd");
    const int number = fd.get();
    return add(number, std::move(fd), EPOLLIN, [number, callback = std::move(callback)] {
        signalfd_siginfo info{};
        if (read(number, &info, sizeof info) == sizeof info) callback(static_cast<int>(info.ssi_signo));
    });
}

EventLoop::Timer EventLoop::add(Instant when, Duration period, Callback callback) {
    const uint64_t id = next_id_++;
    timers_.emplace(id, Timed{when, period, std::make_shared<Callback>(std::move(callback))});
    deadlines_.emplace(when, id);
    return {this, id};
}

EventLoop::Timer EventLoop::at(Instant when, Callback callback) {
    return add(when, Duration::zero(), std::move(callback));
}

EventLoop::Timer EventLoop::every(Duration period, Callback callback) {
    return add(Clock::now() + period, period, std::move(callback));
}

void EventLoop::remove(uint64_t id) {
    if (const auto watched = watches_.find(id); watched != watches_.end()) {
        epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, watched->second.fd, nullptr);
        watches_.erase(watched);
    } else if (const auto timed = timers_.find(id); timed != timers_.end()) {
        deadlines_.erase({timed->second.when, id});
        timers_.erase(timed);
    }
}

int EventLoop::timeout() const {
    if (deadlines_.empty()) return -1;
    // Rounded up: waking a little early would spin until the deadline.
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadlines_.begin()->first - Clock::now()).count();
    return static_cast<int>(std::clamp<int64_t>(left, 0, INT_MAX));
}

void EventLoop::run_timers() {
    const Instant now = Clock::now();
    // Only those due at the start of the turn: a timer that arms itself anew for "now" must not starve descriptors.
    std::vector<uint64_t> due;
    for (auto it = deadlines_.begin(); it != deadlines_.end() && it->first <= now; ++it) due.push_back(it->second);
    for (const uint64_t id : due) {
        const auto timed = timers_.find(id);
        if (timed == timers_.end() || stopping_) continue;
        const auto callback = timed->second.callback;
        deadlines_.erase({timed->second.when, id});
        if (timed->second.period == Duration::zero()) {
            timers_.erase(timed);
        } else {
            // Missed turns are skipped, not made up for.
            timed->second.when = std::max(timed->second.when + timed->second.period, now);
            deadlines_.emplace(timed->second.when, id);
        }
        (*callback)();
    }
}

void EventLoop::run() {
    std::array<epoll_event, 64> events;
    while (!stopping_) {
        const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout());
        if (count < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < count && !stopping_; i++) {
            const uint64_t id = events[static_cast<size_t>(i)].data.u64;  // a copy: epoll_event is packed, not aligned
            const auto watched = watches_.find(id);
            if (watched == watches_.end()) continue;  // removed by a callback of this turn
            const auto callback = watched->second.callback;
            (*callback)();
        }
        run_timers();
    }
    stopping_ = false;
}

void EventLoop::stop() { stopping_ = true; }

}  // namespace penstock::io
