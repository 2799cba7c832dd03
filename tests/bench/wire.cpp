// bench-wire: both ends of a measurement over veth with a relay between them that is a process of its own. `send` is
// the source, RTP at an even rate; `relay` is the kernel relay, until it is ended.
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <random>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "kernel_relay.hpp"

namespace {

using namespace penstock::bench;

double now() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

void number(char* to, uint32_t value, int bytes) {
    for (int i = 0; i < bytes; i++) to[i] = static_cast<char>(value >> 8 * (bytes - 1 - i));
}

// A burst of what is due, at most; and then a nap whose length differs, so that nothing that samples by the clock sees
// the same moment of each.
int send(const char* netns, const char* to, uint16_t port, size_t size, double rate, double seconds) {
    const int fd = socket_in(netns);
    const sockaddr_in node = address(to, port);
    if (connect(fd, reinterpret_cast<const sockaddr*>(&node), sizeof node) != 0) die("connect");
    Packets packets(size);
    std::minstd_rand dice;
    uint32_t sent = 0;
    const double start = now();
    while (now() < start + seconds) {
        const auto due = static_cast<uint32_t>((now() - start) * rate) - sent;
        if (due == 0) {
            const timespec nap{0, 20'000 + static_cast<long>(dice() % 200'000)};
            nanosleep(&nap, nullptr);
            continue;
        }
        const uint32_t burst = std::min<uint32_t>(due, kBurst);
        for (uint32_t i = 0; i < burst; i++) {
            char* rtp = packets.bytes[i].data();
            rtp[0] = static_cast<char>(0x80);
            rtp[1] = 96;
            number(rtp + 2, sent + i, 2);
            number(rtp + 4, (sent + i) * 90, 4);
            number(rtp + 8, 0x5eed, 4);
        }
        // A refusal (ICMP) of an earlier one is no reason to stop.
        const int n = sendmmsg(fd, packets.messages.data(), burst, 0);
        sent += n > 0 ? static_cast<uint32_t>(n) : 0;
    }
    fmt::print("{}\n", sent);
    return 0;
}

int relay(const char* netns, const char* own, uint16_t port, const char* receiver, uint32_t fanout, uint32_t segment) {
    const int in = socket_in(netns), out = socket_in(netns);
    const sockaddr_in node = address(own, port);
    if (bind(in, reinterpret_cast<const sockaddr*>(&node), sizeof node) != 0) die("bind");
    KernelRelay relay(in, out, receiver, fanout, segment);
    while (true) relay.turn(MSG_WAITFORONE);
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view what = argc > 1 ? argv[1] : "";
    if (what == "send" && argc == 8)
        return send(argv[2], argv[3], static_cast<uint16_t>(std::stoul(argv[4])), std::stoul(argv[5]),
                    std::stod(argv[6]), std::stod(argv[7]));
    if (what == "relay" && argc == 8)
        return relay(argv[2], argv[3], static_cast<uint16_t>(std::stoul(argv[4])), argv[5],
                     static_cast<uint32_t>(std::stoul(argv[6])), static_cast<uint32_t>(std::stoul(argv[7])));
    fmt::print(stderr,
               "usage: bench-wire send NETNS ADDRESS PORT SIZE RATE SECONDS\n"
               "       bench-wire relay NETNS ADDRESS PORT RECEIVER FANOUT SEGMENT (0: no UDP_SEGMENT)\n");
    return 2;
}
