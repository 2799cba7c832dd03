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
        stream.name = "s" + std::to_string(&stream - streams.data());
        stream.tracks.resize(random.between<size_t>(1, 2));
        for (config::Track& track : stream.tracks) {
            track.media = random.chance(0.5) ? "video" : "audio";
            track.sources.resize(random.between<size_t>(1, 2));
            for (config::Source& source : track.sources) {
                source.rtp = {ip("10.0.0.1"), next};
                source.port = any_port();
                if (random.chance(0.3)) source.from = ip("10.0.0.9");
                next = static_cast<uint16_t>(next + 2);
            }
            track.outputs.resize(random.below<size_t>(6));
            uint16_t port = 6000;
            for (config::Output& output : track.outputs) {
                output.rtp = {receiver(random.between(1, 9)),
                              port = static_cast<uint16_t>(port + random.between(1, 50))};
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

// But for the worker, which depends on the order in which tracks came.
void require_same(const flow::Flow& a, const flow::Flow& b) {
    REQUIRE(a.key == b.key);
    REQUIRE(a.kind == b.kind);
    REQUIRE(a.rx_port == b.rx_port);
    REQUIRE(a.has_sender == b.has_sender);
    REQUIRE(a.sender == b.sender);
    REQUIRE((a.merge != nullptr) == (b.merge != nullptr));
    REQUIRE(a.second_path == b.second_path);
    REQUIRE(a.needs_checksum == b.needs_checksum);
    REQUIRE(a.shareable == b.shareable);
    REQUIRE(a.leg_count == b.leg_count);
    for (uint32_t i = 0; i < a.leg_count; i++) {
        REQUIRE(std::ranges::equal(a.legs[i].header(), b.legs[i].header()));
        REQUIRE(a.legs[i].tx_port == b.legs[i].tx_port);
        REQUIRE(a.legs[i].mtu == b.legs[i].mtu);
        REQUIRE(a.legs[i].ip_sum == b.legs[i].ip_sum);
        REQUIRE(a.legs[i].udp_sum == b.legs[i].udp_sum);
        REQUIRE(a.legs[i].rtcp_port == b.legs[i].rtcp_port);
    }
}

// That `table` holds exactly the flows of `changed`, and that they are what `scratch` says.
void require_same(const flow::Table& table, const mesh::Mesh& changed, const mesh::Mesh& scratch) {
    size_t flows = 0;
    REQUIRE(changed.tracks().size() == scratch.tracks().size());
    for (size_t t = 0; t < changed.tracks().size(); t++) {
        const auto &a = *changed.tracks()[t]->flows, &b = *scratch.tracks()[t]->flows;
        REQUIRE(a.size() == b.size());
        for (size_t f = 0; f < a.size(); f++) {
            require_same(a[f], b[f]);
            REQUIRE(table.find(a[f].key, ip("10.0.0.9"), a[f].rx_port) == &a[f]);
        }
        flows += a.size();
    }
    REQUIRE(table.size() == flows);
}

}  // namespace

// The streams of a file, as they may stand in it side by side, and another version of each with the same sources.
struct Versions {
    explicit Versions(Random& random) : one(any_streams(random)), two(one) {
        for (config::Stream& stream : two) {
            if (random.chance(0.2) && stream.tracks.size() > 1) stream.tracks.pop_back();
            if (random.chance(0.2)) std::ranges::reverse(stream.tracks);
            for (config::Track& track : stream.tracks) {
                if (random.chance(0.3) && track.sources.size() > 1) track.sources.pop_back();
                if (random.chance(0.5) && !track.outputs.empty())
                    track.outputs.erase(track.outputs.begin() + random.below<int>(track.outputs.size()));
                if (random.chance(0.5)) track.outputs.emplace_back().rtp = {receiver(random.between(1, 9)), 7000};
                if (random.chance(0.2)) track.payload_type = 96;
            }
        }
    }
    const config::Stream& any(Random& random) { return random.chance(0.5) ? random.one_of(one) : random.one_of(two); }
    std::vector<config::Stream> one, two;
};

TEST_CASE("compile after changes is compile from scratch", "[mesh]") {
    Random random;
    for (int run = 0; run < 100; run++) {
        const auto ports = any_ports(random);
        Versions versions(random);
        mesh::Mesh mesh(ports, {20000, 29999}, 3);
        std::map<std::string, config::Stream> wanted;
        std::set<flow::Destination> asked;  // of the kernel: what take_destinations() adds up to
        std::vector<std::string> sources;   // likewise, sorted
        std::map<flow::Destination, flow::Resolution> answers;
        std::unique_ptr<const flow::Table> table;
        const auto take = [&] {
            const auto destinations = mesh.take_destinations();
            for (const auto& to : destinations.wanted) {
                REQUIRE(asked.insert(to).second);
                answers.erase(to);  // it is looked up anew
            }
            for (const auto& to : destinations.forgotten) REQUIRE(asked.erase(to) == 1);
            const auto changed = mesh.take_sources();
            for (const auto& source : changed.added) sources.push_back(source.rtp.text());
            for (const auto& source : changed.removed) {
                const auto found = std::ranges::find(sources, source.rtp.text());
                REQUIRE(found != sources.end());
                sources.erase(found);
            }
        };
        for (int step = 0; step < 60; step++) {
            const double dice = random.below(100) / 100.0;
            if (dice < 0.3) {
                const config::Stream& stream = versions.any(random);
                const auto done = mesh.put(stream);
                INFO((done ? "" : done.error().text));
                REQUIRE(done);
                wanted[stream.name] = stream;
            } else if (dice < 0.4) {
                const std::string name = versions.any(random).name;
                REQUIRE(mesh.remove(name) == (wanted.erase(name) == 1));
            } else if (dice < 0.45) {
                std::vector<config::Stream> file;
                for (size_t i = 0; i < versions.one.size(); i++)
                    if (random.chance(0.7)) file.push_back(random.chance(0.5) ? versions.one[i] : versions.two[i]);
                mesh.replace(file);
                wanted.clear();
                for (const auto& stream : file) wanted[stream.name] = stream;
            } else if (dice < 0.75) {
                take();
                if (asked.empty()) continue;
                auto to = asked.begin();
                std::advance(to, random.below<long>(asked.size()));
                mesh.resolve(*to, answers[*to] = any_answer(random, *to));
            } else if (auto next = mesh.compile()) {
                table = std::move(next);
            }
        }
        take();
        if (auto next = mesh.compile()) table = std::move(next);
        REQUIRE(mesh.compile() == nullptr);
        if (!table) continue;  // nothing but empty steps

        INFO("run " << run << ", " << wanted.size() << " streams");
        mesh::Mesh scratch(ports, {20000, 29999}, 3);
        for (const auto& [name, stream] : wanted) REQUIRE(scratch.put(stream));
        const auto destinations = scratch.take_destinations().wanted;
        REQUIRE(std::vector(asked.begin(), asked.end()) == destinations);
        for (const auto& [to, answer] : answers) scratch.resolve(to, answer);
        scratch.compile();
        std::vector<std::string> expected;
        for (const auto& source : scratch.take_sources().added) expected.push_back(source.rtp.text());
        std::ranges::sort(expected);
        std::ranges::sort(sources);
        REQUIRE(sources == expected);
        require_same(*table, mesh, scratch);
    }
}

TEST_CASE("what stays through a change keeps its state, what is new has one of its own", "[mesh]") {
    Random random;
    for (int run = 0; run < 100; run++) {
        Versions versions(random);
        mesh::Mesh mesh(any_ports(random), {20000, 29999}, 3);
        mesh.replace(versions.one);
        if (random.chance(0.5)) mesh.compile();
        using Receiver = std::tuple<std::string, std::string, Endpoint, uint16_t, std::optional<std::string>>;
        const auto states = [&] {
            std::map<Receiver, std::shared_ptr<flow::LegState>> all;
            for (const auto* track : mesh.tracks())
                for (const auto& output : track->outputs)
                    all.emplace(Receiver{track->stream, track->paths[0].source.rtp.text(), output.to.rtp,
                                         output.to.vlan, output.to.port},
                                output.state);
            return all;
        };
        const auto before = states();
        std::map<std::string, uint16_t> owners;
        for (const auto* track : mesh.tracks()) owners[track->paths[0].source.rtp.text()] = track->owner;
        mesh.replace(versions.two);
        std::set<const flow::LegState*> distinct;
        const auto after = states();
        for (const auto& [receiver, state] : after) {
            REQUIRE(distinct.insert(state.get()).second);
            const auto old = before.find(receiver);
            if (old != before.end())
                REQUIRE(old->second == state);
            else
                for (const auto& [other, known] : before) REQUIRE(known != state);
        }
        for (const auto* track : mesh.tracks())
            if (const auto owner = owners.find(track->paths[0].source.rtp.text()); owner != owners.end())
                REQUIRE(owner->second == track->owner);
    }
}

TEST_CASE("a track that no change touched keeps its flows", "[mesh]") {
    Random random;
    for (int run = 0; run < 30; run++) {
        mesh::Mesh mesh(any_ports(random), {20000, 29999}, 3);
        mesh.replace(any_streams(random));
        mesh.compile();
        const auto destinations = mesh.take_destinations().wanted;
        if (destinations.empty()) continue;
        const auto& to = random.one_of(destinations);
        std::vector<flow::Flows> before;
        for (const auto& track : mesh.tracks()) before.push_back(track->flows);
        flow::NextHop hop;
        hop.source = to.ip;
        mesh.resolve(to, {hop, ""});
        REQUIRE(mesh.compile());
        for (size_t t = 0; t < before.size(); t++) {
            const bool touched = std::ranges::any_of(mesh.tracks()[t]->outputs,
                                                     [&](const mesh::Output& o) { return o.way->first == to; });
            REQUIRE((mesh.tracks()[t]->flows != before[t]) == touched);
        }
    }
}
