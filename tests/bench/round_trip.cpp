// bench-round-trip: how long a packet is away that a relay sends back to where it came from, over veth. One at a time,
// at an even rate; who waits for it polls, so that what is measured is the relay and not a wake-up of ours. Prints a
// JSON object. A reply that is not there after 20 ms is lost.
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "kernel_relay.hpp"

namespace {

using namespace penstock::bench;

constexpr int64_t kPatience = 20'000'000;  // ns

int64_t now() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

double us(std::vector<int64_t>& all, double share) {
    const auto at = all.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(all.size() - 1));
    std::ranges::nth_element(all, at);
    return static_cast<double>(*at) / 1000;
}

void number(char* to, uint32_t value, int bytes) {
    for (int i = 0; i < bytes; i++) to[i] = static_cast<char>(value >> 8 * (bytes - 1 - i));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 8) {
        fmt::print(stderr, "usage: bench-round-trip NETNS ADDRESS PORT OWN-PORT SIZE RATE SECONDS\n");
        return 2;
    }
    const int fd = socket_in(argv[1]);
    const sockaddr_in relay = address(argv[2], static_cast<uint16_t>(std::stoul(argv[3])));
    const sockaddr_in own = address("0.0.0.0", static_cast<uint16_t>(std::stoul(argv[4])));
    if (bind(fd, reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0) die("bind");
    std::vector<char> packet(std::stoul(argv[5]));
    const auto gap = static_cast<int64_t>(1e9 / std::stod(argv[6]));
    const auto count = static_cast<uint32_t>(std::stod(argv[7]) * std::stod(argv[6]));
    packet.at(0) = static_cast<char>(0x80);
    packet.at(1) = 96;
    number(&packet.at(8), 0x5eed, 4);

    std::vector<int64_t> away;
    const int64_t start = now();
    for (uint32_t i = 0; i < count; i++) {
        while (now() < start + i * gap) {
        }
        number(&packet[2], i, 2);
        number(&packet[4], i * 90, 4);
        const int64_t sent = now();
        if (sendto(fd, packet.data(), packet.size(), 0, reinterpret_cast<const sockaddr*>(&relay), sizeof relay) < 0)
            die("sendto");
        char back[2048];
        while (now() - sent < kPatience) {
            const ssize_t got = recv(fd, back, sizeof back, MSG_DONTWAIT);
            if (got < 12 || std::memcmp(back + 2, &packet[2], 6) != 0) continue;  // nothing, or one that was given up
            away.push_back(now() - sent);
            break;
        }
    }
    const size_t lost = count - away.size();
    if (away.empty()) away.push_back(kPatience);
    fmt::print("{{\"packets\":{},\"lost\":{},\"p50_us\":{:.1f},\"p99_us\":{:.1f},\"p999_us\":{:.1f}}}\n", count, lost,
               us(away, 0.5), us(away, 0.99), us(away, 0.999));
    return 0;
}
