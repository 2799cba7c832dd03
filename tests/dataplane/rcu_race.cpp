// Two readers follow a value that is replaced as fast as it goes. Built twice: as it should be, and with HASTY, where
// the readers never join the grace period, so that what they read is freed at once. TSan must report the second.
#include <cstdio>
#include <thread>
#include <vector>

#include "dataplane/rcu.hpp"

using namespace penstock::dataplane;

namespace {

struct Pair {
    uint64_t a, b;  // b is ~a
};

#ifdef HASTY
constexpr bool kRegistered = false;
#else
constexpr bool kRegistered = true;
#endif

}  // namespace

int main() {
    constexpr unsigned kReaders = 2;
    Qsbr qsbr(kReaders);
    Published<Pair> published(qsbr, std::make_unique<const Pair>(Pair{0, ~uint64_t{0}}));
    std::atomic<bool> stop{false};
    std::atomic<uint64_t> reads{0}, torn{0};
    std::vector<std::thread> readers;
    for (unsigned id = 0; id < kReaders; id++)
        readers.emplace_back([&, id] {
            std::unique_ptr<Qsbr::Reader> reader;
            if (kRegistered) reader = std::make_unique<Qsbr::Reader>(qsbr, id);
            while (!stop.load(std::memory_order_relaxed)) {
                const Pair& seen = published.read();
                for (int i = 0; i < 8; i++) torn += seen.a != ~seen.b;
                if (reader) reader->quiescent();
                reads++;
            }
        });
    for (uint64_t i = 1; i < 3000; i++) {
        published.publish(std::make_unique<const Pair>(Pair{i, ~i}));
        while (published.reclaim() > 8) std::this_thread::yield();
    }
    while (reads < 1000) std::this_thread::yield();
    stop = true;
    for (std::thread& reader : readers) reader.join();
    std::printf("%llu reads, %llu torn\n", static_cast<unsigned long long>(reads),
                static_cast<unsigned long long>(torn));
    return torn == 0 ? 0 : 1;
}
