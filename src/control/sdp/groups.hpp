#pragma once
// What belongs together in a session description: media by their a=mid (RFC 5888), sources of one medium by their SSRC
// (RFC 5576). DUP: copies of the same (RFC 7104); FEC-FR: media and what repairs them (RFC 5956).
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/sdp/description.hpp"

namespace penstock::sdp {

inline constexpr std::string_view kDuplicates = "DUP", kRepair = "FEC-FR";

struct Group {  // a=group
    std::string semantics;
    std::vector<std::string> mids;
    bool operator==(const Group&) const = default;
};
struct SsrcGroup {  // a=ssrc-group
    std::string semantics;
    std::vector<uint32_t> ssrcs;
    bool operator==(const SsrcGroup&) const = default;
};

std::vector<Group> groups(const Description& description);
Attribute attribute(const Group& group);
Attribute attribute(const SsrcGroup& group);

// By medium: which one it is a copy of, by a=group:DUP; none: it is an original. What cannot be (a mid that is not
// there or stands twice, a copy of another kind) is no copy.
std::vector<std::optional<size_t>> originals(const Description& description);

// By medium: which one it repairs, by a=group:FEC-FR; none: it is no repair, or none that is decoded. A medium has one,
// or two of ST 2022-1, for columns and rows.
std::vector<std::optional<size_t>> repaired(const Description& description);

// Whether its packets come twice to one port, under two SSRCs: a=ssrc-group:DUP. Which these are is not relied on: a
// source that is restarted has others. Repair on the port of the media (a=ssrc-group:FEC-FR) is told by its payload
// type.
bool duplicated(const Media& media);

}  // namespace penstock::sdp
