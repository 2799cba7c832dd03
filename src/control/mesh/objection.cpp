// Which streams cannot be beside each other: two that want the same packets, and loops.
#include <fmt/format.h>

#include <algorithm>

#include "control/mesh/keys.hpp"
#include "control/mesh/mesh.hpp"

namespace penstock::mesh {
namespace {

// These judge as config::check does: a stream that stands in the file beside the others may be altered beside them,
// too.
bool same(const config::Source& a, const config::Source& b) {
    return key_of(a) == key_of(b) && a.port == b.port && a.from == b.from;
}
bool share_a_port(const config::Source& a, const config::Source& b) {  // for different things: RTP, RTCP, repair
    if (key_of(a) == key_of(b)) return false;
    const auto of_a = keys_of(a), of_b = keys_of(b);
    return std::ranges::find_first_of(of_a, of_b) != of_a.end();
}
// By RTP, RTCP or repair, to any of its ports: a source takes RTCP on that of RTP too (RFC 5761).
bool feeds(const config::Output& output, const config::Source& source) {
    const auto to = keys_of(output);
    const auto at = keys_of(source);
    if (std::ranges::find_first_of(to, at) == to.end()) return false;
    // A group may pass from one port to another: two networks, not a loop.
    return !output.rtp.ip.is_multicast() || !output.port || !source.port || *output.port == *source.port;
}

}  // namespace

// A track of another stream, an output of which leads to one of the source's ports.
const Track* Mesh::one_that_feeds(const config::Source& source, const std::string& stream) const {
    const auto by_way = [&](std::optional<uint16_t> port) -> const Track* {
        const auto way = ways_.find({source.rtp.ip, port});
        if (way == ways_.end()) return nullptr;
        for (const Output* leg = way->second.legs; leg != nullptr; leg = leg->next)
            if (!leg->agreed && leg->track->stream != stream && feeds(leg->to, source)) return leg->track;
        return nullptr;
    };
    const Track* found = by_way(std::nullopt);
    for (size_t p = 0; p < ports_.size() && found == nullptr; p++) found = by_way(ports_[p].index);
    return found;
}

// Why the stream cannot be beside the others; its own former version does not count.
std::optional<std::string> Mesh::objection(const config::Stream& stream) const {
    const auto foreign = [&](const Track& track) { return track.stream != stream.name; };
    // The other track with a path at the key of which this can be said.
    const auto other_source = [&](const flow::Key& key, auto is) {
        const Track* found = nullptr;
        any_source(key, [&](const Track& track, const Path& path) {
            if (!foreign(track) || !is(path.source)) return false;
            found = &track;
            return true;
        });
        return found;
    };
    for (const config::Track& track : stream.tracks) {
        for (const config::Source& source : track.sources) {
            const auto clashes = [&](const config::Source& s) { return same(s, source) || share_a_port(s, source); };
            for (const flow::Key& key : keys_of(source)) {
                if (viewer_keys_.contains(key))
                    return fmt::format("source {}: a viewer was given port {}; choose one outside of media.ports",
                                       source.rtp.text(), key.port);
                if (const Track* other = other_source(key, clashes))
                    return fmt::format("source {}: stream '{}' has it, or needs it for RTCP or repair",
                                       source.rtp.text(), other->stream);
            }
            if (const Track* other = one_that_feeds(source, stream.name))
                return fmt::format("source {}: stream '{}' sends there, or its RTCP: that would be a loop",
                                   source.rtp.text(), other->stream);
        }
        for (const config::Output& output : track.outputs) {
            const auto fed = [&](const config::Source& source) { return feeds(output, source); };
            for (const flow::Key& key : keys_of(output))
                if (const Track* other = other_source(key, fed))
                    return fmt::format(
                        "output {}: it, or its RTCP, feeds a source of stream '{}': that would be a loop",
                        output.rtp.text(), other->stream);
            for (const config::Track& own : stream.tracks)
                if (std::ranges::any_of(own.sources, fed))
                    return fmt::format(
                        "output {}: it, or its RTCP, feeds a source of the stream itself: that would "
                        "be a loop",
                        output.rtp.text());
        }
    }
    return std::nullopt;
}

}  // namespace penstock::mesh
