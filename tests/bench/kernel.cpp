// bench-kernel: what the same relay costs on kernel sockets, over veth. It runs in three network namespaces that
// tools/bench made; one thread plays the source, not measured, and the relay in turn, so that nothing else than the
// relay's system calls is in its CPU time. In the kernel's favour: what the source's packets cost until they lie in the
// socket's queue is the source's, and the receiver's namespace drops the copies by their MAC.
#include "kernel_relay.hpp"

#include <time.h>
#include <x86intrin.h>

#include <string>
#include <string_view>

#include "samples.hpp"

namespace {

using namespace penstock::bench;

double seconds(clockid_t clock) {
    timespec t{};
    clock_gettime(clock, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

double measure_tsc_hz() {
    const double start = seconds(CLOCK_MONOTONIC_RAW);
    const uint64_t from = __rdtsc();
    while (seconds(CLOCK_MONOTONIC_RAW) < start + 0.05) continue;
    return static_cast<double>(__rdtsc() - from) / (seconds(CLOCK_MONOTONIC_RAW) - start);
}

}  // namespace

int main(int argc, char** argv) {
    const bool segments = argc == 9 && std::string_view(argv[8]) == "gso";
    if (argc != 8 && !segments) {
        fmt::print(stderr,
                   "usage: bench-kernel SOURCE-NETNS NODE-NETNS NODE-ADDRESS RECEIVER-ADDRESS SIZE FANOUT SECONDS "
                   "[gso]\n");
        return 2;
    }
    const auto size = static_cast<uint32_t>(std::stoul(argv[5])), fanout = static_cast<uint32_t>(std::stoul(argv[6]));
    const int source = socket_in(argv[1]);
    const int in = socket_in(argv[2]), out = socket_in(argv[2]);
    const sockaddr_in node = address(argv[3], 20000);
    if (bind(in, reinterpret_cast<const sockaddr*>(&node), sizeof node) != 0) die("bind");
    if (connect(source, reinterpret_cast<const sockaddr*>(&node), sizeof node) != 0) die("connect");

    Packets sent(size);
    KernelRelay relay(in, out, argv[4], fanout, segments ? size : 0);
    Samples cycles;
    const double hz = measure_tsc_hz();
    const double end = seconds(CLOCK_MONOTONIC) + std::stod(argv[7]);
    uint64_t all = 0;
    while (seconds(CLOCK_MONOTONIC) < end) {
        if (sendmmsg(source, sent.messages.data(), kBurst, 0) != static_cast<int>(kBurst)) die("sendmmsg");
        const double start = seconds(CLOCK_THREAD_CPUTIME_ID);
        const size_t count = relay.turn(MSG_DONTWAIT);
        const double took = seconds(CLOCK_THREAD_CPUTIME_ID) - start;
        if (count == kBurst * fanout) cycles.add(took * hz / static_cast<double>(count));  // whole bursts only
        all += count;
    }
    if (cycles.count() == 0) {
        fmt::print(stderr, "bench-kernel: no whole burst arrived; {} packets in all\n", all);
        return 1;
    }
    print({"relay", segments ? "kernel-gso" : "kernel", size, fanout, 1, "hot"}, cycles);
    return 0;
}
