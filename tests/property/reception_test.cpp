// Reception against a model that knows the whole 64-bit truth and remembers all of it.
#include "rtp/reception.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <set>

#include "support/random.hpp"

using namespace penstock::rtp;
using namespace penstock::test;

namespace {

// What one source's packets came to: sequence numbers that never wrap.
class Model {
public:
    void receive(uint64_t number) {
        if (received_.empty()) {
            first_ = highest_ = number;
        } else if (received_.contains(number)) {
            duplicates++;
        } else if (number < highest_) {
            reordered++;
        }
        received_.insert(number);
        first_ = std::min(first_, number);
        highest_ = std::max(highest_, number);
    }
    uint64_t holes() const { return received_.empty() ? 0 : highest_ - first_ + 1 - received_.size(); }
    uint64_t missing() const {  // holes among the last kWindow numbers
        if (received_.empty()) return 0;
        const uint64_t begin = std::max(first_, highest_ < Reception::kWindow ? 0 : highest_ - Reception::kWindow + 1);
        const auto there = std::distance(received_.lower_bound(begin), received_.end());
        return highest_ + 1 - begin - static_cast<uint64_t>(there);
    }
    uint64_t highest() const { return highest_; }
    uint64_t duplicates = 0, reordered = 0;

private:
    std::set<uint64_t> received_;
    uint64_t first_ = 0, highest_ = 0;
};

struct Network {
    double loss, duplication;
    unsigned reordering;  // by how many numbers a packet may be overtaken: less than RFC 3550's MAX_MISORDER
    double burst;         // probability that up to 1300 are lost at once
};

// The numbers of a source in the order in which they arrive.
std::vector<uint64_t> travel(Random& random, const Network& network, uint64_t from, size_t count) {
    std::vector<std::pair<uint64_t, uint64_t>> arrivals;  // when, which
    for (uint64_t number = from; number < from + count; number++) {
        if (random.chance(network.burst)) number += random.between<uint64_t>(1, 1300);
        if (random.chance(network.loss)) continue;
        const auto when = [&] { return number + random.below<uint64_t>(network.reordering + 1); };
        arrivals.emplace_back(when(), number);
        if (random.chance(network.duplication)) arrivals.emplace_back(when(), number);
    }
    std::ranges::stable_sort(arrivals, {}, &std::pair<uint64_t, uint64_t>::first);
    std::vector<uint64_t> order;
    for (const auto& [when, number] : arrivals) order.push_back(number);
    return order;
}

Network any_network(Random& random) {
    return {.loss = random.chance(0.5) ? 0 : random.below<double>(40) / 100,
            .duplication = random.chance(0.5) ? 0 : 0.2,
            .reordering = random.chance(0.3) ? 0 : random.below(90),
            .burst = random.chance(0.5) ? 0 : 0.002};
}

}  // namespace

TEST_CASE("loss, duplicates and reordering are those of a 64-bit model, step by step", "[reception]") {
    Random random;
    for (int run = 0; run < 60; run++) {
        const Network network = any_network(random);
        INFO("run " << run << ": loss " << network.loss << " reordering " << network.reordering << " burst "
                    << network.burst);
        Reception reception;
        Model model;
        const auto& seen = reception.counters();
        uint64_t lost_before = 0, packets = 0;
        for (const uint64_t number : travel(random, network, 0x100000 + random.below<uint64_t>(0x10000), 5000)) {
            reception.receive(static_cast<uint16_t>(number), 0, 1, 10, 0, 0, 90000);
            model.receive(number);
            packets++;
            INFO("number " << number);
            REQUIRE(seen.missing.read() == model.missing());
            REQUIRE(seen.lost.read() + seen.missing.read() == model.holes());  // expected less unique received
            REQUIRE(seen.duplicate.read() == model.duplicates);
            REQUIRE(seen.reordered.read() == model.reordered);
            REQUIRE(seen.lost.read() >= lost_before);
            lost_before = seen.lost.read();
        }
        CHECK(seen.packets.read() == packets);
        CHECK(seen.bytes.read() == packets * 10);
        CHECK(seen.restarts.read() == 0);
        CHECK(seen.ssrc_changes.read() == 0);
    }
}

TEST_CASE("a whole cycle of sequence numbers and more", "[reception]") {
    Random random;
    Reception reception;
    Model model;
    for (const uint64_t number :
         travel(random, {.loss = 0.01, .duplication = 0.01, .reordering = 20, .burst = 0.0001}, 0x1fff0, 300'000)) {
        reception.receive(static_cast<uint16_t>(number), 0, 1, 10, 0, 0, 90000);
        model.receive(number);
    }
    CHECK(reception.counters().lost.read() + reception.counters().missing.read() == model.holes());
    CHECK(reception.counters().missing.read() == model.missing());
    CHECK(reception.counters().restarts.read() == 0);
}

TEST_CASE("over restarts and new SSRCs, what was lost stays lost and nothing else is", "[reception]") {
    Random random;
    for (int run = 0; run < 40; run++) {
        Reception reception;
        const auto& seen = reception.counters();
        uint64_t lost_of_former = 0, restarts = 0, changes = 0, lost_before = 0;
        uint32_t ssrc = random.below<uint32_t>(1u << 31);
        uint64_t from = 0x100000 + random.below<uint64_t>(0x10000);
        for (int life = 0; life < 6; life++) {
            Model model;
            auto order = travel(random, any_network(random), from, 600);
            const auto timestamp = static_cast<uint32_t>(life) << 28;
            // A restart without a new SSRC is believed when two packets in a row came; the first does not count.
            const bool restarted = life > 0 && random.chance(0.5);
            if (restarted) {
                order.insert(order.begin(), {from - 2, from - 1});
                restarts++;
            } else if (life > 0) {
                ssrc++;
                changes++;
            }
            for (size_t i = 0; i < order.size(); i++) {
                reception.receive(static_cast<uint16_t>(order[i]), timestamp, ssrc, 10, 0, 0, 90000);
                if (restarted && i == 0) continue;
                model.receive(order[i]);
                INFO("run " << run << " life " << life << " packet " << i);
                REQUIRE(seen.lost.read() + seen.missing.read() == lost_of_former + model.holes());
                REQUIRE(seen.lost.read() >= lost_before);
                lost_before = seen.lost.read();
            }
            lost_of_former += model.holes();
            from = (model.highest() & ~uint64_t{0xffff}) + 0x200000 +
                   ((model.highest() + 0x4000 + random.below(0x8000)) & 0xffff);
        }
        CHECK(seen.restarts.read() == restarts);
        CHECK(seen.ssrc_changes.read() == changes);
    }
}

TEST_CASE("jitter follows RFC 3550 section 6.4.1 in real numbers", "[reception]") {
    Random random;
    for (int run = 0; run < 20; run++) {
        Reception reception;
        const unsigned range = random.between(1, 20'000);
        auto arrival = static_cast<uint32_t>(random.word());
        auto timestamp = static_cast<uint32_t>(random.word());
        double jitter = 0, before = 0;
        for (unsigned i = 0; i < 3000; i++) {
            const uint32_t delay = random.below(range);
            reception.receive(static_cast<uint16_t>(i), timestamp, 1, 10, 0, arrival + delay, 90000);
            if (i > 0) jitter += (std::abs(double{1} * delay - before) - jitter) / 16;
            before = delay;
            arrival += 3000;
            timestamp += 3000;
            INFO("run " << run << " packet " << i);
            REQUIRE(static_cast<double>(reception.counters().jitter.read()) / 16 == Approx(jitter).margin(1.0));
        }
    }
}
