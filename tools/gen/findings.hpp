#pragma once
// What a run came to: named numbers, which the table, the JSON and the expectations share.
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "garbage.hpp"
#include "tally.hpp"

namespace penstock::gen {

// What the sender alone knows.
struct Sending {
    double seconds = 0;         // from the first packet to the last
    uint64_t frames = 0;        // of media, on all paths
    uint64_t lost_on_path = 0;  // that the plan made a path lose
    uint64_t wired = 0, lost_on_wire = 0;
    std::array<uint64_t, kGarbageNames.size()> garbage{};
    flow::Latency lateness;  // how long after its time a packet was handed to the port
};

struct Finding {
    std::string name;
    double value = 0;
};

std::vector<Finding> findings_of(const Tally& tally, const Sending& sending);
std::optional<double> find(const std::vector<Finding>& findings, std::string_view name);

// For people: sums, and the streams that lost most. For machines: everything, stream by stream.
std::string table_of(const Tally& tally, const std::vector<Finding>& findings);
std::string json_of(const Tally& tally, const std::vector<Finding>& findings);

}  // namespace penstock::gen
