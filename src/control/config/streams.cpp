// The streams section. What concerns one entry is checked here, what concerns several in check.cpp.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "control/config/fec.hpp"
#include "control/config/port_names.hpp"
#include "control/config/retransmission.hpp"
#include "control/config/settings.hpp"
#include "control/config/standards.hpp"

namespace penstock::config {
namespace {

using namespace std::chrono_literals;

// IP:PORT with room for RTCP on the next port.
std::optional<Endpoint> read_rtp(const Value& value, bool rtcp_mux) {
    const auto rtp = value.parsed("ADDRESS:PORT such as 10.0.0.1:5004 or [fd00::1]:5004", Endpoint::parse);
    if (!rtp) return std::nullopt;
    if (rtp->ip.is_unspecified()) {
        value.problem(fmt::format("{} is no destination: write the address that the packets carry", rtp->ip.text()));
        return std::nullopt;
    }
    if (rtp->port == 65535 && !rtcp_mux) {
        value.problem("port 65535 leaves no room for RTCP on the next one: at most 65534 is allowed");
        return std::nullopt;
    }
    return rtp;
}

uint16_t read_vlan(const Value& value) { return value.number<uint16_t>(1, 4094).value_or(uint16_t{0}); }

// `from` or `source`: the one sender to listen to.
std::optional<Ip> read_sender(const Value& value, const Endpoint& rtp) {
    const auto sender =
        value.parsed("the unicast address of a sender, such as 10.0.0.9 or fd00::9", [](std::string_view text) {
            auto ip = Ip::parse(text);
            if (ip && (ip->is_multicast() || ip->is_unspecified())) ip.reset();
            return ip;
        });
    if (sender && rtp.port != 0 && sender->is_v4() != rtp.ip.is_v4())
        value.problem(
            fmt::format("{} cannot send to {}: both must be IPv4, or both IPv6", sender->text(), rtp.ip.text()));
    return sender;
}

std::optional<std::chrono::milliseconds> milliseconds(std::string_view text, unsigned most) {
    const auto n = text.ends_with("ms") ? decimal(text.substr(0, text.size() - 2)) : std::nullopt;
    return n && *n >= 1 && *n <= most ? std::optional(std::chrono::milliseconds(*n)) : std::nullopt;
}

std::optional<std::chrono::microseconds> skew(std::string_view text) {
    if (text.size() == 1 && text[0] >= 'A' && text[0] <= 'D')
        return std::array{kClassA, kClassB, kClassC, kClassD}[static_cast<size_t>(text[0] - 'A')];
    if (const auto ms = milliseconds(text, 500)) return ms;
    const auto n = text.ends_with("us") ? decimal(text.substr(0, text.size() - 2)) : std::nullopt;
    return n && *n >= 150 && *n <= 500'000 ? std::optional(std::chrono::microseconds(*n)) : std::nullopt;
}

// As SDP has it, or as tools show it.
std::optional<uint32_t> ssrc(std::string_view text) {
    if (text == "other") return kOtherSsrc;
    const bool hexadecimal = text.starts_with("0x");
    if (hexadecimal) text.remove_prefix(2);
    uint32_t value = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value, hexadecimal ? 16 : 10);
    return error == std::errc{} && stop == end && value != 0 ? std::optional(value) : std::nullopt;
}

Source read_source(const Value& value, const PortNames& ports) {
    static constexpr std::string_view kKeys[] = {"rtp", "from", "source", "port", "vlan", "ssrc", "fec", "nack"};
    Source source;
    const Map map{value, kKeys};
    const Value rtp = map.required("rtp");
    source.at = rtp ? rtp.at() : value.at();
    source.rtp = read_rtp(rtp, false).value_or(Endpoint{});
    source.port = ports.read(map["port"]);
    source.vlan = read_vlan(map["vlan"]);
    if (const Value own = map["ssrc"])
        source.ssrc = own.parsed("`other`, or a number from 1 to 4294967295 such as 305419896 or 0x12345678", ssrc)
                          .value_or(kOtherSsrc);
    source.fec = read_source_fec(map["fec"], source.rtp);
    want_room_for_repair(repair_ports(source), source.rtp, rtp);
    source.nack = read_nack(map["nack"], source);
    ports.want_for_group(source.rtp.ip, rtp, map);

    const Value from = map["from"], ssm = map["source"];
    source.ssm = static_cast<bool>(ssm);
    source.from = read_sender(ssm ? ssm : from, source.rtp);
    if (ssm && from) from.problem(from.key_at(), "does not go with `source`, which names the sender already");
    if (ssm && source.rtp.port != 0 && !source.rtp.ip.is_multicast())
        ssm.problem(ssm.key_at(),
                    fmt::format("goes with a multicast group only, and {} is none: use `from`", source.rtp.ip.text()));
    return source;
}

Output read_output(const Value& value, const PortNames& ports) {
    static constexpr std::string_view kKeys[] = {
        "rtp", "ttl", "dscp", "port", "vlan", "rtcp_mux", "fec", "rtx", "duplicate_after", "live_live"};
    Output output;
    const Map map{value, kKeys};
    if (const Value legs = map["live_live"])  // of an output it was read before: read_outputs()
        legs.problem(legs.key_at(), "stands instead of `rtp`, and not in a leg: that is one receiver");
    const Value rtp = map.required("rtp");
    output.at = rtp ? rtp.at() : value.at();
    output.rtcp_mux = map["rtcp_mux"].boolean().value_or(output.rtcp_mux);
    output.rtp = read_rtp(rtp, output.rtcp_mux).value_or(Endpoint{});
    output.ttl = map["ttl"].number<uint8_t>(1, 255);
    output.dscp = map["dscp"].parsed("a number from 0 to 63, or EF, AF11-AF43 or CS0-CS7", dscp);
    output.port = ports.read(map["port"]);
    output.vlan = read_vlan(map["vlan"]);
    output.fec = read_output_fec(map["fec"], output.rtp);
    want_room_for_repair(repair_ports(output), output.rtp, rtp);
    output.rtx = read_rtx(map["rtx"]);
    ports.want_for_group(output.rtp.ip, rtp, map);
    if (const Value after = map["duplicate_after"]) {
        output.duplicate_after = after
                                     .parsed("a time from 1ms to 500ms such as 50ms",
                                             [](std::string_view text) { return milliseconds(text, 500); })
                                     .value_or(0ms);
        if (output.fec && output.fec->code.carriage.among_media)
            after.problem(after.key_at(), "does not go with ulpfec on the port of the media");
    }
    return output;
}

// One entry of `outputs`: a receiver, or the two legs by which one receiver gets the same twice.
void read_outputs(const Value& value, Track& track, const PortNames& ports) {
    uint16_t pairs = 0;
    value.each([&](const Value& entry) {
        if (!entry.is(Kind::map) || !Map{entry}["live_live"]) return track.outputs.push_back(read_output(entry, ports));
        static constexpr std::string_view kKeys[] = {"live_live"};
        const Map map{entry, kKeys};
        const Value legs = map["live_live"];
        const size_t first = track.outputs.size();
        pairs++;
        const size_t count = legs.each([&](const Value& leg) {
            track.outputs.push_back(read_output(leg, ports));
            track.outputs.back().live_live = pairs;
        });
        if (count != 2) {
            if (legs.is(Kind::list)) legs.problem(fmt::format("a live-live output has two legs, and not {}", count));
            return;
        }
        const auto code = [](const Output& leg) { return leg.fec ? std::optional{leg.fec->code} : std::nullopt; };
        if (code(track.outputs[first]) != code(track.outputs[first + 1]))
            legs.problem("both legs carry the same packets: give both the same `fec`, but for its port");
    });
}

std::optional<uint8_t> read_payload_type(const Value& value) {
    const auto type = value.number<uint8_t>(0, 127);
    // RFC 5761 section 4: with the marker bit they look like RTCP's own packet types.
    if (type && *type >= 72 && *type <= 76) {
        value.problem(fmt::format("{} cannot be told from RTCP: 0-71 or 77-127 is allowed", *type));
        return std::nullopt;
    }
    return type;
}

void read_encoding(const Map& map, Track& track) {
    if (const Value value = map["encoding"]) {
        const auto words = value.text();
        if (!words) return;
        const auto rate = clock_rate(*words);
        if (!rate)
            return value.not_allowed(*words, "NAME/CLOCK or NAME/CLOCK/CHANNELS such as H264/90000 or opus/48000/2");
        track.encoding = *words;
        track.clock_rate = *rate;
        return;
    }
    if (map["payload_type"] && !track.payload_type) return;  // wrong, and said so
    const auto encoding = track.payload_type ? static_encoding(*track.payload_type) : std::nullopt;
    if (!encoding)
        return map.value().problem(
            "'encoding' is missing: NAME/CLOCK such as H264/90000. Only a static payload_type of RFC 3551 implies it");
    track.encoding = *encoding;
    track.clock_rate = clock_rate(*encoding).value_or(track.clock_rate);
}

constexpr std::string_view kTrackKeys[] = {"media", "payload_type", "encoding", "fmtp", "sources",
                                           "skew",  "outputs",      "feedback", "delay"};

// What it is of, and to whom it goes and how.
void read_media(const Map& map, Track& track) {
    static constexpr Name<std::string_view> kMedia[] = {
        {"video", "video"}, {"audio", "audio"}, {"application", "application"}};
    track.at = map.value().at();
    track.media = map.required("media").one_of<std::string_view>(kMedia).value_or("");
    track.payload_type = read_payload_type(map["payload_type"]);
}

void read_ways_out(const Map& map, Track& track, const PortNames& ports) {
    if (const Value apart = map["skew"])
        track.skew = apart.parsed("a class of ST 2022-7, A, B, C or D, or a time from 150us to 500ms", skew)
                         .value_or(track.skew);
    if (const Value wait = map["delay"])
        track.delay = wait.parsed("a time from 1ms to 1000ms such as 50ms",
                                  [](std::string_view text) { return milliseconds(text, 1000); })
                          .value_or(track.delay);
    read_outputs(map["outputs"], track, ports);
    track.feedback = read_feedback(map["feedback"]);
}

Track read_track(const Value& value, const PortNames& ports) {
    Track track;
    const Map map{value, kTrackKeys};
    read_media(map, track);
    read_encoding(map, track);
    track.fmtp =
        map["fmtp"]
            .parsed("1-4096 printable characters, such as packetization-mode=1",
                    [](std::string_view text) {
                        const bool printable = std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
                        return !text.empty() && text.size() <= 4096 && printable ? std::optional{std::string{text}}
                                                                                 : std::nullopt;
                    })
            .value_or("");

    const Value sources = map.required("sources");
    const size_t paths = sources.each([&](const Value& entry) { track.sources.push_back(read_source(entry, ports)); });
    if (paths > 2 || (paths == 0 && (sources.is(Kind::list) || sources.is(Kind::null))))
        sources.problem(fmt::format("{} entries: one, or two for live-live, are allowed", paths));
    if (const Value apart = map["skew"]; apart && paths == 1)
        apart.problem(apart.key_at(), "says nothing where there is one source");
    read_ways_out(map, track, ports);
    return track;
}

// Beside `rtsp`: what is wanted of a track that the camera describes.
Track read_wanted(const Value& value, const PortNames& ports) {
    static constexpr std::string_view kKeys[] = {"media", "payload_type", "encoding", "skew",
                                                 "delay", "outputs",      "feedback"};
    Track track;
    const Map map{value};
    map.allow(kTrackKeys, kKeys);
    map.narrow(kTrackKeys, kKeys, "beside `rtsp`, where the camera says it");
    read_media(map, track);
    if (map["encoding"]) read_encoding(map, track);
    read_ways_out(map, track, ports);
    return track;
}

void read_tracks(const Map& map, Stream& stream, const PortNames& ports) {
    if (const Value rtsp = map["rtsp"]) {
        stream.rtsp = read_pull(rtsp);
        map["tracks"].each([&](const Value& entry) { stream.tracks.push_back(read_wanted(entry, ports)); });
        return;
    }
    const Value tracks = map.required("tracks");
    const size_t count = tracks.each([&](const Value& entry) { stream.tracks.push_back(read_track(entry, ports)); });
    if (count == 0 && (tracks.is(Kind::list) || tracks.is(Kind::null)))
        tracks.problem("no entries: a stream has one track at least");
}

Stream read_stream(const Value& value, const PortNames& ports) {
    static constexpr std::string_view kKeys[] = {"name", "tracks", "rtsp"};
    Stream stream;
    const Map map{value, kKeys};
    const Value name = map.required("name");
    stream.at = name ? name.at() : value.at();
    stream.name = read_name(name).value_or("");
    read_tracks(map, stream, ports);
    return stream;
}

}  // namespace

std::vector<Stream> read_streams(const Value& value, const std::vector<Port>& ports) {
    std::vector<Stream> streams;
    const PortNames names{ports};
    value.each([&](const Value& entry) { streams.push_back(read_stream(entry, names)); });
    return streams;
}

Stream read_stream(const Value& value, std::string_view name, const std::vector<Port>& ports) {
    static constexpr std::string_view kKeys[] = {"tracks", "rtsp"};
    Stream stream;
    stream.name = name;
    stream.at = value.at();
    if (!is_plain_name(name, kLongestName))
        value.problem(fmt::format("{} is no name of a stream: {}", quoted(name), kNameAllowed));
    const Map map{value, kKeys};
    read_tracks(map, stream, PortNames{ports});
    return stream;
}

Track read_track(const Value& value, const std::vector<Port>& ports) { return read_track(value, PortNames{ports}); }
Source read_source(const Value& value, const std::vector<Port>& ports) { return read_source(value, PortNames{ports}); }
Output read_output(const Value& value, const std::vector<Port>& ports) { return read_output(value, PortNames{ports}); }

}  // namespace penstock::config
