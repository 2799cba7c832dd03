// Table::find against a plain list, through thousands of changes.
#include "flow/table.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <optional>

#include "support/packet_builder.hpp"
#include "support/random.hpp"

using namespace penstock;
using namespace penstock::flow;
using namespace penstock::test;

namespace {

// Few enough values that flows share keys, narrow each other and are asked for.
Key any_key(Random& random) {
    static const Ip kIps[] = {ip("10.0.0.1"), ip("10.0.0.2"), ip("239.1.1.1"), ip("fd00::1")};
    return {kIps[random.below(4)], random.between<uint16_t>(20000, 20060),
            random.chance(0.7) ? uint16_t{0} : random.between<uint16_t>(1, 2)};
}
Ip any_sender(Random& random) {
    static const Ip kSenders[] = {ip("10.0.0.8"), ip("10.0.0.9"), ip("fd00::9")};
    return kSenders[random.below(3)];
}
FlowPtr any_flow(Random& random) {
    auto flow = std::make_shared<Flow>();
    flow->key = any_key(random);
    flow->has_sender = random.chance(0.4);
    if (flow->has_sender) flow->sender = any_sender(random);
    if (random.chance(0.4)) flow->rx_port = random.below<uint16_t>(2);
    return flow;
}

using List = std::vector<FlowPtr>;

// Of the flows that a packet fits, the narrowest; of equals, the one that was added first.
const Flow* find(const List& flows, const Key& key, const Ip& sender, uint16_t port) {
    const Flow* best = nullptr;
    for (const FlowPtr& f : flows) {
        const bool fits = f->key == key && (!f->has_sender || f->sender == sender) &&
                          (f->rx_port == Flow::kAnyPort || f->rx_port == port);
        const auto rank = [](const Flow& flow) { return 2 * flow.has_sender + (flow.rx_port != Flow::kAnyPort); };
        if (fits && (best == nullptr || rank(*f) > rank(*best))) best = f.get();
    }
    return best;
}

void compare(Random& random, const Table& table, const List& model, int times) {
    REQUIRE(table.size() == model.size());
    for (int i = 0; i < times; i++) {
        const Key key = any_key(random);
        const Ip sender = any_sender(random);
        const auto port = random.below<uint16_t>(3);
        REQUIRE(table.find(key, sender, port) == find(model, key, sender, port));
    }
}

}  // namespace

TEST_CASE("find answers as a list does, after any change; old snapshots answer as before", "[table]") {
    Random random;
    for (int run = 0; run < 5; run++) {
        struct Snapshot {
            std::unique_ptr<const Table> table;
            List model;
        };
        std::vector<Snapshot> snapshots;
        List model;
        for (unsigned i = random.below(200); i > 0; i--) model.push_back(any_flow(random));
        snapshots.push_back({std::make_unique<Table>(PortRange{20000, 29999}, model), model});
        for (int change = 0; change < 200; change++) {
            List added, removed;
            for (unsigned i = random.below(6); i > 0; i--) added.push_back(any_flow(random));
            for (unsigned i = random.below(6); i > 0 && !model.empty(); i--) {
                const auto at = model.begin() + random.below<long>(model.size());
                removed.push_back(*at);
                model.erase(at);
            }
            model.insert(model.end(), added.begin(), added.end());
            auto next = snapshots.back().table->with(added, removed);
            INFO("run " << run << " change " << change);
            compare(random, *next, model, 50);
            snapshots.push_back({std::move(next), model});
            if (random.chance(0.5)) snapshots.erase(snapshots.begin() + random.below<long>(snapshots.size() - 1));
        }
        for (const Snapshot& old : snapshots) {
            compare(random, *old.table, old.model, 200);
            CHECK(old.table->media().last == 29999);
        }
    }
}

TEST_CASE("narrower flows are found first, whichever was added first", "[table]") {
    const Key key{ip("239.1.1.1"), 5004, 0};
    const auto make = [&](bool sender, bool port) {
        auto f = std::make_shared<Flow>();
        f->key = key;
        f->has_sender = sender;
        f->sender = ip("10.0.0.9");
        if (port) f->rx_port = 1;
        return f;
    };
    List flows{make(false, false), make(false, true), make(true, false), make(true, true)};
    std::ranges::sort(flows);
    do {
        const Table table({}, flows);
        const auto found = [&](const char* sender, uint16_t port) {
            const Flow* f = table.find(key, ip(sender), port);
            REQUIRE(f != nullptr);
            return std::pair{f->has_sender, f->rx_port != Flow::kAnyPort};
        };
        CHECK(found("10.0.0.9", 1) == std::pair{true, true});
        CHECK(found("10.0.0.9", 0) == std::pair{true, false});
        CHECK(found("10.0.0.7", 1) == std::pair{false, true});
        CHECK(found("10.0.0.7", 0) == std::pair{false, false});
    } while (std::ranges::next_permutation(flows).found);
}

TEST_CASE("the sender is only looked at when a flow asks for one", "[table]") {
    List flows{std::make_shared<Flow>()};
    const Table table({}, flows);
    const auto h = hash(Key{});
    int asked = 0;
    const auto sender = [&] {
        asked++;
        return Ip{};
    };
    CHECK(table.match(table.candidate(h), h, Key{}, 0, sender) == flows[0].get());
    CHECK(asked == 0);
    auto choosy = std::make_shared<Flow>();
    choosy->has_sender = true;
    const Table other({}, List{choosy});
    CHECK(other.match(other.candidate(h), h, Key{}, 0, sender) == choosy.get());
    CHECK(asked == 1);
}

TEST_CASE("the pieces of a table are all of it, once, and small", "[table]") {
    for (const unsigned number : {0u, 1u, 40u, 5000u, 20'000u}) {
        List flows;
        for (unsigned i = 0; i < number; i++) {
            auto f = std::make_shared<Flow>();
            f->key = {ip("10.0.0.1"), static_cast<uint16_t>(i), 0};
            flows.push_back(std::move(f));
        }
        const Table table({}, flows);
        List seen;
        for (size_t n = 0; n < Table::kPieces; n++) {
            const auto piece = table.piece(n);
            CHECK(piece.size() <= 1 + 2 * number / Table::kPieces);
            seen.insert(seen.end(), piece.begin(), piece.end());
        }
        std::ranges::sort(seen);
        std::ranges::sort(flows);
        CHECK(seen == flows);
    }
}

TEST_CASE("100,000 flows are all found, and a change among them leaves the others", "[table]") {
    Random random;
    List flows;
    for (uint32_t i = 0; i < 100'000; i++) {
        auto flow = std::make_shared<Flow>();
        Bytes address = hex("0a000000");
        address[1] = static_cast<std::byte>(i >> 14 & 0xff);
        address[3] = static_cast<std::byte>(i >> 6 & 0xff);
        flow->key = {Ip::v4(std::span<const std::byte>{address}.first<4>()),
                     static_cast<uint16_t>(20000 + 2 * (i & 63)), 0};
        flows.push_back(std::move(flow));
    }
    const Table table({}, flows);
    CHECK(table.size() == 100'000);
    for (const FlowPtr& f : flows) REQUIRE(table.find(f->key, Ip{}, 0) == f.get());
    for (const FlowPtr& f : flows)
        REQUIRE(table.find({f->key.destination, static_cast<uint16_t>(f->key.port + 1), 0}, Ip{}, 0) == nullptr);
    const size_t at = random.below<size_t>(flows.size());
    const auto replacement = std::make_shared<Flow>(*flows[at]);
    const FlowPtr replaced[] = {flows[at]}, replacing[] = {replacement};
    const auto next = table.with(replacing, replaced);
    CHECK(next->size() == 100'000);
    CHECK(next->find(replacement->key, Ip{}, 0) == replacement.get());
    CHECK(table.find(replacement->key, Ip{}, 0) == flows[at].get());
    for (size_t i = 0; i < flows.size(); i++)
        if (i != at) REQUIRE(next->find(flows[i]->key, Ip{}, 0) == flows[i].get());
}
