// What the model says of keys that came and went adds up to all keys of its tables, and never runs behind them.
#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <set>

#include "control/mesh/mesh.hpp"
#include "support/packet_builder.hpp"
#include "support/random.hpp"

using namespace penstock;
using namespace penstock::test;

namespace {

using Keys = std::set<std::string>;

std::string text(const flow::Key& key) {
    return key.destination.text() + " " + std::to_string(key.port) + " vlan " + std::to_string(key.vlan);
}

Keys all_of(const std::vector<flow::Key>& keys) {
    Keys all;
    std::ranges::transform(keys, std::inserter(all, all.end()), text);
    return all;
}

std::vector<flow::PortInfo> three_ports() {
    std::vector<flow::PortInfo> ports(3);
    for (uint16_t i = 0; i < 3; i++) {
        ports[i].index = i;
        ports[i].name = "p" + std::to_string(i);
    }
    return ports;
}

// Few destinations for many sources, told apart by sender, port and VLAN.
config::Stream any_stream(Random& random) {
    config::Stream stream;
    stream.name = "s" + std::to_string(random.below(8));
    stream.tracks.resize(random.between<size_t>(1, 2));
    for (config::Track& track : stream.tracks) {
        track.media = "video";
        track.sources.resize(random.between<size_t>(1, 2));
        for (config::Source& source : track.sources) {
            source.rtp = {ip("10.0.0.1"), static_cast<uint16_t>(20000 + 2 * random.below(3))};
            if (random.chance(0.6)) source.from = ip("10.9.9." + std::to_string(random.between(1, 9)));
            if (random.chance(0.6)) source.port = "p" + std::to_string(random.below(3));
            if (random.chance(0.2)) source.vlan = 7;
        }
    }
    return stream;
}

}  // namespace

TEST_CASE("keys that came and went add up to all keys, at every moment", "[mesh]") {
    Random random;
    size_t shared = 0;
    for (int run = 0; run < 100; run++) {
        mesh::Mesh mesh(three_ports(), {20000, 29999}, 1);
        std::vector<Keys> steered(3);
        for (int step = 0; step < 40; step++) {
            for (size_t n = random.between(1, 4); n != 0; n--) {
                if (random.chance(0.6)) {
                    (void)mesh.put(any_stream(random));  // or refused: then nothing changes
                } else {
                    mesh.remove("s" + std::to_string(random.below(8)));
                }
            }
            // As Node::publish does: what is new is steered, then the table is in force, then what is gone is given up.
            const auto changes = mesh.take_keys();
            for (uint16_t p = 0; p < 3; p++) {
                const Keys wanted = all_of(changes[p].wanted), unwanted = all_of(changes[p].unwanted);
                for (const std::string& key : wanted) REQUIRE_FALSE(unwanted.contains(key));
                steered[p].insert(wanted.begin(), wanted.end());
            }
            mesh.compile();
            for (uint16_t p = 0; p < 3; p++) {
                const auto now = mesh.keys(p);
                shared += now.size() - all_of(now).size();
                REQUIRE(std::ranges::includes(steered[p], all_of(now)));
                for (const std::string& key : all_of(changes[p].unwanted)) steered[p].erase(key);
                REQUIRE(steered[p] == all_of(now));
            }
        }
        const auto nothing = mesh.take_keys();
        for (uint16_t p = 0; p < 3; p++) REQUIRE((nothing[p].wanted.empty() && nothing[p].unwanted.empty()));
    }
    REQUIRE(shared > 1000);  // the case that is hard was tried
}
