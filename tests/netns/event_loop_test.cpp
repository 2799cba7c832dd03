#include "control/io/event_loop.hpp"

#include <unistd.h>
#include <catch2/catch.hpp>
#include <csignal>
#include <ctime>

#include <optional>
#include <vector>

using namespace penstock;
using namespace penstock::io;
using namespace std::chrono_literals;

namespace {

struct Pipe {
    Pipe() {
        int ends[2];
        REQUIRE(pipe(ends) == 0);
        out = Fd{ends[0]};
        in = Fd{ends[1]};
    }
    void write() const { REQUIRE(::write(in.get(), "x", 1) == 1); }
    void read() const {
        char byte = 0;
        REQUIRE(::read(out.get(), &byte, 1) == 1);
    }
    Fd out, in;
};

// So that a broken loop fails a test instead of hanging it.
EventLoop::Timer give_up(EventLoop& loop) {
    return loop.at(Clock::now() + 5s, [&loop] {
        CHECK("the loop called back" == std::string{"in time"});
        loop.stop();
    });
}

Duration cpu_time() {
    timespec spent{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return std::chrono::seconds{spent.tv_sec} + std::chrono::nanoseconds{spent.tv_nsec};
}

}  // namespace

TEST_CASE("a readable descriptor calls back until it was read") {
    EventLoop loop;
    const auto limit = give_up(loop);
    const Pipe pipe;
    int calls = 0;
    const auto watch = loop.watch(pipe.out.get(), [&] {
        pipe.read();
        if (++calls == 2) loop.stop();
    });
    pipe.write();
    pipe.write();
    loop.run();
    CHECK(calls == 2);
}

TEST_CASE("a hang-up calls back") {
    EventLoop loop;
    const auto limit = give_up(loop);
    Pipe pipe;
    bool called = false;
    const auto watch = loop.watch(pipe.out.get(), [&] {
        called = true;
        loop.stop();
    });
    pipe.in = Fd{};
    loop.run();
    CHECK(called);
}

TEST_CASE("a callback may end its own watch and another that is due in the same turn") {
    EventLoop loop;
    const auto limit = give_up(loop);
    const Pipe one, two;
    EventLoop::Watch first, second;
    int calls = 0;
    const std::vector<int> kept_alive(100, 7);  // captured by value: read after the watch is gone
    const auto end_both = [&, kept_alive] {
        calls++;
        first = {};
        second = {};
        CHECK(kept_alive.back() == 7);
    };
    first = loop.watch(one.out.get(), end_both);
    second = loop.watch(two.out.get(), end_both);
    one.write();
    two.write();
    const auto end = loop.at(Clock::now() + 20ms, [&] { loop.stop(); });
    loop.run();
    CHECK(calls == 1);
}

TEST_CASE("a watch ends with its object, and moves") {
    EventLoop loop;
    const auto limit = give_up(loop);
    const Pipe pipe;
    int calls = 0;
    {
        auto watch = loop.watch(pipe.out.get(), [&] { calls++; });
        const auto moved = std::move(watch);
        CHECK_FALSE(watch);
        CHECK(moved);
    }
    pipe.write();
    const auto end = loop.at(Clock::now() + 10ms, [&] { loop.stop(); });
    loop.run();
    CHECK(calls == 0);
    // The descriptor is free to be watched again.
    const auto again = loop.watch(pipe.out.get(), [&] {
        calls++;
        loop.stop();
    });
    loop.run();
    CHECK(calls == 1);
}

TEST_CASE("timers fire in the order of their times, never early, and the loop sleeps until then") {
    EventLoop loop;
    const auto limit = give_up(loop);
    const Instant start = Clock::now();
    const Duration spent = cpu_time();
    std::vector<int> order;
    std::vector<Duration> after;
    const auto note = [&](int what) {
        order.push_back(what);
        after.push_back(Clock::now() - start);
    };
    const auto late = loop.at(start + 100ms, [&] {
        note(3);
        loop.stop();
    });
    const auto early = loop.at(start + 30ms + 300us, [&] { note(2); });
    const auto past = loop.at(start - 1s, [&] { note(1); });
    {
        const auto removed = loop.at(start + 40ms, [&] { note(99); });
    }
    loop.run();
    CHECK(order == std::vector{1, 2, 3});
    CHECK(after[1] >= 30ms + 300us);
    CHECK(after[2] >= 100ms);
    CHECK(cpu_time() - spent < 50ms);
}

TEST_CASE("a periodic timer goes on until it is ended, by itself too") {
    EventLoop loop;
    const auto limit = give_up(loop);
    const Instant start = Clock::now();
    int calls = 0;
    EventLoop::Timer timer = loop.every(5ms, [&] {
        if (++calls < 4) return;
        timer = {};
        loop.stop();
    });
    loop.run();
    CHECK(calls == 4);
    CHECK(Clock::now() - start >= 20ms);
    const auto end = loop.at(Clock::now() + 15ms, [&] { loop.stop(); });
    loop.run();
    CHECK(calls == 4);
}

TEST_CASE("a timer that arms itself for now does not starve descriptors") {
    EventLoop loop;
    const auto limit = give_up(loop);
    const Pipe pipe;
    EventLoop::Timer timer;
    std::function<void()> again = [&] { timer = loop.at(Instant{}, again); };
    again();
    const auto watch = loop.watch(pipe.out.get(), [&] { loop.stop(); });
    pipe.write();
    loop.run();
    SUCCEED("it came back");
}

TEST_CASE("signals are called back with their number and do not kill") {
    EventLoop loop;
    const auto limit = give_up(loop);
    std::vector<int> got;
    sigset_t before;
    REQUIRE(pthread_sigmask(SIG_SETMASK, nullptr, &before) == 0);
    {
        const auto watch = loop.on_signal({SIGTERM, SIGHUP}, [&](int signal) {
            got.push_back(signal);
            if (got.size() == 2) loop.stop();
        });
        REQUIRE(raise(SIGHUP) == 0);
        REQUIRE(raise(SIGTERM) == 0);
        loop.run();
    }
    CHECK(got == std::vector{SIGHUP, SIGTERM});
    REQUIRE(pthread_sigmask(SIG_SETMASK, &before, nullptr) == 0);
}

TEST_CASE("stop() before run() is not lost") {
    EventLoop loop;
    loop.stop();
    loop.run();
    SUCCEED("it came back");
}
