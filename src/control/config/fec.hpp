#pragma once
// What stands under `fec` of a source or an output.
#include <optional>
#include <vector>

#include "control/config/config.hpp"
#include "control/config/value.hpp"

namespace penstock::config {

std::optional<SourceFec> read_source_fec(const Value& value, const Endpoint& rtp);
std::optional<OutputFec> read_output_fec(const Value& value, const Endpoint& rtp);
// `rtp_value` is where `rtp` was read from.
void want_room_for_repair(const std::vector<uint16_t>& ports, const Endpoint& rtp, const Value& rtp_value);

}  // namespace penstock::config
