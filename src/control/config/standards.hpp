#pragma once
// Numbers that the standards name: payload types, encodings, code points. Pure.
#include <cstdint>
#include <optional>
#include <string_view>

namespace penstock::config {

// "H264/90000" of a static payload type (RFC 3551 section 6, tables 4 and 5).
std::optional<std::string_view> static_encoding(uint8_t payload_type);

// The clock rate in Hz of "NAME/CLOCK" or "NAME/CLOCK/CHANNELS" (RFC 8866 section 6.6).
std::optional<uint32_t> clock_rate(std::string_view encoding);

// Whether both name one encoding: letters of either case, and one channel whether it is said or not.
bool same_encoding(std::string_view a, std::string_view b);

// "46", or its name: EF (RFC 3246), AF11 to AF43 (RFC 2597), CS0 to CS7 (RFC 2474).
std::optional<uint8_t> dscp(std::string_view text);

}  // namespace penstock::config
