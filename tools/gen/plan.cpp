#include "plan.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <span>

#include "base/wire.hpp"
#include "words.hpp"

namespace penstock::gen {
namespace {

Ip later(const Ip& ip, uint32_t by) {
    std::array<std::byte, 4> bytes;
    wire::store32(bytes.data(), wire::load32(ip.wire().data()) + by);
    return Ip::v4(bytes);
}

// The value of one key: what is wrong with it, or empty.
using Wrong = std::string;

template <class Number>
Wrong take(std::string_view text, Number from, Number to, Number& into) {
    const auto value = number<Number>(text);
    if (!value || !(*value >= from && *value <= to)) return fmt::format("a number, {} to {}", from, to);
    into = *value;
    return {};
}

Wrong take_endpoint(std::string_view text, Endpoint& into) {
    const auto endpoint = Endpoint::parse(text);
    if (!endpoint || !endpoint->ip.is_v4() || endpoint->port == 0) return "an IPv4 address and port, as 10.1.0.1:20000";
    into = *endpoint;
    return {};
}

// "200", "64-1300", "64*7+576*4+1400": bytes, a range, several with their weights
Wrong take_sizes(std::string_view text, std::vector<Size>& into) {
    static constexpr std::string_view kWhat =
        "bytes of RTP: 200, 64-1300 or 64*7+576*4+1400 (weights), each 44 to 1472";
    into.clear();
    for (const std::string_view part : split(text, "+")) {
        const auto weighted = split(part, "*");
        const auto range = split(weighted.front(), "-");
        const auto from = number<uint16_t>(range.front()), to = number<uint16_t>(range.back());
        const auto weight = weighted.size() == 2 ? number<uint32_t>(weighted[1]) : 1u;
        if (weighted.size() > 2 || range.size() > 2 || !from || !to || !weight || *from < kMinSize || *to > kMaxSize ||
            *from > *to || *weight == 0 || *weight > 1000)
            return std::string(kWhat);
        into.push_back({*from, *to, *weight});
    }
    return into.empty() ? std::string(kWhat) : Wrong{};
}

Wrong take_paths(std::string_view text, std::vector<Path>& into) {
    into.resize(split(text, ",").size());
    if (into.empty() || into.size() > 2) return "one address, or two of live-live, separated by a comma";
    for (size_t i = 0; const std::string_view part : split(text, ","))
        if (auto wrong = take_endpoint(part, into[i++].to); !wrong.empty()) return wrong;
    return {};
}

// One number for each path.
Wrong take_each(std::string_view text, double to, std::vector<Path>& paths, double Path::*into) {
    const auto parts = split(text, ",");
    if (parts.size() != paths.size()) return "one number for each address of `to`, which comes before it";
    for (size_t i = 0; i < parts.size(); i++)
        if (auto wrong = take(parts[i], 0.0, to, paths[i].*into); !wrong.empty()) return wrong;
    return {};
}

Wrong take_group_key(std::string_view key, std::string_view value, Group& group) {
    if (key == "name") return group.name = value, Wrong{};
    if (key == "count") return take(value, 1u, kMaxStreams, group.count);
    if (key == "per-address") return take(value, 1u, 32000u, group.per_address);
    if (key == "to") return take_paths(value, group.paths);
    if (key == "from") return take_endpoint(value, group.from);
    if (key == "pps") return take(value, 0.001, 1e8, group.pps);
    if (key == "size") return take_sizes(value, group.sizes);
    if (key == "pt") return take(value, uint8_t{0}, uint8_t{127}, group.payload_type);
    if (key == "clock") return take(value, 1u, 1'000'000'000u, group.clock_rate);
    if (key == "copies") return take(value, 0u, 100'000u, group.copies);
    if (key == "garbage") return take(value, 0.0, 100.0, group.garbage);
    if (key == "loss") return take_each(value, 1, group.paths, &Path::loss);
    if (key == "skew") {
        if (auto wrong = take_each(value, 10'000, group.paths, &Path::skew); !wrong.empty()) return wrong;
        for (Path& path : group.paths) path.skew /= 1000;
        return {};
    }
    return "one of name, count, per-address, to, from, pps, size, pt, clock, copies, garbage, loss, skew";
}

Wrong take_wire_key(std::string_view key, std::string_view value, Wire& wire) {
    if (key == "from") return take_endpoint(value, wire.from);
    if (key == "to") return take_endpoint(value, wire.to);
    if (key == "loss") return take(value, 0.0, 1.0, wire.loss);
    return "one of from, to, loss";
}

template <class Item>
Wrong take_line(std::span<const std::string_view> words, Item& item,
                Wrong (*take_key)(std::string_view, std::string_view, Item&)) {
    for (const std::string_view word : words) {
        const size_t equals = word.find('=');
        if (equals == std::string_view::npos) return fmt::format("'{}' is no KEY=VALUE", word);
        if (auto wrong = take_key(word.substr(0, equals), word.substr(equals + 1), item); !wrong.empty())
            return fmt::format("'{}': allowed is {}", word, wrong);
    }
    return {};
}

Wrong complete(Group& group, size_t number) {
    if (group.paths.empty() || group.pps == 0) return "streams need to=ADDRESS:PORT and pps=NUMBER";
    if (group.name.empty()) group.name = fmt::format("streams-{}", number);
    for (const Path& path : group.paths)
        if (path.to.port + 2 * (std::min(group.count, group.per_address) - 1) > 65535)
            return fmt::format("port {} and 2 more for each of {} streams is beyond 65535: lower per-address",
                               path.to.port, std::min(group.count, group.per_address));
    return {};
}

}  // namespace

Endpoint Group::destination(const Path& path, uint32_t stream) const {
    return {later(path.to.ip, stream / per_address), static_cast<uint16_t>(path.to.port + 2 * (stream % per_address))};
}

uint32_t Plan::streams() const {
    uint32_t all = 0;
    for (const Group& group : groups) all += group.count;
    return all;
}

Result<Plan> parse_plan(std::string_view text) {
    Plan plan;
    for (size_t line = 1; !text.empty(); line++) {
        const size_t end = std::min(text.find('\n'), text.size());
        const auto words = split(text.substr(0, std::min(end, text.find('#'))), " \t\r");
        text.remove_prefix(std::min(end + 1, text.size()));
        if (words.empty()) continue;
        const std::span rest = std::span(words).subspan(1);
        Wrong wrong;
        if (words.front() == "streams") {
            Group group;
            group.from = {*Ip::parse("10.1.0.9"), 5000};
            wrong = take_line<Group>(rest, group, take_group_key);
            if (wrong.empty()) wrong = complete(group, plan.groups.size() + 1);
            plan.groups.push_back(std::move(group));
        } else if (words.front() == "wire") {
            Wire wire;
            wrong = take_line<Wire>(rest, wire, take_wire_key);
            if (wrong.empty() && (wire.from.port == 0 || wire.to.port == 0))
                wrong = "a wire needs from= and to=ADDRESS:PORT";
            plan.wires.push_back(wire);
        } else {
            wrong = fmt::format("'{}': a line begins with streams or wire", words.front());
        }
        if (!wrong.empty()) return fail(fmt::format("{}: {}", line, wrong));
        if (plan.streams() > kMaxStreams)
            return fail(fmt::format("{}: more than {} streams in all", line, kMaxStreams));
    }
    if (plan.groups.empty()) return fail("1: no streams: a plan needs a line `streams to=ADDRESS:PORT pps=NUMBER`");
    return plan;
}

std::string_view plan_help() {
    return R"(A plan has a line for each group of like streams; "#" begins a comment:

  streams to=10.1.0.1:20000 pps=100 [KEY=VALUE...]
    to=A:P[,A:P]     where the first stream goes, the next ones to ports 2 higher; two: live-live, the same packets twice
    pps=N            packets a second, of each stream, evenly spaced
    name=TEXT        in the report [streams-N]
    count=N          so many streams [1]
    per-address=N    after so many of them comes the next address [4000]
    from=A:P         the sender [10.1.0.9:5000]
    size=BYTES       of RTP with its header: 200, 64-1300 or, with weights, 64*7+576*4+1400 [200]
    pt=N clock=HZ    RTP payload type and clock [96, 90000]
    copies=N         that each packet shall arrive in [1]
    garbage=SHARE    so many packets that nobody may get, for each packet of media [0]
    loss=S[,S]       share of packets that each path loses [0]; after to=
    skew=MS[,MS]     milliseconds that each path lags behind [0]; after to=

  wire from=10.3.9.1:6000 to=10.1.0.1:22000 [loss=S]
    What arrives for `from`, and for the 4 ports above (FEC), goes on to `to`, less what is lost: a network between an
    output and a source of the same forwarder.
)";
}

}  // namespace penstock::gen
