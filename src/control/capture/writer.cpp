#include "control/capture/writer.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "control/capture/pcapng.hpp"

namespace penstock::capture {
namespace {

using namespace std::chrono_literals;

constexpr auto kPause = 10ms;                // between looks at empty rings; they hold 0.2 s of the default rate
constexpr auto kWaitForDisk = 1s;            // at the end of penstock
constexpr size_t kWrite = size_t{64} << 10;  // bytes a system call, about

}  // namespace

struct Writer::Shared {
    explicit Shared(Plan p) : plan(std::move(p)) {}

    const Plan plan;
    std::atomic<uint64_t> packets{0}, bytes{0};  // written by the thread
    std::mutex mutex;                            // of control and the thread, and of what follows
    std::condition_variable changed;
    bool stopping = false, ended = false, failed = false;
    std::string ending = "running";

    void run(const Create& create);
    void end(bool badly, std::string why);
    bool pause();  // whether to go on
    uint64_t nanoseconds(uint64_t time) const;
    bool append_next(pcapng::Buffer& to);
};

namespace {

// A file of whole blocks.
class File {
public:
    explicit File(int fd) : fd_(fd) {}
    ~File() {
        if (fd_ >= 0) ::close(fd_);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    // Writes a buffer whose blocks end at `ends`; says how many of them are in the file. When it is not all of them the
    // rest is cut off again, and errno tells why.
    size_t write(const pcapng::Buffer& buffer, const std::vector<size_t>& ends) {
        size_t done = 0;
        while (done < buffer.size()) {
            const ssize_t n = ::write(fd_, &buffer[done], buffer.size() - done);
            if (n < 0 && errno == EINTR) continue;
            if (n <= 0) break;
            done += static_cast<size_t>(n);
        }
        const auto whole = static_cast<size_t>(std::ranges::upper_bound(ends, done) - ends.begin());
        const int why = errno;
        if (done != buffer.size() &&
            ftruncate(fd_, static_cast<off_t>(size_ + (whole == 0 ? 0 : ends[whole - 1]))) != 0)
            cut_ = false;
        errno = why;
        size_ += whole == 0 ? 0 : ends[whole - 1];
        return whole;
    }
    uint64_t size() const noexcept { return size_; }
    bool cut() const noexcept { return cut_; }               // false: a torn block is at the end
    int close() { return ::close(std::exchange(fd_, -1)); }  // some file systems tell of a full disk only here

private:
    int fd_;
    uint64_t size_ = 0;
    bool cut_ = true;
};

}  // namespace

Result<int> create_file(const std::string& path) {
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0) return fd;
    if (errno == EEXIST) return fail(fmt::format("{} is there already: name another file, or remove it", path));
    return fail(fmt::format("{} cannot be made: {}", path, std::strerror(errno)));
}

Writer::Writer(Plan plan, Create create) : shared_(std::make_shared<Shared>(std::move(plan))) {
    thread_ = std::thread([shared = shared_, create = std::move(create)] { shared->run(create); });
}

Writer::~Writer() {
    stop();
    std::unique_lock lock(shared_->mutex);
    const bool ended = shared_->changed.wait_for(lock, kWaitForDisk, [this] { return shared_->ended; });
    lock.unlock();
    ended ? thread_.join() : thread_.detach();  // it holds what it uses
}

void Writer::stop() {
    for (const auto& tap : shared_->plan.taps) tap->close();
    const std::lock_guard lock(shared_->mutex);
    shared_->stopping = true;
    shared_->changed.notify_all();
}

const Plan& Writer::plan() const noexcept { return shared_->plan; }

Progress Writer::progress() const {
    Progress now;
    for (const auto& tap : shared_->plan.taps) {
        now.missed_by_rate += tap->missed_by_rate();
        now.missed_by_ring += tap->missed_by_ring();
    }
    const std::lock_guard lock(shared_->mutex);
    now.running = !shared_->ended;
    now.failed = shared_->failed;
    now.ending = shared_->ended || !shared_->stopping ? shared_->ending : "stopping";
    now.packets = shared_->packets;
    now.bytes = shared_->bytes;
    return now;
}

void Writer::Shared::end(bool badly, std::string why) {
    for (const auto& tap : plan.taps) tap->close();
    const std::lock_guard lock(mutex);
    ended = true;
    failed = badly;
    ending = std::move(why);
    changed.notify_all();
}

bool Writer::Shared::pause() {
    std::unique_lock lock(mutex);
    return !changed.wait_for(lock, kPause, [this] { return stopping; });
}

uint64_t Writer::Shared::nanoseconds(uint64_t time) const {
    const auto since = static_cast<int64_t>(time - plan.anchor);  // seconds, 32.32 fixed point
    return plan.anchor_unix +
           static_cast<uint64_t>((since >> 32) * 1'000'000'000 + ((since & 0xffff'ffff) * 1'000'000'000 >> 32));
}

// The oldest record of all rings; false: they are empty.
bool Writer::Shared::append_next(pcapng::Buffer& to) {
    const flow::CaptureRecord* oldest = nullptr;
    size_t worker = 0;
    for (size_t w = 0; w < plan.taps.size(); w++)
        if (const auto* record = plan.taps[w]->ring().front(); record && (!oldest || record->time < oldest->time)) {
            oldest = record;
            worker = w;
        }
    if (oldest == nullptr) return false;
    std::string comment = fmt::format(
        "{}, worker {}", oldest->subject < plan.labels.size() ? plan.labels[oldest->subject] : "no stream", worker);
    if (oldest->drop < flow::kDrops)
        comment += fmt::format(", dropped: {}", flow::name(static_cast<flow::Drop>(oldest->drop)));
    pcapng::append_packet(to, {.interface = oldest->port,
                               .nanoseconds = nanoseconds(oldest->time),
                               .original = oldest->original,
                               .outbound = oldest->leaving,
                               .comment = comment,
                               .bytes = oldest->frame()});
    plan.taps[worker]->ring().pop();
    return true;
}

void Writer::Shared::run(const Create& create) {
    // A file size limit kills with SIGXFSZ, unless the signal is blocked: then write() tells.
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    const auto fd = create(plan.file);
    if (!fd) return end(true, fd.error().text);
    File file(*fd);
    const auto failed_with = [&](int error) {
        end(true, fmt::format("{}: {}{}", plan.file, std::strerror(error),
                              file.cut() ? "" : "; its last block is torn, which readers say and step over"));
    };
    pcapng::Buffer buffer;
    pcapng::append_section(buffer, plan.application);
    for (const Interface& interface : plan.interfaces)
        pcapng::append_interface(buffer, interface.name, interface.description, flow::CaptureRecord::kSnap);
    std::vector<size_t> ends{buffer.size()};
    size_t header = 1;  // the first block of the first buffer is no packet
    for (bool last = false;;) {
        while (packets + ends.size() - header < plan.count && buffer.size() < kWrite && append_next(buffer))
            ends.push_back(buffer.size());
        const bool idle = ends.empty();
        const size_t whole = file.write(buffer, ends);
        const int error = errno;
        packets += whole - std::min(whole, header);
        bytes = file.size();
        if (whole != ends.size()) return failed_with(error);
        header = 0;
        buffer.clear();
        ends.clear();
        if (packets == plan.count) break;
        if (!idle) continue;
        if (last) break;  // what was in the rings when it was stopped is written
        last = !pause();
    }
    const bool enough = packets == plan.count;
    if (file.close() != 0) return failed_with(errno);
    end(false, enough ? "count reached" : "stopped");
}

}  // namespace penstock::capture
