#pragma once
// Which packets are sent again, and asked for again: `nack` of a source, `rtx` of an output, `feedback` of a track.
#include "control/config/settings.hpp"

namespace penstock::config {

std::optional<Nack> read_nack(const Value& value, const Source& of);
std::optional<rtp::RtxStream> read_rtx(const Value& value);
std::optional<Feedback> read_feedback(const Value& value);

// What goes together, and what the packet buffers allow.
void check_retransmission(const Config& config, Problems& problems);

}  // namespace penstock::config
