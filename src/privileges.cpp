#include "privileges.hpp"

#include <fmt/format.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <memory>
#include <set>
#include <string>

namespace penstock {
namespace {

// Capabilities belong to threads, and only a thread can change its own. DPDK's are made before the ports are, with all
// that we have then, and some of them (interrupts, vhost) never return to us: so each thread is told by a signal, as
// glibc does for setuid(). libpsx, which is made for this, knows only threads that came by its own pthread_create.
const int kSignal = SIGRTMAX - 1;
constexpr int kPatience = 5;  // seconds

// What the signal handler works on: one thread after the other.
cap_t wanted = nullptr;
std::atomic<int> failure{0};
sem_t done;

uint64_t reserved = 0;  // written once, before the workers start

// Async-signal-safe: system calls only.
int give_up() {
    for (int one = 0; one < cap_max_bits(); one++)
        if (prctl(PR_CAPBSET_DROP, one, 0, 0, 0) != 0 && errno != EPERM) return errno;  // EPERM: no CAP_SETPCAP
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) return errno;
    if (cap_set_proc(wanted) != 0) return errno;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : errno;
}

void on_signal(int) {
    const int interrupted = errno;
    if (const int error = give_up(); error != 0) failure.store(error, std::memory_order_relaxed);
    sem_post(&done);
    errno = interrupted;
}

std::set<pid_t> threads() {
    std::set<pid_t> all;
    std::error_code gone;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task", gone)) {
        const std::string name = entry.path().filename();
        pid_t id = 0;
        std::from_chars(name.data(), name.data() + name.size(), id);
        all.insert(id);
    }
    return all;
}

Result<void> tell(pid_t thread) {
    if (syscall(SYS_tgkill, getpid(), thread, kSignal) != 0) {
        if (errno == ESRCH) return {};  // it ended
        return fail(fmt::format("thread {} cannot be told: {}", thread, std::strerror(errno)));
    }
    timespec until{};
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += kPatience;
    while (sem_timedwait(&done, &until) != 0)
        if (errno != EINTR) return fail(fmt::format("thread {} does not answer", thread));
    return {};
}

Result<void> tell_all() {
    std::set<pid_t> told{gettid()};
    for (bool more = true; more;) {  // until a whole look finds nobody new: a thread may make one while it is told
        more = false;
        for (const pid_t thread : threads()) {
            if (!told.insert(thread).second) continue;
            more = true;
            if (auto answered = tell(thread); !answered) return answered;
        }
    }
    return {};
}

}  // namespace

Result<void> drop_privileges(uint64_t keep, uint64_t reserve) {
    reserved = reserve & ~keep;
    const auto wrong = [](const std::string& why) { return fail(fmt::format("cannot give up privileges: {}", why)); };
    const std::unique_ptr<std::remove_pointer_t<cap_t>, int (*)(void*)> now(cap_get_proc(), cap_free),
        kept(cap_init(), cap_free);
    if (!now || !kept) return wrong(std::strerror(errno));
    for (cap_value_t one = 0; one < cap_max_bits(); one++) {
        cap_flag_value_t had = CAP_CLEAR;
        cap_get_flag(now.get(), one, CAP_PERMITTED, &had);
        if (((keep | reserve) >> one & 1) == 0 || had == CAP_CLEAR) continue;
        cap_set_flag(kept.get(), CAP_PERMITTED, 1, &one, CAP_SET);
        if ((keep >> one & 1) != 0) cap_set_flag(kept.get(), CAP_EFFECTIVE, 1, &one, CAP_SET);
    }
    wanted = kept.get();
    sem_init(&done, 0, 0);
    struct sigaction ours {
    }, before{};
    ours.sa_handler = on_signal;
    ours.sa_flags = SA_RESTART;
    sigaction(kSignal, &ours, &before);
    auto told = tell_all();
    sigaction(kSignal, &before, nullptr);
    if (const int own = give_up(); own != 0) failure.store(own, std::memory_order_relaxed);
    if (!told) return wrong(told.error().text);
    if (const int error = failure.load(std::memory_order_relaxed); error != 0) return wrong(std::strerror(error));
    return {};
}

namespace {

// The effective set of this thread as its permitted one, or without `reserved`.
void set_effective(bool raised) {
    const std::unique_ptr<std::remove_pointer_t<cap_t>, int (*)(void*)> now(cap_get_proc(), cap_free);
    for (cap_value_t one = 0; now && one < cap_max_bits(); one++) {
        cap_flag_value_t permitted = CAP_CLEAR;
        cap_get_flag(now.get(), one, CAP_PERMITTED, &permitted);
        const bool on = permitted == CAP_SET && (raised || (reserved >> one & 1) == 0);
        cap_set_flag(now.get(), CAP_EFFECTIVE, 1, &one, on ? CAP_SET : CAP_CLEAR);
    }
    if (now) cap_set_proc(now.get());  // within what is permitted it cannot fail
}

}  // namespace

Raised::Raised() { set_effective(true); }
Raised::~Raised() { set_effective(false); }

}  // namespace penstock
