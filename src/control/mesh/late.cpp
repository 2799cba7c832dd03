// What is kept of a track for viewers that come late.
#include "control/mesh/mesh.hpp"

namespace penstock::mesh {

void Mesh::take_history(Track& track, const Track* before) const {
    const auto codec = rtp::codec_of(track.config.encoding);
    if (history_bytes_ == 0 || codec == rtp::Codec::other) return;
    const bool fits = before && before->extras().history && rtp::codec_of(before->config.encoding) == codec;
    Track::Extras& extras = track.make_extras();
    extras.history = fits ? before->extras().history : std::make_shared<flow::History>(codec, history_bytes_);
    // Who comes while the source is away begins with numbers of before.
    extras.continuity = fits ? before->extras().continuity : std::make_shared<rtp::Continuity>(track.config.clock_rate);
}

bool Mesh::settle_viewers() {
    bool any = false;
    for (auto& [id, viewer] : viewers_) {
        if (!viewer.joining || !viewer.join || !viewer.join->live() || viewer.track == nullptr) continue;
        touch(*viewer.track);
        any = true;
    }
    return any;
}

}  // namespace penstock::mesh
