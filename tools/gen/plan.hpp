#pragma once
// What is to be sent, as values: groups of like streams, and wires that hand received packets on. docs: plan_help().
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"

namespace penstock::gen {

// One way by which the packets of a group are sent. The paths of a group carry the same packets, byte by byte.
struct Path {
    Endpoint to;      // of the first stream
    double loss = 0;  // share of packets that it loses, at random
    double skew = 0;  // seconds that it lags behind
    bool operator==(const Path&) const = default;
};

struct Size {
    uint16_t from = 0, to = 0;  // bytes of UDP payload, RTP header included
    uint32_t weight = 1;
    bool operator==(const Size&) const = default;
};

// Streams n = 0, 1, ... of a group go to the port of the first plus 2n; after `per_address` of them, to the next
// address.
struct Group {
    std::string name;
    uint32_t count = 1;
    uint32_t per_address = 4000;
    std::vector<Path> paths;
    Endpoint from;
    double pps = 0;  // packets a second, of each stream
    std::vector<Size> sizes{{200, 200, 1}};
    uint8_t payload_type = 96;
    uint32_t clock_rate = 90000;
    uint32_t copies = 1;  // that are expected of each packet
    double garbage = 0;   // packets that nobody may get, for each packet of media
    bool operator==(const Group&) const = default;

    Endpoint destination(const Path& path, uint32_t stream) const;
};

// What arrives for `from` is sent to `to` instead, and so are the ports above (FEC: + 2 and + 4): a lossy network
// between two outputs and sources of a forwarder.
struct Wire {
    Endpoint from, to;
    double loss = 0;
    bool operator==(const Wire&) const = default;
};

inline constexpr uint32_t kMaxStreams = 1'000'000;
inline constexpr uint16_t kMinSize = 44;    // RTP header and mark
inline constexpr uint16_t kMaxSize = 1472;  // of an Ethernet frame

struct Plan {
    std::vector<Group> groups;
    std::vector<Wire> wires;

    uint32_t streams() const;
    bool operator==(const Plan&) const = default;
};

// One group or wire a line: "streams name=video to=10.1.0.1:20000 pps=100 size=1300" or
// "wire from=10.3.9.1:6000 to=10.1.0.1:22000 loss=0.02"; "#" begins a comment. An error says LINE: what, and what is
// allowed.
Result<Plan> parse_plan(std::string_view text);

std::string_view plan_help();

}  // namespace penstock::gen
