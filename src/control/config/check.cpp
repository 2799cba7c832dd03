#include "control/config/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "flow/key.hpp"

namespace penstock::config {
namespace {

// What arriving packets match, as far as a check looks: absent means any.
struct Match {
    flow::Key key;
    std::optional<std::string_view> port;
    std::optional<Ip> from;
    bool operator==(const Match&) const = default;
};

struct Hash {
    size_t operator()(const flow::Key& key) const noexcept { return flow::hash(key); }
    size_t operator()(const Match& match) const noexcept {
        size_t h = flow::hash(match.key);
        if (match.port) h = h * 31 + std::hash<std::string_view>{}(*match.port);
        if (match.from) h = h * 31 + flow::hash({*match.from, 0, 0});
        return h;
    }
};

struct Place {
    const Stream& stream;
    const Source& source;
    std::string text() const {
        const std::string name = fmt::format("stream {}", quoted(stream.name));
        return source.at.line == 0 ? name : fmt::format("{} (line {})", name, source.at.line);
    }
};

// The first source of each kind in the file.
class Sources {
public:
    explicit Sources(const Config& config, Problems& problems) {
        for (const Stream& stream : config.streams)
            for (const Track& track : stream.tracks)
                for (const Source& source : track.sources)
                    if (source.rtp.port != 0) add({stream, source}, problems);
    }
    const Place* with(const flow::Key& key) const { return find(by_key_, key); }
    const Place* with(const flow::Key& key, std::optional<std::string_view> port) const {
        return find(by_port_, Match{key, port, std::nullopt});
    }

private:
    void add(const Place& place, Problems& problems) {
        const auto& [rtp, at, from, ssm, port, vlan, fec] = place.source;
        const flow::Key key{rtp.ip, rtp.port, vlan};
        by_key_.try_emplace(key, place);
        by_port_.try_emplace({key, port, std::nullopt}, place);
        const auto [first, fresh] = all_.try_emplace({key, port, from}, place);
        if (!fresh)
            problems.add(at, fmt::format("{} is a source of {} already: two sources differ by their address, `vlan`, "
                                         "`port` or sender (`from` or `source`)",
                                         rtp.text(), first->second.text()));
    }
    template <class Key>
    static const Place* find(const std::unordered_map<Key, Place, Hash>& in, const Key& key) {
        const auto found = in.find(key);
        return found == in.end() ? nullptr : &found->second;
    }

    std::unordered_map<flow::Key, Place, Hash> by_key_;
    std::unordered_map<Match, Place, Hash> by_port_;
    std::unordered_map<Match, Place, Hash> all_;
};

void check_names(const Config& config, Problems& problems) {
    std::unordered_map<std::string_view, int> lines;
    for (const Stream& stream : config.streams) {
        if (stream.name.empty()) continue;
        const auto [first, fresh] = lines.try_emplace(stream.name, stream.at.line);
        if (!fresh)
            problems.add(stream.at, fmt::format("the name '{}' is taken by the stream in line {}: names are unique",
                                                stream.name, first->second));
    }
}

// Sources whose ports lie close together: RTP of one where another has its RTCP or repair, or the RTCP of both there.
void check_further_ports(const Source& source, const Sources& sources, Problems& problems) {
    const auto& rtp = source.rtp;
    for (uint16_t d = kRtcpPort; d <= rtp::fec::kRowPort && d < rtp.port; d++) {
        const Place* below = sources.with({rtp.ip, static_cast<uint16_t>(rtp.port - d), source.vlan});
        if (below == nullptr) continue;
        if (d == kRtcpPort)
            return problems.add(
                source.at, fmt::format("{} is the RTCP port of {}: use pairs, the even port for RTP and the odd one "
                                       "after it for its RTCP",
                                       rtp.text(), below->text()));
        if (below->source.fec)
            return problems.add(source.at,
                                fmt::format("{}, or its RTCP, is on the repair ports of {}, which are {} and "
                                            "{}: use one that is 6 further",
                                            rtp.text(), below->text(), below->source.rtp.port + rtp::fec::kColumnPort,
                                            below->source.rtp.port + rtp::fec::kRowPort));
    }
}

// The source that packets to `key` would feed.
const Place* fed_by(const flow::Key& key, const Output& output, const Sources& sources) {
    const Place* source = sources.with(key);
    // A group may pass from one port to another: two networks, not a loop.
    if (source != nullptr && output.rtp.ip.is_multicast() && output.port) {
        source = sources.with(key, *output.port);
        if (source == nullptr) source = sources.with(key, std::nullopt);
    }
    return source;
}

std::string_view what_is(uint16_t further) { return further == 0 ? "" : further == kRtcpPort ? "RTCP" : "repair"; }

// RTP, RTCP and repair of the output to those of a source, which takes RTCP on its RTP port too (RFC 5761).
void check_loop(const Output& output, const Sources& sources, Problems& problems) {
    std::vector<uint16_t> of_output = further_ports(output);
    of_output.insert(of_output.begin(), 0);
    for (const uint16_t out : of_output)
        for (const uint16_t in : {uint16_t{0}, kRtcpPort, rtp::fec::kColumnPort, rtp::fec::kRowPort}) {
            if (output.rtp.port + out - in <= 0) continue;
            const auto port = static_cast<uint16_t>(output.rtp.port + out - in);
            const Place* source = fed_by({output.rtp.ip, port, output.vlan}, output, sources);
            if (source == nullptr || (in > kRtcpPort && !source->source.fec)) continue;
            const std::string what = in == 0 ? "a source" : fmt::format("the {} port of a source", what_is(in));
            const std::string whose =
                out == 0 ? output.rtp.text()
                         : fmt::format("{}, where its {} goes,",
                                       Endpoint{output.rtp.ip, static_cast<uint16_t>(output.rtp.port + out)}.text(),
                                       what_is(out));
            return problems.add(output.at, fmt::format("{} is {} of {}: this output would feed it, a loop. Send to the "
                                                       "address of a receiver",
                                                       whose, what, source->text()));
        }
}

void check_outputs(const Track& track, const Sources& sources, Problems& problems) {
    std::set<std::tuple<Endpoint, uint16_t, std::optional<std::string_view>>> seen, repair;
    std::vector<rtp::fec::Matrix> matrices;
    for (const Output& output : track.outputs) {
        if (output.rtp.port == 0) continue;
        if (!seen.insert({output.rtp, output.vlan, output.port}).second)
            problems.add(output.at, fmt::format("{} is an output of this track already: each receiver stands once",
                                                output.rtp.text()));
        check_loop(output, sources, problems);
        if (!output.fec) continue;
        for (const uint16_t further : further_ports(output))
            if (further != kRtcpPort)
                repair.insert(
                    {{output.rtp.ip, static_cast<uint16_t>(output.rtp.port + further)}, output.vlan, output.port});
        if (std::ranges::find(matrices, *output.fec) != matrices.end()) continue;
        matrices.push_back(*output.fec);
        if (matrices.size() == Track::kMaxMatrices + 1)
            problems.add(output.at,
                         fmt::format("more than {} different settings of `fec` in one track: let outputs share "
                                     "them, repair is computed once for all that do",
                                     Track::kMaxMatrices));
    }
    for (const Output& output : track.outputs)
        if (repair.contains({output.rtp, output.vlan, output.port}))
            problems.add(output.at,
                         fmt::format("the repair of another output goes to {}: leave 6 ports from one to the "
                                     "next where there is `fec`",
                                     output.rtp.text()));
}

}  // namespace

void check(const Config& config, Problems& problems) {
    if (config.ports.empty() && !config.streams.empty())
        problems.add(config.streams.front().at, "streams need a port to pass through: add an entry to `ports`");
    check_names(config, problems);
    const Sources sources{config, problems};
    for (const Stream& stream : config.streams)
        for (const Track& track : stream.tracks) {
            for (const Source& source : track.sources) check_further_ports(source, sources, problems);
            check_outputs(track, sources, problems);
        }
}

}  // namespace penstock::config
