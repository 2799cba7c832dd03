// show stream STREAM sdp: the file that a receiver plays an output by.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "control/cli/show.hpp"
#include "control/sdp/receivers.hpp"

namespace penstock::cli {
namespace {

struct Receiver {  // 10.0.1.20: all that goes there; 10.0.1.20:6000: what goes to this port
    Ip ip;
    std::optional<uint16_t> port;
    bool is(const Endpoint& to) const { return to.ip == ip && (!port || *port == to.port); }
};

Result<std::vector<Receiver>> receivers_in(std::string_view text) {
    std::vector<Receiver> all;
    while (!text.empty()) {
        const std::string_view word = text.substr(0, text.find(' '));
        text.remove_prefix(std::min(word.size() + 1, text.size()));
        if (word.empty()) continue;
        if (const auto ip = Ip::parse(word)) {
            all.push_back({*ip, std::nullopt});
        } else if (const auto endpoint = Endpoint::parse(word)) {
            all.push_back({endpoint->ip, endpoint->port});
        } else {
            return fail(fmt::format("'{}' is no address, nor address:port, of a receiver", word));
        }
    }
    return all;
}

std::vector<std::string> names_of(const std::vector<const mesh::Output*>& outputs) {
    std::vector<std::string> names;
    for (const mesh::Output* output : outputs) names.push_back(output->name());
    return names;
}

// The outputs of the track that are meant; with one leg of a live-live one, the other.
std::vector<const mesh::Output*> chosen(const mesh::Track& track, const std::vector<Receiver>& receivers) {
    std::vector<const mesh::Output*> all;
    for (const mesh::Output& output : track.outputs) {
        const auto meant = [&](const mesh::Output& o) {
            return receivers.empty() || std::ranges::any_of(receivers, [&](const auto& r) { return r.is(o.to.rtp); });
        };
        const mesh::Output* const other = track.other_leg(output);
        if (meant(output) || (other != nullptr && meant(*other))) all.push_back(&output);
    }
    return all;
}

}  // namespace

std::vector<std::string> receivers_of(const mesh::Stream& stream) {
    std::vector<std::string> all;
    for (const auto& track : stream.tracks)
        for (const mesh::Output& output : track->outputs)
            for (const std::string& name : {output.to.rtp.ip.text(), output.name()})
                if (std::ranges::find(all, name) == all.end()) all.push_back(name);
    return all;
}

Result<std::string> stream_sdp(const mesh::Mesh& mesh, const std::string& name, std::string_view receivers) {
    const auto wanted = receivers_in(receivers);
    if (!wanted) return fail(wanted.error().text);
    std::vector<sdp::SentTrack> tracks;
    std::optional<Ip> from;
    std::vector<const mesh::Output*> known;
    for (const auto& track : mesh.stream(name)->tracks) {
        for (const mesh::Output& output : track->outputs) known.push_back(&output);
        const auto outputs = chosen(*track, *wanted);
        if (outputs.empty()) continue;
        if (outputs.size() > 2 || (outputs.size() == 2 && track->other_leg(*outputs[0]) != outputs[1]))
            return fail(fmt::format("track '{}' has several receivers: say which of {}", track->name,
                                    fmt::join(names_of(outputs), ", ")));
        sdp::SentTrack sent{track->name, track->config, {}, track->ssrc()};
        for (const mesh::Output* output : outputs) {
            sent.outputs.push_back(output->to);
            if (const auto* hop = output->hop(); hop != nullptr && !from) from = hop->source;
        }
        tracks.push_back(std::move(sent));
    }
    if (known.empty()) return fail("the stream has no outputs; RTSP viewers are told theirs by DESCRIBE");
    if (tracks.empty()) return fail(fmt::format("no such receiver; there are {}", fmt::join(names_of(known), ", ")));
    return sdp::receivers(name, tracks, from.value_or(tracks[0].outputs[0].rtp.ip));
}

}  // namespace penstock::cli
