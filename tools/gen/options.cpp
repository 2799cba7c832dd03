#include "options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "words.hpp"

namespace penstock::gen {
namespace {

constexpr std::array<std::string_view, 3> kWithArgument{"af_packet", "pci", "pcap"};
constexpr std::array<std::string_view, 2> kAlone{"ring", "null"};

std::optional<PortName> port_name(std::string_view text) {
    const size_t colon = text.find(':');
    PortName name{std::string(text.substr(0, colon)),
                  std::string(colon == std::string_view::npos ? "" : text.substr(colon + 1))};
    const bool known = std::ranges::find(kWithArgument, name.driver) != kWithArgument.end() ? !name.argument.empty()
                       : std::ranges::find(kAlone, name.driver) != kAlone.end()             ? name.argument.empty()
                                                                                            : false;
    if (!known) return std::nullopt;
    return name;
}

template <class Value>
bool set(const std::optional<Value>& from, auto& to) {
    if (from) to = *from;
    return from.has_value();
}

// A number within its limits.
template <class Number>
std::optional<Number> within(std::string_view text, Number from, Number to) {
    const auto value = number<Number>(text);
    return value && *value >= from && *value <= to ? value : std::nullopt;
}

}  // namespace

Result<Options> parse_options(std::span<const std::string_view> words) {
    Options options;
    for (size_t i = 0; i < words.size(); i++) {
        const std::string_view key = words[i];
        if (key == "--help" || key == "-h") {
            options.help = true;
            return options;
        }
        if (i + 1 == words.size()) return fail(fmt::format("'{}': unknown, or it needs a value; see --help", key));
        const std::string_view value = words[++i];
        bool right = true;
        if (key == "--plan")
            options.plan = value;
        else if (key == "--expect")
            options.expect = value;
        else if (key == "--json")
            options.json = value;
        else if (key == "--tx")
            right = set(port_name(value), options.tx);
        else if (key == "--rx")
            right = set(port_name(value), options.rx);
        else if (key == "--to-mac")
            right = set(Mac::parse(value), options.to_mac);
        else if (key == "--seconds")
            right = set(within(value, 0.01, 86400.0), options.seconds);
        else if (key == "--settle")
            right = set(within(value, 0.0, 60.0), options.settle);
        else if (key == "--scale")
            right = set(within(value, 1e-6, 1e6), options.scale);
        else if (key == "--packets")
            right = set(number<uint64_t>(value), options.packets);
        else if (key == "--core")
            right = set(number<unsigned>(value), options.core);
        else if (key == "--max-legs")
            right = set(within<uint64_t>(value, 1, 10'000'000), options.max_legs);
        else
            return fail(fmt::format("'{}': unknown; see --help", key));
        if (!right) return fail(fmt::format("{} '{}': that does not fit; see --help", key, value));
    }
    if (options.plan.empty()) return fail("--plan FILE is missing; see --help");
    if (options.tx.driver.empty()) return fail("--tx PORT is missing; see --help");
    return options;
}

std::string_view usage() {
    return R"(usage: penstock-gen --plan FILE --tx PORT [--rx PORT] [OPTION...]

Sends RTP as a plan says, each packet when it is due, takes what a forwarder makes of it on another port (or the same), and
tells what was lost, late, doubled or damaged and how long it took, stream by stream. Each packet carries its stream, its
number and its time behind the RTP header, so it is known by whatever address it comes back.

  --plan FILE      what to send: see below
  --tx PORT        af_packet:INTERFACE, pci:ADDRESS (bound to vfio-pci), ring (what is sent comes back: a self test), null, or
                   pcap:FILE: writes the packets, without waiting for their time
  --rx PORT        where packets come back: af_packet:INTERFACE or pci:ADDRESS [the tx port]
  --to-mac MAC     of the forwarder's port; multicast needs none [00:00:00:00:00:00]
  --seconds S      how long to send [10]
  --packets N      send no more than N packets of each line of the plan
  --scale F        so many times the packets a second of the plan [1]
  --settle S       the end: nothing came for so long [0.3]
  --core N         the core to run on [any]
  --max-legs N     remember so many legs (streams times receivers, 130 bytes each) at most [1000000]
  --expect FILE    lines "NAME: OP NUMBER" that must hold, as "lost: == 0"; the names are those of the report
  --json FILE      the report for machines, "-": to stdout instead of the table

Exit codes: 0 all went as expected, 1 it did not, 2 wrong usage.

)";
}

}  // namespace penstock::gen
