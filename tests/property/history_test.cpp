// The history of a track against a map that forgets nothing, under loss, reordering, duplicates, wrap-around and
// sources that restart. Every packet is compared byte by byte.
#include "rtp/history.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>

#include "support/media.hpp"
#include "support/random.hpp"

using namespace penstock;
using namespace penstock::test;
using rtp::Codec;
using rtp::History;

namespace {

// H.264: of each picture the first packet tells what it is, the others are fragments. Of one group of pictures after
// another: parameter sets, an IDR picture, others.
class Source {
public:
    explicit Source(Random& random) : random_(random), largest_(random.between(200, 1500)) {}

    struct Packet {
        uint64_t number;
        bool begins;  // a group of pictures
        Bytes bytes;
    };
    Packet next() {
        if (left_of_group_ == 0 && left_of_picture_ == 0) {
            left_of_group_ = random_.between(1, 60);
            state_ = parameters;
        }
        const bool begins = state_ == parameters;
        Bytes payload = begins ? hex("67 42c01e") : left_of_picture_ != 0 ? hex("7c 05 00") : hex("41 9a");
        if (state_ == idr) payload = hex("7c 85 88");
        append(payload, random_.bytes(random_.below<size_t>(largest_)));
        if (state_ == parameters) {
            timestamp_ += 3000;
            state_ = idr;
        } else if (left_of_picture_ != 0) {
            left_of_picture_--;
        } else {
            if (state_ == pictures) timestamp_ += 3000;
            state_ = pictures;
            left_of_picture_ = random_.below(12);
            left_of_group_--;
        }
        Bytes packet = rtp_packet(
            {.sequence = static_cast<unsigned>(number_ & 0xffff), .timestamp = timestamp_, .ssrc = ssrc_, .size = 12});
        append(packet, payload);
        return {number_++, begins, packet};
    }
    void restart() {
        number_ = 0x10000 + random_.below<uint64_t>(0xffff);  // where the second one is taken to begin
        ssrc_ = static_cast<uint32_t>(random_.word());
        timestamp_ += 1'000'000;
        left_of_group_ = left_of_picture_ = 0;
    }

private:
    enum State : uint8_t { parameters, idr, pictures };
    Random& random_;
    size_t largest_;
    uint64_t number_ = 0x10000 + 65500;
    uint32_t ssrc_ = 1, timestamp_ = 0xfffffff0 - 90000;
    unsigned left_of_group_ = 0, left_of_picture_ = 0;
    State state_ = parameters;
};

struct Model {
    std::map<uint64_t, Bytes> packets;  // of this life, by number
    std::vector<uint64_t> order;        // as they came
    std::optional<uint64_t> begin;      // the newest parameter sets that an IDR picture followed
};

// Those of the last packets that fit for certain, whatever lies at the ends.
std::vector<uint64_t> certain(const Model& model, const History& history, size_t memory) {
    std::vector<uint64_t> numbers;
    size_t bytes = 2 * History::kLargest;
    for (auto n = model.order.rbegin(); n != model.order.rend(); ++n) {
        bytes += (model.packets.at(*n).size() + 63) / 64 * 64;
        if (bytes > memory) break;
        if (*n + memory / 512 > history.end()) numbers.push_back(*n);
    }
    return numbers;
}

}  // namespace

TEST_CASE("the history of a track is its last packets, from the newest key frame on", "[history]") {
    constexpr size_t kMemory = History::kLeast;
    unsigned begun = 0, overrun = 0;
    for (unsigned round = 0; round < 30; round++) {
        Random random(round);
        INFO("seed " << seed() << ", round " << round);
        Source source(random);
        History history(Codec::h264, kMemory);
        Model model;
        const double loss = random.below(2) * 0.05, late = random.below(2) * 0.05, twice = random.below(2) * 0.05;
        std::vector<std::pair<unsigned, Source::Packet>> held;  // until so many others have come
        const auto arrive = [&](const Source::Packet& p) {
            const bool again = model.packets.contains(p.number);
            REQUIRE(history.keep(p.bytes) == p.number);
            if (again) return;
            if (p.number + kMemory / 512 <= history.end()) return;  // too late to be kept
            model.packets[p.number] = p.bytes;
            model.order.push_back(p.number);
        };
        for (unsigned n = 0; n < 3000; n++) {
            if (n != 0 &&
                random.chance(0.001)) {  // two strays in a row are a restart: the first, parameter sets, is not kept
                held.clear();
                source.restart();
                REQUIRE_FALSE(history.keep(source.next().bytes));
                const uint32_t life = history.life();
                const auto second = source.next();
                REQUIRE(history.keep(second.bytes) == second.number);
                REQUIRE(history.life() == life + 1);
                model = {.packets = {{second.number, second.bytes}}, .order = {second.number}, .begin = second.number};
                continue;
            }
            const auto p = source.next();
            if (!p.begins && random.chance(loss)) continue;
            if (!p.begins && random.chance(late)) {
                held.emplace_back(random.between(1, 20), p);
                continue;
            }
            arrive(p);
            if (p.begins) {  // and what follows at once is the IDR picture's beginning
                arrive(source.next());
                model.begin = p.number;
            }
            if (random.chance(twice)) arrive(p);
            for (auto& [wait, packet] : held)
                if (--wait == 0) arrive(packet);
            std::erase_if(held, [](const auto& h) { return h.first == 0; });

            if (random.chance(0.9)) continue;  // all of it is looked at now and then
            const auto sure = certain(model, history, kMemory);
            REQUIRE(std::ranges::all_of(sure, [&](uint64_t number) { return !history.packet(number).empty(); }));
            REQUIRE(std::ranges::all_of(model.packets, [&](const auto& packet) {
                const auto there = history.packet(packet.first);
                return there.empty() ? history.overwritten(packet.first)
                                     : !history.overwritten(packet.first) && std::ranges::equal(there, packet.second);
            }));
            if (const auto begin = history.beginning()) {
                begun++;
                REQUIRE(begin == model.begin);
            } else if (model.begin) {
                overrun++;
                REQUIRE(std::ranges::find(sure, *model.begin) == sure.end());
                REQUIRE(history.counters().overruns.read() != 0);
            }
            while (model.order.size() > 1000) {  // long overwritten
                model.packets.erase(model.order.front());
                model.order.erase(model.order.begin());
            }
        }
    }
    CHECK(begun != 0);
    CHECK(overrun != 0);
}

TEST_CASE("what is no packet of the source is not in its history", "[history]") {
    History history(Codec::other, 0);
    CHECK(history.memory() >= History::kLeast);
    CHECK_FALSE(history.keep({}));
    CHECK_FALSE(history.keep(hex("80600001")));
    const Bytes first = rtp_packet({.sequence = 5});
    const auto number = history.keep(first);
    REQUIRE(number);
    CHECK(*number % 0x10000 == 5);
    CHECK(history.end() == *number + 1);
    CHECK_FALSE(history.keep(rtp_packet({.sequence = 6, .ssrc = 1})));
    CHECK_FALSE(history.keep(rtp_packet({.sequence = 6, .size = History::kLargest + 1})));
    CHECK(history.packet(*number + 1).empty());
    CHECK_FALSE(history.overwritten(*number + 1));
    CHECK(std::ranges::equal(history.packet(*number), first));
    CHECK_FALSE(history.beginning());
}
