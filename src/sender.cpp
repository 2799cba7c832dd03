#include "sender.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

namespace penstock {
namespace {

// Workers wake nobody: that would be a system call on their way. So their ring is looked at, which holds far more than
// comes in this time.
constexpr int kLookEvery = 2;  // milliseconds
constexpr int kIdle = 200;     // when nobody watches: for what workers diverted before they knew
constexpr uint64_t kAsked = UINT64_MAX;

int checked(int fd) {
    if (fd < 0) std::abort();  // out of descriptors while one was just opened for a viewer: nothing goes on from here
    return fd;
}

void ring(const io::Fd& bell) {
    const uint64_t one = 1;
    if (write(bell.get(), &one, sizeof one) < 0) return;  // full: it rings already
}

void silence(const io::Fd& bell) {
    uint64_t count = 0;
    if (read(bell.get(), &count, sizeof count) < 0) return;  // it did not ring
}

}  // namespace

Sender::Sender(flow::TakeDiverted take)
    : take_(std::move(take)),
      epoll_(checked(epoll_create1(EPOLL_CLOEXEC))),
      asked_(checked(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC))),
      told_(checked(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC))) {
    epoll_event event{.events = EPOLLIN, .data = {.u64 = kAsked}};
    checked(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, asked_.get(), &event));
    thread_ = std::thread([this] { run(); });
}

Sender::~Sender() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    ring(asked_);
    thread_.join();
}

void Sender::adopt(rtsp::ConnectionId id, std::shared_ptr<ByteSink> sink, std::string unsent) {
    ask([this, id, sink = std::move(sink), unsent = std::move(unsent)](rtsp::Interleaver& to, Instant) {
        epoll_event event{.events = EPOLLOUT | EPOLLET, .data = {.u64 = id}};
        if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, sink->descriptor(), &event) == 0) sockets_[id] = sink->descriptor();
        to.adopt(id, sink, unsent);
    });
}

void Sender::forget(rtsp::ConnectionId id) {
    ask([this, id](rtsp::Interleaver& to, Instant) {
        // By hand: the descriptor may be open elsewhere, and then it would stay in the set.
        if (const auto socket = sockets_.extract(id)) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket.mapped(), nullptr);
        to.forget(id);
    });
}

void Sender::ask(Task task) {
    bool first = false;
    {
        const std::lock_guard lock(mutex_);
        first = tasks_.empty();
        tasks_.push_back(std::move(task));
    }
    if (first) ring(asked_);
}

std::vector<rtsp::Interleaver::Event> Sender::events() {
    silence(told_);
    const std::lock_guard lock(mutex_);
    return std::exchange(events_, {});
}

void Sender::run() {
    std::array<epoll_event, 64> ready;
    for (;;) {
        const int n = epoll_wait(epoll_.get(), ready.data(), static_cast<int>(ready.size()),
                                 interleaver_.busy() ? kLookEvery : kIdle);
        std::vector<Task> tasks;
        silence(asked_);
        {
            const std::lock_guard lock(mutex_);
            if (stopping_) return;
            tasks.swap(tasks_);
        }
        const Instant now = Clock::now();
        for (const Task& task : tasks) task(interleaver_, now);
        for (int i = 0; i < n; i++)
            if (const uint64_t id = ready[static_cast<size_t>(i)].data.u64; id != kAsked)
                interleaver_.writable(now, id);
        work();
        tell();
    }
}

void Sender::work() {
    const Instant now = Clock::now();
    while (take_([&](const flow::Diverted& d) { interleaver_.take(now, d.feed, d.rtcp, d.packet); }) != 0) {
    }
    interleaver_.flush(now);
}

void Sender::tell() {
    bool any = false;
    while (auto event = interleaver_.poll()) {
        const std::lock_guard lock(mutex_);
        events_.push_back(*event);
        any = true;
    }
    if (any) ring(told_);
}

}  // namespace penstock
