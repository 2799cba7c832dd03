// A table that came about by changes equals one that is compiled at once from where the changes led.
#include "control/mesh/mesh.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

#include "support/packet_builder.hpp"
#include "support/random.hpp"

using namespace penstock;
using namespace penstock::test;

namespace {

constexpr uint16_t kPorts = 3;

Ip receiver(unsigned n) { return n % 3 == 2 ? ip("fd01::" + std::to_string(n)) : ip("10.0.1." + std::to_string(n)); }

std::vector<flow::PortInfo> any_ports(Random& random) {
    std::vector<flow::PortInfo> ports(kPorts);
    for (uint16_t i = 0; i < kPorts; i++) {
        ports[i].index = i;
        ports[i].name = "p" + std::to_string(i);
        ports[i].multi_segment = random.chance(0.5);
        ports[i].rx_workers = {random.below<uint16_t>(3), random.below<uint16_t>(3)};
    }
    return ports;
}

std::vector<config::Stream> any_streams(Random& random) {
    const auto any_port = [&] {
        return random.chance(0.7) ? std::nullopt : std::optional{"p" + std::to_string(random.below(kPorts))};
    };
    std::vector<config::Stream> streams(random.between<size_t>(1, 8));
    uint16_t next = 20000;
    for (config::Stream& stream : streams) {
        stream.tracks.resize(random.between<size_t>(1, 2));
        for (config::Track& track : stream.tracks) {
            track.media = "video";
            track.sources.resize(random.between<size_t>(1, 2));
            for (config::Source& source : track.sources) {
                source.rtp = {ip("10.0.0.1"), next};
                source.port = any_port();
                if (random.chance(0.3)) source.from = ip("10.0.0.9");
                next = static_cast<uint16_t>(next + 2);
            }
            track.outputs.resize(random.below<size_t>(6));
            for (config::Output& output : track.outputs) {
                output.rtp = {receiver(random.between(1, 9)), random.between<uint16_t>(6000, 6100)};
                output.port = any_port();
                output.rtcp_mux = random.chance(0.3);
                if (random.chance(0.3)) output.vlan = random.between<uint16_t>(1, 4094);
            }
        }
    }
    return streams;
}

flow::Resolution any_answer(Random& random, const flow::Destination& to) {
    if (random.chance(0.3)) return {{}, random.chance(0.5) ? "no route" : "does not answer"};
    flow::NextHop hop;
    hop.port = to.port.value_or(random.below<uint16_t>(kPorts));
    hop.mac.bytes[5] = static_cast<std::byte>(random.below(4));
    hop.source = to.ip.is_v4() ? ip("10.0.1.100") : ip("fd01::100");
    hop.mtu = random.chance(0.5) ? 1500 : 1400;
    return {hop, ""};
}

void require_same(const flow::Flow& a, const flow::Flow& b) {
    REQUIRE(a.key == b.key);
    REQUIRE(a.kind == b.kind);
    REQUIRE(a.rx_port == b.rx_port);
    REQUIRE(a.owner == b.owner);
    REQUIRE(a.has_sender == b.has_sender);
    REQUIRE(a.sender == b.sender);
    REQUIRE((a.merge != nullptr) == (b.merge != nullptr));
    REQUIRE((a.rtcp != nullptr) == (b.rtcp != nullptr));
    REQUIRE(a.needs_checksum == b.needs_checksum);
    REQUIRE(a.shareable == b.shareable);
    REQUIRE(a.leg_count == b.leg_count);
    for (uint32_t i = 0; i < a.leg_count; i++) {
        REQUIRE(std::ranges::equal(a.legs[i].header(), b.legs[i].header()));
        REQUIRE(a.legs[i].tx_port == b.legs[i].tx_port);
        REQUIRE(a.legs[i].mtu == b.legs[i].mtu);
        REQUIRE(a.legs[i].ip_sum == b.legs[i].ip_sum);
        REQUIRE(a.legs[i].udp_sum == b.legs[i].udp_sum);
    }
}

// That `table` holds exactly the flows of `changed`, and that they are what `scratch` says.
void require_same(const flow::Table& table, const mesh::Mesh& changed, const mesh::Mesh& scratch) {
    size_t flows = 0;
    REQUIRE(changed.tracks().size() == scratch.tracks().size());
    for (size_t t = 0; t < changed.tracks().size(); t++) {
        const auto &a = changed.tracks()[t]->flows, &b = scratch.tracks()[t]->flows;
        REQUIRE(a.size() == b.size());
        for (size_t f = 0; f < a.size(); f++) {
            require_same(*a[f], *b[f]);
            REQUIRE(table.find(a[f]->key, ip("10.0.0.9"), a[f]->rx_port) == a[f].get());
        }
        flows += a.size();
    }
    REQUIRE(table.size() == flows);
}

}  // namespace

TEST_CASE("compile after changes is compile from scratch", "[mesh]") {
    Random random;
    for (int run = 0; run < 60; run++) {
        const auto ports = any_ports(random);
        const auto streams = any_streams(random);
        mesh::Mesh mesh(ports, {20000, 29999});
        std::map<flow::Destination, flow::Resolution> answers;
        std::unique_ptr<const flow::Table> table;
        size_t added = 0;
        for (int step = 0; step < 40; step++) {
            if (added < streams.size() && random.chance(0.3)) mesh.add(streams[added++]);
            const auto destinations = mesh.destinations();
            if (!destinations.empty() && random.chance(0.8)) {
                const auto& to = random.one_of(destinations);
                mesh.resolve(to, answers[to] = any_answer(random, to));
            }
            if (random.chance(0.5))
                if (auto next = mesh.compile()) table = std::move(next);
        }
        if (auto next = mesh.compile()) table = std::move(next);
        REQUIRE(table);
        REQUIRE(mesh.compile() == nullptr);

        mesh::Mesh scratch(ports, {20000, 29999});
        for (size_t i = 0; i < added; i++) scratch.add(streams[i]);
        for (const auto& [to, answer] : answers) scratch.resolve(to, answer);
        scratch.compile();
        INFO("run " << run << ", " << added << " streams");
        require_same(*table, mesh, scratch);
    }
}

TEST_CASE("a track that no change touched keeps its flows", "[mesh]") {
    Random random;
    for (int run = 0; run < 30; run++) {
        mesh::Mesh mesh(any_ports(random), {20000, 29999});
        for (const auto& stream : any_streams(random)) mesh.add(stream);
        mesh.compile();
        const auto destinations = mesh.destinations();
        if (destinations.empty()) continue;
        const auto& to = random.one_of(destinations);
        std::vector<std::vector<flow::FlowPtr>> before;
        for (const auto& track : mesh.tracks()) before.push_back(track->flows);
        flow::NextHop hop;
        hop.source = to.ip;
        mesh.resolve(to, {hop, ""});
        REQUIRE(mesh.compile());
        for (size_t t = 0; t < before.size(); t++) {
            const bool touched = std::ranges::any_of(mesh.tracks()[t]->outputs,
                                                     [&](const mesh::Output& o) { return o.destination == to; });
            REQUIRE((mesh.tracks()[t]->flows != before[t]) == touched);
        }
    }
}
