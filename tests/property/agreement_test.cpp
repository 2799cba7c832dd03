// A file is refused for how its streams stand to each other exactly when the model refuses one of them beside the
// others.
#include <catch2/catch.hpp>

#include "control/config/load.hpp"
#include "control/mesh/mesh.hpp"
#include "support/packet_builder.hpp"
#include "support/random.hpp"

using namespace penstock;
using namespace penstock::test;

namespace {

std::string any_end(Random& random, const std::string& address) {
    return "\"" + address + ":" + std::to_string(5000 + random.below(40)) + "\"";
}

// Few addresses and ports, so that they often meet.
std::string any_stream(Random& random, const std::string& name) {
    const bool group = random.chance(0.3);
    const auto port = [&] {
        return group || random.chance(0.3) ? random.chance(0.5) ? ", port: lan" : ", port: wan" : "";
    };
    const std::string address = group ? "239.1.1.1" : "10.0.0.1";
    const std::string from = random.chance(0.3) ? ", from: 10.0.0.9" : "", vlan = random.chance(0.2) ? ", vlan: 5" : "";
    const std::string mux = random.chance(0.3) ? ", rtcp_mux: on" : "";
    return "  - {name: " + name + ", tracks: [{media: video, payload_type: 96, encoding: H264/90000, sources: [{rtp: " +
           any_end(random, address) + port() + from + vlan + "}], outputs: [{rtp: " + any_end(random, address) +
           port() + mux + "}]}]}\n";
}

}  // namespace

TEST_CASE("a file and the model refuse the same", "[mesh]") {
    Random random;
    std::array<unsigned, 2> seen{};
    for (int run = 0; run < 2000; run++) {
        std::vector<std::string> entries;
        for (unsigned n = random.between(1, 4); n != 0; n--)
            entries.push_back(any_stream(random, "s" + std::to_string(n)));
        const auto load = [](const std::string& streams) {
            return config::load(
                "ports: [{name: lan, driver: ring}, {name: wan, driver: ring}]\nstreams:\n" + streams,
                [](std::string_view) { return std::nullopt; }, "host");
        };
        std::vector<flow::PortInfo> ports(2);
        ports[0].name = "lan";
        ports[1].name = "wan";
        ports[1].index = 1;
        mesh::Mesh mesh(ports, {20000, 29999}, 1);
        std::string all, why;
        bool beside_each_other = true;
        for (const std::string& entry : entries) {
            all += entry;
            const auto alone = load(entry);
            if (!alone) {
                beside_each_other = false;  // it feeds itself
                why += alone.error()[0].text;
            } else if (auto put = mesh.put(alone->streams[0]); !put) {
                beside_each_other = false;
                why += put.error().text;
            }
        }
        INFO(all << why);
        const auto together = load(all);
        INFO((together ? "" : config::format("file", together.error())));
        REQUIRE(together.has_value() == beside_each_other);
        seen[beside_each_other]++;
    }
    CHECK((seen[0] > 100 && seen[1] > 100));
}
