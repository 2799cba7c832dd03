#pragma once
// The control thread's loop: calls back when a descriptor is readable, a time has come or a signal arrived.
// One thread only. What watch() and the others return must not outlive the loop.
#include <sys/epoll.h>

#include <csignal>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "base/time.hpp"
#include "control/io/fd.hpp"

namespace penstock::io {

class EventLoop {
public:
    using Callback = std::function<void()>;

    // Ends what it stands for when it is destroyed; a callback may destroy its own or any other, at any time.
    class [[nodiscard]] Registration {
    public:
        Registration() noexcept = default;
        Registration(Registration&& other) noexcept { *this = std::move(other); }
        Registration& operator=(Registration&& other) noexcept {
            Registration old{std::exchange(loop_, other.loop_), std::exchange(id_, other.id_)};
            other.loop_ = nullptr;
            return *this;
        }
        ~Registration() {
            if (loop_ != nullptr) loop_->remove(id_);
        }
        explicit operator bool() const noexcept { return loop_ != nullptr; }

    private:
        friend EventLoop;
        Registration(EventLoop* loop, uint64_t id) noexcept : loop_(loop), id_(id) {}
        EventLoop* loop_ = nullptr;
        uint64_t id_ = 0;
    };
    using Watch = Registration;
    using Timer = Registration;

    EventLoop();
    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;

    // Calls back as long as `fd` is readable, hung up or in error. End the watch before the descriptor is closed:
    // its number may stand for another one right after.
    Watch watch(int fd, Callback callback) { return add(fd, Fd{}, EPOLLIN, std::move(callback)); }
    // The same for writable. One descriptor is watched for one of the two at a time.
    Watch watch_writable(int fd, Callback callback) { return add(fd, Fd{}, EPOLLOUT, std::move(callback)); }
    Timer at(Instant when, Callback callback);  // once; a past instant: in the next turn
    Timer every(Duration period, Callback callback);
    // Blocks the signals for this thread and those it starts later, so call it before any other thread is started.
    // They stay blocked when the watch ends: a second SIGTERM must not kill a process that is draining.
    Watch on_signal(std::initializer_list<int> signals, std::function<void(int)> callback);

    void run();   // until stop()
    void stop();  // may be called before run(), which then returns at once

private:
    struct Watched {
        int fd;
        Fd owned;                            // a signalfd
        std::shared_ptr<Callback> callback;  // shared with the call in progress, which may remove this
    };
    struct Timed {
        Instant when;
        Duration period;  // zero: once
        std::shared_ptr<Callback> callback;
    };

    Watch add(int fd, Fd owned, uint32_t events, Callback callback);
    Timer add(Instant when, Duration period, Callback callback);
    void remove(uint64_t id);
    int timeout() const;  // in milliseconds, as epoll_wait() wants it
    void run_timers();

    Fd epoll_;
    std::map<uint64_t, Watched> watches_;
    std::map<uint64_t, Timed> timers_;
    std::set<std::pair<Instant, uint64_t>> deadlines_;  // of timers_, earliest first
    uint64_t next_id_ = 1;                              // never reused: a late event cannot hit a later registration
    bool stopping_ = false;
};

}  // namespace penstock::io
