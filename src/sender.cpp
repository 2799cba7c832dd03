#include "sender.hpp"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace penstock {
namespace {

// Workers wake nobody: that would be a system call on their way. So their ring is looked at, which holds far more than
// comes in this time.
constexpr int kLookEvery = 2;  // milliseconds
constexpr int kIdle = 200;     // when nobody watches: for what workers diverted before they knew
constexpr uint64_t kAsked = UINT64_MAX;
constexpr int kMostBatches = 64;  // of packets, as many as the ring holds: then what came is sent

void ring(const io::Fd& bell) {
    const uint64_t one = 1;
    if (write(bell.get(), &one, sizeof one) < 0) return;  // full: it rings already
}

void silence(const io::Fd& bell) {
    uint64_t count = 0;
    if (read(bell.get(), &count, sizeof count) < 0) return;  // it did not ring
}

}  // namespace

Result<std::unique_ptr<Sender>> Sender::open(flow::TakeDiverted take) {
    io::Fd epoll(epoll_create1(EPOLL_CLOEXEC));
    io::Fd asked(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)), told(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    epoll_event event{.events = EPOLLIN, .data = {.u64 = kAsked}};
    if (!epoll || !asked || !told || epoll_ctl(epoll.get(), EPOLL_CTL_ADD, asked.get(), &event) != 0)
        return fail(fmt::format("no thread to write to viewers over TCP: {}", std::strerror(errno)));
    std::unique_ptr<Sender> sender(new Sender(std::move(take), std::move(epoll), std::move(asked), std::move(told)));
    try {
        sender->thread_ = std::thread([of = sender.get()] { of->run(); });
    } catch (const std::system_error& error) {
        return fail(fmt::format("no thread to write to viewers over TCP: {}", error.what()));
    }
    return sender;
}

Sender::Sender(flow::TakeDiverted take, io::Fd epoll, io::Fd asked, io::Fd told)
    : take_(std::move(take)), epoll_(std::move(epoll)), asked_(std::move(asked)), told_(std::move(told)) {}

Sender::~Sender() {
    stopping_.store(true, std::memory_order_relaxed);
    ring(asked_);
    if (thread_.joinable()) thread_.join();
}

void Sender::adopt(rtsp::ConnectionId id, std::shared_ptr<ByteSink> sink, std::string unsent) {
    ask([this, id, sink = std::move(sink), unsent = std::move(unsent)](rtsp::Interleaver& to, Instant) {
        epoll_event event{.events = EPOLLOUT | EPOLLET, .data = {.u64 = id}};
        if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, sink->descriptor(), &event) != 0)
            return tell(rtsp::Interleaver::Broken{id});  // nothing would tell that it can be written to again
        sockets_[id] = sink->descriptor();
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
    {
        const std::lock_guard lock(mutex_);
        tasks_.push_back(std::move(task));
    }
    if (!any_tasks_.exchange(true, std::memory_order_relaxed)) ring(asked_);
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
        silence(asked_);
        if (stopping_.load(std::memory_order_relaxed)) return;
        do_tasks();
        const Instant now = Clock::now();
        for (int i = 0; i < n; i++)
            if (const uint64_t id = ready[static_cast<size_t>(i)].data.u64; id != kAsked)
                interleaver_.writable(now, id);
        work();
        tell();
    }
}

void Sender::do_tasks() {
    if (!any_tasks_.load(std::memory_order_relaxed)) return;
    any_tasks_.store(false, std::memory_order_relaxed);
    std::vector<Task> tasks;
    {
        const std::lock_guard lock(mutex_);
        tasks.swap(tasks_);
    }
    const Instant now = Clock::now();
    for (const Task& task : tasks) task(interleaver_, now);
}

void Sender::work() {
    const Instant now = Clock::now();
    const auto take = [&](const flow::Diverted& d) {
        do_tasks();  // what was asked before a packet was diverted, so that who is to get it is known
        interleaver_.take(now, d.feed, d.rtcp, d.packet, d.restarts);
    };
    for (int i = 0; i < kMostBatches && take_(take) != 0;) i++;
    interleaver_.flush(now);
}

void Sender::tell() {
    while (const auto event = interleaver_.poll()) tell(*event);
}

void Sender::tell(const rtsp::Interleaver::Event& event) {
    {
        const std::lock_guard lock(mutex_);
        events_.push_back(event);
    }
    ring(told_);
}

}  // namespace penstock
