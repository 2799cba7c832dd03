#pragma once
// How destinations are reached, by whom: one Way each, whatever the number of legs.
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/boxed.hpp"
#include "flow/key.hpp"
#include "flow/next_hop.hpp"

namespace penstock::mesh {

struct Output;

// How a destination is reached, and the legs that lead there.
struct Way {
    std::optional<flow::NextHop> hop{};
    bool asked_for = false;        // it was among those wanted, and is not forgotten
    Output* legs = nullptr;        // the first; each has the next
    Boxed<std::string> why_not{};  // neither this nor a hop: it was not looked up yet
};
struct HashDestination {
    size_t operator()(const flow::Destination& to) const noexcept {
        return flow::hash({to.ip, static_cast<uint16_t>(to.port.value_or(0)), uint16_t{to.port.has_value()}});
    }
};
using Ways = std::unordered_map<flow::Destination, Way, HashDestination>;

}  // namespace penstock::mesh
