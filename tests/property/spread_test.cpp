// A track with very many legs is served by several workers: each leg by one, and by the same one for good.
#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <set>

#include "control/mesh/mesh.hpp"
#include "support/packet_builder.hpp"
#include "support/random.hpp"

using namespace penstock;
using namespace penstock::test;

namespace {

constexpr uint16_t kWorkers = 3;

std::vector<flow::PortInfo> ports() {
    std::vector<flow::PortInfo> all(2);
    for (uint16_t i = 0; i < 2; i++) {
        all[i].index = i;
        all[i].name = i == 0 ? "lan" : "wan";
        all[i].rx_workers = {i};  // the third worker has no queue: it can serve legs nevertheless
        all[i].multi_segment = i == 0;
    }
    return all;
}

config::Output output(unsigned n) {
    config::Output to;
    to.rtp = {ip("10.0.1.20"), static_cast<uint16_t>(30000 + 2 * n)};
    return to;
}

void answer(mesh::Mesh& mesh, Random& random) {
    for (const flow::Destination& to : mesh.take_destinations().wanted)
        mesh.resolve(to, {flow::NextHop{.port = random.below<uint16_t>(2),
                                        .mac = mac("02:00:00:00:00:20"),
                                        .source = ip("10.0.1.1"),
                                        .mtu = 1500},
                          ""});
}

}  // namespace

TEST_CASE("shards cover each leg once, and no leg ever changes its worker", "[spread]") {
    Random random;
    for (int run = 0; run < 30; run++) {
        mesh::Mesh mesh(ports(), {20000, 29999}, kWorkers);
        config::Stream stream;
        stream.name = "popular";
        config::Track& track = stream.tracks.emplace_back();
        track.media = "video";
        track.sources.emplace_back().rtp = {ip("10.0.0.1"), 20000};
        std::map<std::string, uint16_t> served;
        unsigned next = 0;
        std::unique_ptr<const flow::Table> table;
        for (int change = 0; change < 20; change++) {
            const bool grow = track.outputs.size() < 20 || random.chance(0.6);
            for (unsigned n = random.between(1, 60); n != 0; n--) {
                if (grow)
                    track.outputs.push_back(output(next++));
                else if (!track.outputs.empty())
                    track.outputs.erase(track.outputs.begin() + random.below<int>(track.outputs.size()));
            }
            REQUIRE(mesh.put(stream));
            answer(mesh, random);
            table = mesh.compile();
            REQUIRE(table);
            const mesh::Track& now = *mesh.tracks().front();
            const flow::Flow* f = table->find({ip("10.0.0.1"), 20000, 0}, ip("10.0.0.9"), 0);
            REQUIRE(f != nullptr);
            REQUIRE(f->legs == f->rendition->legs.data());
            REQUIRE(f->leg_count == f->rendition->shards[0].count);
            REQUIRE(f->shareable == f->rendition->shards[0].shareable);
            REQUIRE(f->rendition->shards[0].worker == f->owner);
            REQUIRE(f->spread == (f->rendition->shards.size() > 1));
            std::map<const flow::LegState*, uint16_t> workers;
            uint32_t end = 0;
            for (const flow::Shard& shard : f->rendition->shards) {
                REQUIRE(shard.first == end);
                end += shard.count;
                REQUIRE((shard.count > 0 || shard.worker == f->owner));
                const auto legs = f->rendition->legs_of(shard);
                for (size_t i = 0; i < legs.size(); i++) {
                    REQUIRE((legs[i].tx_port == 0) == (i < shard.shareable));
                    REQUIRE(workers.emplace(legs[i].state, shard.worker).second);
                }
            }
            REQUIRE(end == f->rendition->legs.size());
            REQUIRE(workers.size() == now.outputs.size());
            for (const mesh::Output& o : now.outputs) REQUIRE(workers.at(o.state.get()) == o.worker);
            for (const mesh::Output& o : now.outputs)
                REQUIRE(served.emplace(o.name(), o.worker).first->second == o.worker);
            size_t outputs = 0, tracks = 0;
            for (uint16_t w = 0; w < kWorkers; w++) {
                outputs += mesh.placed()[w].outputs;
                tracks += mesh.placed()[w].tracks;
                REQUIRE(mesh.placed()[w].outputs ==
                        static_cast<size_t>(std::ranges::count(now.outputs, w, &mesh::Output::worker)));
            }
            REQUIRE(outputs == now.outputs.size());
            REQUIRE(tracks == 1);
        }
        mesh.remove("popular");
        for (const mesh::Placement& p : mesh.placed()) REQUIRE(p.outputs + p.tracks == 0);
    }
}

TEST_CASE("a large fan-out that comes at once is dealt out evenly, a small one stays with its owner", "[spread]") {
    Random random;
    for (const unsigned legs : {1u, 64u, 65u, 300u}) {
        mesh::Mesh mesh(ports(), {20000, 29999}, kWorkers);
        config::Stream stream;
        stream.name = "popular";
        config::Track& track = stream.tracks.emplace_back();
        track.media = "video";
        track.sources.emplace_back().rtp = {ip("10.0.0.1"), 20000};
        for (unsigned n = 0; n < legs; n++) track.outputs.push_back(output(n));
        REQUIRE(mesh.put(stream));
        const uint16_t owner = mesh.tracks().front()->owner;
        for (uint16_t w = 0; w < kWorkers; w++) {
            const size_t served = mesh.placed()[w].outputs;
            if (legs <= mesh::Mesh::kSpreadFrom)
                CHECK(served == (w == owner ? legs : 0));
            else
                CHECK((served == legs / kWorkers || served == legs / kWorkers + 1));
        }
    }
}

TEST_CASE("the next track goes to the worker that is measured to do least", "[spread]") {
    auto both = ports();
    for (flow::PortInfo& port : both) port.rx_workers = {0, 1, 2};
    mesh::Mesh mesh(both, {20000, 29999}, kWorkers);
    const auto add = [&](uint16_t port) {
        config::Stream stream;
        stream.name = std::to_string(port);
        config::Track& track = stream.tracks.emplace_back();
        track.media = "video";
        track.sources.emplace_back().rtp = {ip("10.0.0.1"), port};
        track.outputs.push_back(output(port));
        REQUIRE(mesh.put(stream));
        return mesh.stream(stream.name)->tracks.front()->owner;
    };
    std::set<uint16_t> first{add(20000), add(20002), add(20004)};
    CHECK(first.size() == 3);  // nothing is measured yet: they are dealt out
    mesh.measured(std::vector<double>{9000, 8000, 100});
    CHECK(add(20006) == 2);
    mesh.measured(std::vector<double>{9000, 10, 9000});
    CHECK(add(20008) == 1);
}

TEST_CASE("a key has an owner unless tracks of several workers share it", "[spread]") {
    auto both = ports();
    for (flow::PortInfo& port : both) port.rx_workers = {0, 1};
    mesh::Mesh mesh(both, {20000, 29999}, 2);
    const flow::Key rtp{test::ip("10.0.0.1"), 20000, 0}, rtcp{test::ip("10.0.0.1"), 20001, 0};
    CHECK_FALSE(mesh.owner(rtp));
    for (const char* sender : {"10.0.0.8", "10.0.0.9"}) {
        config::Stream stream;
        stream.name = sender;
        config::Track& track = stream.tracks.emplace_back();
        track.media = "video";
        track.sources.emplace_back().rtp = {test::ip("10.0.0.1"), 20000};
        track.sources.back().from = test::ip(sender);
        REQUIRE(mesh.put(stream));
        if (sender == std::string_view("10.0.0.8")) {
            CHECK(mesh.owner(rtp) == 0);
            CHECK(mesh.owner(rtcp) == 0);
        }
    }
    CHECK_FALSE(mesh.owner(rtp));
    mesh.remove("10.0.0.8");
    CHECK(mesh.owner(rtp) == 1);
    CHECK(mesh.owner(rtcp) == 1);
}
