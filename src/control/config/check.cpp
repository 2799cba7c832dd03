#include "control/config/check.hpp"

#include <fmt/format.h>

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
        const auto& [rtp, at, from, ssm, port, vlan] = place.source;
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

void check_rtcp_port(const Source& source, const Sources& sources, Problems& problems) {
    const auto& rtp = source.rtp;
    if (rtp.port == 0) return;
    const Place* below = sources.with({rtp.ip, static_cast<uint16_t>(rtp.port - 1), source.vlan});
    if (below != nullptr)
        problems.add(source.at,
                     fmt::format("{} is the RTCP port of {}: use pairs, the even port for RTP and the odd one "
                                 "after it for its RTCP",
                                 rtp.text(), below->text()));
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

// RTP and RTCP of the output, which may be one port (RFC 5761), to RTP and RTCP of a source, which takes both on its
// RTP port.
void check_loop(const Output& output, const Sources& sources, Problems& problems) {
    for (const int of_output : {0, 1})
        for (const int of_source : {0, 1}) {
            if ((of_output == 1 && output.rtcp_mux) || output.rtp.port + of_output - of_source <= 0) continue;
            const auto port = static_cast<uint16_t>(output.rtp.port + of_output - of_source);
            const Place* source = fed_by({output.rtp.ip, port, output.vlan}, output, sources);
            if (source == nullptr) continue;
            const char* const what = of_source == 0 ? "a source" : "the RTCP port of a source";
            const std::string whose =
                of_output == 0
                    ? output.rtp.text()
                    : fmt::format("{}, where its RTCP goes,",
                                  Endpoint{output.rtp.ip, static_cast<uint16_t>(output.rtp.port + 1)}.text());
            return problems.add(output.at, fmt::format("{} is {} of {}: this output would feed it, a loop. Send to the "
                                                       "address of a receiver",
                                                       whose, what, source->text()));
        }
}

void check_outputs(const Track& track, const Sources& sources, Problems& problems) {
    std::set<std::tuple<Endpoint, uint16_t, std::optional<std::string_view>>> seen;
    for (const Output& output : track.outputs) {
        if (output.rtp.port == 0) continue;
        if (!seen.insert({output.rtp, output.vlan, output.port}).second)
            problems.add(output.at, fmt::format("{} is an output of this track already: each receiver stands once",
                                                output.rtp.text()));
        check_loop(output, sources, problems);
    }
}

}  // namespace

void check(const Config& config, Problems& problems) {
    if (config.ports.empty() && !config.streams.empty())
        problems.add(config.streams.front().at, "streams need a port to pass through: add an entry to `ports`");
    check_names(config, problems);
    const Sources sources{config, problems};
    for (const Stream& stream : config.streams)
        for (const Track& track : stream.tracks) {
            for (const Source& source : track.sources) check_rtcp_port(source, sources, problems);
            check_outputs(track, sources, problems);
        }
}

}  // namespace penstock::config
