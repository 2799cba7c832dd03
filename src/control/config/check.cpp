#include "control/config/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "control/config/retransmission.hpp"
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

// A port that goes with a source: so far beyond that of its RTP.
struct Further {
    Place of;
    uint16_t distance;
};

// The second of two sources at one address, where the configuration says that SSRCs tell them apart.
bool told_by_ssrc(const Track& track, const Source& source) {
    const auto& all = track.sources;
    return all.size() == 2 && &source == &all[1] && share_address(all[0], all[1]) && (all[0].ssrc || all[1].ssrc);
}

// The first source of each kind in the file.
class Sources {
public:
    explicit Sources(const Config& config, Problems& problems) {
        for (const Stream& stream : config.streams)
            for (const Track& track : stream.tracks)
                for (const Source& source : track.sources)
                    if (source.rtp.port != 0 && !told_by_ssrc(track, source)) add({stream, source}, problems);
    }
    const Place* with(const flow::Key& key) const { return find(by_key_, key); }
    const Place* with(const flow::Key& key, std::optional<std::string_view> port) const {
        return find(by_port_, Match{key, port, std::nullopt});
    }
    // The RTCP and repair ports that are here.
    std::vector<Further> further(const flow::Key& key) const {
        std::vector<Further> all;
        const auto [begin, end] = further_.equal_range(key);
        for (const auto& [of, further] : std::ranges::subrange(begin, end)) all.push_back(further);
        return all;
    }

private:
    void add(const Place& place, Problems& problems) {
        const auto& [rtp, vlan, at, from, ssm, tells, port, ssrc, fec, nack] = place.source;
        const flow::Key key{rtp.ip, rtp.port, vlan};
        by_key_.try_emplace(key, place);
        by_port_.try_emplace({key, port, std::nullopt}, place);
        for (const uint16_t distance : further_ports(place.source))
            further_.emplace(flow::Key{rtp.ip, static_cast<uint16_t>(rtp.port + distance), vlan},
                             Further{place, distance});
        const auto [first, fresh] = all_.try_emplace({key, port, from}, place);
        if (!fresh)
            problems.add(at, fmt::format("{} is a source of {} already: two sources differ by their address, `vlan`, "
                                         "`port` or sender (`from` or `source`), those of one track by `ssrc`, too",
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
    std::unordered_multimap<flow::Key, Further, Hash> further_;
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

// Ports of one source that are those of another: RTP where the other has its RTCP or repair, or what goes with both.
// Sources with the same RTP port are told apart otherwise.
void check_further_ports(const Source& source, const Sources& sources, Problems& problems) {
    std::vector<uint16_t> ports = further_ports(source);
    ports.insert(ports.begin(), 0);
    for (const uint16_t distance : ports)
        for (const Further& other :
             sources.further({source.rtp.ip, static_cast<uint16_t>(source.rtp.port + distance), source.vlan})) {
            if (other.of.source.rtp.port == source.rtp.port) continue;
            if (distance == 0 && other.distance == kRtcpPort)
                return problems.add(
                    source.at,
                    fmt::format("{} is the RTCP port of {}: use pairs, the even port for RTP and the odd one "
                                "after it for its RTCP",
                                source.rtp.text(), other.of.text()));
            // Repair on the RTCP port of another is told there, and repair on repair where the higher one is.
            if (other.distance == kRtcpPort || (distance > kRtcpPort && other.of.source.rtp.port > source.rtp.port))
                continue;
            return problems.add(
                source.at,
                fmt::format("{}, or what goes with it, is on the repair ports of {}: port {}. "
                            "Leave room for them, 6 ports with ST 2022-1",
                            source.rtp.text(), other.of.text(), static_cast<uint16_t>(source.rtp.port + distance)));
        }
}

// The source that packets to `key` would feed, and how far that is from its RTP port. A source takes RTCP there, too
// (RFC 5761).
std::optional<Further> fed_by(const flow::Key& key, const Output& output, const Sources& sources) {
    // A group may pass from one port to another: two networks, not a loop.
    const bool by_port = output.rtp.ip.is_multicast() && output.port;
    const Place* source = sources.with(key);
    if (source != nullptr && by_port) {
        source = sources.with(key, *output.port);
        if (source == nullptr) source = sources.with(key, std::nullopt);
    }
    if (source != nullptr) return Further{*source, 0};
    for (const Further& further : sources.further(key))
        if (!by_port || !further.of.source.port || *further.of.source.port == *output.port) return further;
    return std::nullopt;
}

std::string_view what_is(uint16_t distance) { return distance == kRtcpPort ? "RTCP" : "repair"; }

// RTP, RTCP and repair of the output to those of a source.
void check_loop(const Output& output, const Sources& sources, Problems& problems) {
    std::vector<uint16_t> of_output = further_ports(output);
    of_output.insert(of_output.begin(), 0);
    for (const uint16_t out : of_output) {
        const auto port = static_cast<uint16_t>(output.rtp.port + out);
        const auto source = fed_by({output.rtp.ip, port, output.vlan}, output, sources);
        if (!source) continue;
        const std::string what =
            source->distance == 0 ? "a source" : fmt::format("the {} port of a source", what_is(source->distance));
        const std::string whose =
            out == 0 ? output.rtp.text()
                     : fmt::format("{}, where its {} goes,", Endpoint{output.rtp.ip, port}.text(), what_is(out));
        return problems.add(output.at, fmt::format("{} is {} of {}: this output would feed it, a loop. Send to the "
                                                   "address of a receiver",
                                                   whose, what, source->of.text()));
    }
}

// Two sources at one address.
void check_ssrcs(const Track& track, Problems& problems) {
    const auto& all = track.sources;
    const bool shared = all.size() == 2 && share_address(all[0], all[1]);
    for (const Source& source : all)
        if (source.ssrc && !shared)
            problems.add(source.at,
                         "`ssrc` tells two sources of a track apart that have the same address: there is no other one "
                         "at this one");
    if (!shared || (!all[0].ssrc && !all[1].ssrc)) return;
    if (all[0].ssrc == all[1].ssrc)
        problems.add(all[1].at, all[0].ssrc == kOtherSsrc
                                    ? "each of the two sources is the `other`: give it to one of them"
                                    : fmt::format("SSRC {} is that of the other source, too", *all[0].ssrc));
    if (all[0].fec && all[1].fec)
        problems.add(all[1].at,
                     "repair of both sources would come to the same ports: give `fec` to the first alone, it mends "
                     "whatever neither brought");
}

// Repair that shares the port of the media is told from them by its payload type.
void check_payload_types(const Track& track, Problems& problems) {
    const auto check = [&](const Mark& at, const rtp::fec::Carriage& carriage, bool here, bool same_port) {
        if (carriage.scheme == rtp::fec::Scheme::st2022_1 || !same_port) return;
        if (!track.payload_type && here)
            return problems.add(at,
                                "repair on the port of the media is told by its payload type: say the `payload_type` "
                                "of the track, too");
        if (track.payload_type == carriage.payload_type)
            problems.add(at, fmt::format("payload type {} is that of the media: give `fec` another `payload_type`",
                                         carriage.payload_type));
    };
    for (const Source& source : track.sources)
        if (source.fec) check(source.at, source.fec->carriage, true, source.fec->port == 0);
    for (const Output& output : track.outputs)
        if (output.fec) check(output.at, output.fec->code.carriage, false, output.fec->port == 0);
}

void check_outputs(const Track& track, const Sources& sources, Problems& problems) {
    std::set<std::tuple<Endpoint, uint16_t, std::optional<std::string_view>>> seen, repair;
    std::vector<rtp::fec::Code> codes;
    for (const Output& output : track.outputs) {
        if (output.rtp.port == 0) continue;
        if (!seen.insert({output.rtp, output.vlan, output.port}).second)
            problems.add(output.at, fmt::format("{} is an output of this track already: each receiver stands once",
                                                output.rtp.text()));
        check_loop(output, sources, problems);
        if (!output.fec) continue;
        for (const uint16_t further : repair_ports(output))
            repair.insert(
                {{output.rtp.ip, static_cast<uint16_t>(output.rtp.port + further)}, output.vlan, output.port});
        if (std::ranges::find(codes, output.fec->code) != codes.end()) continue;
        codes.push_back(output.fec->code);
        if (codes.size() == Track::kMaxCodes + 1)
            problems.add(output.at,
                         fmt::format("more than {} different settings of `fec` in one track: let outputs share "
                                     "them, repair is computed once for all that do",
                                     Track::kMaxCodes));
    }
    std::chrono::milliseconds delay{0};  // one memory of packets serves all of them
    for (const Output& output : track.outputs) {
        if (output.duplicate_after.count() == 0) continue;
        if (delay.count() != 0 && output.duplicate_after != delay)
            problems.add(output.at, fmt::format("duplicate_after is {} ms elsewhere in this track: one time is allowed",
                                                delay.count()));
        delay = output.duplicate_after;
    }
    for (const Output& output : track.outputs)
        if (repair.contains({output.rtp, output.vlan, output.port}))
            problems.add(output.at,
                         fmt::format("the repair of another output goes to {}: leave room from one to the next where "
                                     "there is `fec`, 6 ports with ST 2022-1",
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
            check_ssrcs(track, problems);
            check_outputs(track, sources, problems);
            check_payload_types(track, problems);
        }
    check_retransmission(config, problems);
}

}  // namespace penstock::config
