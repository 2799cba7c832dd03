#pragma once
// The command line of penstock-gen as values.
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/address.hpp"
#include "base/result.hpp"

namespace penstock::gen {

// "af_packet:eth0", "pci:0000:3b:02.1", "pcap:FILE", "ring", "null"
struct PortName {
    std::string driver, argument;
    bool operator==(const PortName&) const = default;
};

struct Options {
    std::string plan, expect, json;
    PortName tx, rx;  // rx without a driver: packets come back by the tx port
    Mac to_mac;
    double seconds = 10, scale = 1, settle = 0.3;
    std::optional<uint64_t> packets;
    std::optional<unsigned> core;
    uint64_t max_legs = 1'000'000;
    bool help = false;
};

Result<Options> parse_options(std::span<const std::string_view> words);
std::string_view usage();

}  // namespace penstock::gen
