#pragma once
// A small model for the show commands to tell of, and what they told.
#include <string>
#include <variant>
#include <vector>

#include "control/cli/show.hpp"
#include "mesh_cases.hpp"

namespace penstock::test {

using cli::Cell;
using cli::Section;

inline constexpr uint64_t kSecond = uint64_t{1} << 32;

// The cell of a row by its key; so every key that a test names is there.
inline const Cell& cell(const Section& section, size_t row, const std::string& key) {
    INFO(section.key << '[' << row << "]." << key);
    const auto column = std::ranges::find(section.columns, key, &cli::Column::key);
    REQUIRE(column != section.columns.end());
    REQUIRE(row < section.rows.size());
    REQUIRE(section.rows[row].size() == section.columns.size());
    return section.rows[row][static_cast<size_t>(column - section.columns.begin())];
}
inline uint64_t number(const Section& s, size_t row, const std::string& key) {
    return std::get<uint64_t>(cell(s, row, key));
}
inline std::string text(const Section& s, size_t row, const std::string& key) {
    return std::get<std::string>(cell(s, row, key));
}
inline bool unknown(const Section& s, size_t row, const std::string& key) {
    return std::holds_alternative<std::monostate>(cell(s, row, key));
}

// Two tracks; of the first one's legs one can be reached.
struct Fixture {
    Fixture() {
        auto second = from("239.1.1.1:5004");
        second.port = "wan";
        second.from = ip("10.0.0.8");
        auto video = track({from("10.0.0.1:20000"), second}, {to("10.0.1.20:6000"), to("10.0.1.21:6000")});
        video.payload_type = 96;
        video.encoding = "H264/90000";
        video.outputs[1].ttl = 16;
        put(mesh, stream({video, track({from("10.0.0.1:20002")}, {}, "audio")}));
        mesh.resolve(way("10.0.1.20"), by(2));
        mesh.resolve(way("10.0.1.21"), {{}, "no route"});
        const mesh::Track& t = *mesh.tracks()[0];
        for (const uint16_t sequence : std::initializer_list<uint16_t>{1, 2, 5})
            t.paths[0].state->reception.receive(sequence, 3000, 9, 100, now, 3000u + 1600u * sequence, 90000);
        t.paths[0].state->rtcp_packets.add(2);
        t.paths[1].state->reception.receive(1, 3000, 9, 50, now, 3000, 90000);
        t.outputs[0].state->packets.add(4);
        t.outputs[0].state->bytes.add(400);
        t.outputs[0].state->rtcp_packets.add(1);
        t.outputs[0].state->drop(flow::Drop::mtu).add(5);
        t.outputs[0].state->drop(flow::Drop::tx_full).add(6);
    }
    const mesh::Stream& camera() const { return *mesh.stream("camera"); }
    std::vector<cli::PortFacts> port_facts() const {
        std::vector<cli::PortFacts> all;
        for (const flow::PortInfo& info : ports()) {
            cli::PortFacts facts;
            facts.info = info;
            facts.driver = "net_" + info.name;
            facts.counters = {{"rx_good_packets", 11}, {"rx_q0_errors", 12}};
            all.push_back(std::move(facts));
        }
        return all;
    }
    std::vector<cli::WorkerFacts> worker_facts() const {
        std::vector<cli::WorkerFacts> all(2);
        all[0].core = 1;
        all[0].queues = "lan/0";
        all[1].core = 3;
        all[1].numa_node = 1;
        all[1].ledger.rx = 10;
        all[1].ledger.forwarded = 7;
        all[1].ledger[flow::Drop::no_flow] = 3;
        all[1].ledger.tx_wanted = 9;
        all[1].ledger.sent = 5;
        all[1].ledger[flow::Drop::tx_full] = 4;
        return all;
    }
    mesh::Mesh mesh = model();
    uint64_t now = 50 * kSecond;
};

}  // namespace penstock::test
