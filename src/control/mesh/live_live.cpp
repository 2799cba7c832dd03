// What goes twice: a track that arrives by two paths, an output with two legs, packets that are sent once more.
#include <algorithm>

#include "control/mesh/mesh.hpp"

namespace penstock::mesh {

void Mesh::take_merge(Track& track, const Track* before) const {
    std::chrono::microseconds longest = track.config.skew;
    bool again = false;  // what is sent again may come twice, too, and as long after as it is asked for
    for (const config::Source& source : track.config.sources) {
        if (!source.nack) continue;
        again = true;
        longest = std::max<std::chrono::microseconds>(longest, source.nack->deadline);
    }
    if (!track.two_paths() && !again) return;
    auto& merge = track.make_extras().merge;
    merge = before && before->extras().merge ? before->extras().merge : std::make_shared<flow::MergeState>();
    merge->set_time((static_cast<uint64_t>(longest.count()) << 32) / 1'000'000,
                    track.extras().decoder ? rtp::fec::Decoder::kWindow : 0);
}

const Output* Track::other_leg(const Output& leg) const {
    if (leg.to.live_live == 0) return nullptr;
    const auto other = std::ranges::find_if(
        outputs, [&](const Output& o) { return &o != &leg && o.to.live_live == leg.to.live_live; });
    return other == outputs.end() ? nullptr : &*other;
}

// What is merged leaves under one, whichever its paths have.
std::optional<uint32_t> Track::ssrc() const {
    if (const auto& merge = extras().merge) return merge->ssrc() != 0 ? std::optional(merge->ssrc()) : std::nullopt;
    const auto& c = paths.front().state->reception.counters();
    return c.packets.read() != 0 ? std::optional(static_cast<uint32_t>(c.ssrc.read())) : std::nullopt;
}

// Transport streams, as they are muxed for distribution, and what is not compressed.
bool Track::constant_rate() const {
    const std::string_view codec = std::string_view(config.encoding).substr(0, config.encoding.find('/'));
    static constexpr std::string_view kConstant[] = {"MP2T", "L8", "L16", "L24", "PCMU", "PCMA", "raw"};
    return std::ranges::find(kConstant, codec) != std::end(kConstant);
}

void Mesh::take_repeat(Track& track, const Track* before) const {
    const auto delay = [](const Track& of) {
        std::chrono::milliseconds longest{0};
        for (const config::Output& o : of.config.outputs) longest = std::max(longest, o.duplicate_after);
        return longest;
    };
    const auto wanted = delay(track);
    if (wanted.count() == 0) return;
    const auto& known = before ? before->extras().repeat : nullptr;
    track.make_extras().repeat =
        known && delay(*before) == wanted
            ? known
            : std::make_shared<flow::Repeat>((static_cast<uint64_t>(wanted.count()) << 32) / 1000);
}

}  // namespace penstock::mesh
