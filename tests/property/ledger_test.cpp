// Whoever reads a worker's ledger, at whatever time, sees one that balances.
#include "flow/ledger.hpp"

#include <catch2/catch.hpp>

#include <thread>

#include "support/random.hpp"

using namespace penstock::flow;
using namespace penstock::test;

namespace {

// One more packet somewhere, and its entry on the other side.
void book(Ledger& ledger, Random& random) {
    switch (random.below(4)) {
        case 0: ledger.forwarded++; break;
        case 1: ledger.duplicate++; break;
        case 2: ledger.handed_over++; break;
        default: ledger.drops[random.below<size_t>(static_cast<size_t>(kFirstTxDrop))]++; break;
    }
    ledger.rx++;
    const auto copies = random.below<uint64_t>(40);
    ledger.tx_wanted += copies;
    (random.chance(0.5) ? ledger.sent : ledger.drops[kDrops - 1 - random.below<size_t>(3)]) += copies;
}

}  // namespace

TEST_CASE("a ledger balances only when both sides do", "[ledger]") {
    Random random;
    Ledger ledger;
    for (int i = 0; i < 1000; i++) book(ledger, random);
    CHECK(ledger.balanced());
    CHECK(ledger.rx == 1000);
    for (size_t d = 0; d < kDrops; d++) {
        Ledger other = ledger;
        other.drops[d]++;
        CHECK_FALSE(other.balanced());
    }
    for (uint64_t Ledger::*entry : {&Ledger::rx, &Ledger::forwarded, &Ledger::handed_over, &Ledger::punted,
                                    &Ledger::left_to_kernel, &Ledger::duplicate, &Ledger::tx_wanted, &Ledger::sent}) {
        Ledger other = ledger;
        (other.*entry)++;
        CHECK_FALSE(other.balanced());
    }
}

TEST_CASE("a reader sees balanced ledgers only, and no older one after a newer", "[ledger]") {
    Random random;
    LedgerBoard board;
    std::atomic<bool> stop{false};
    std::atomic<unsigned> unbalanced{0}, backwards{0}, busy{0};
    std::thread reader([&] {
        uint64_t before = 0;
        while (!stop.load()) {
            const Ledger seen = board.read();
            busy += seen.rx != before;
            unbalanced += !seen.balanced();
            backwards += seen.rx < before;
            before = seen.rx;
        }
    });
    Ledger ledger;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    // Until the reader was surely there in mid-traffic.
    while (busy < 500 && std::chrono::steady_clock::now() < deadline) {
        book(ledger, random);
        board.show(ledger);
    }
    stop = true;
    reader.join();
    CHECK(busy >= 500);
    CHECK(unbalanced == 0);
    CHECK(backwards == 0);
    CHECK(board.read() == ledger);
}
