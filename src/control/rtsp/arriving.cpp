#include "control/rtsp/arriving.hpp"

namespace penstock::rtsp {

ArrivingTracks tracks_of(std::span<const ArrivingMedia> media) {
    ArrivingTracks out;
    out.places.resize(media.size());
    for (size_t m = 0; m < media.size(); m++) {
        if (media[m].repairs) continue;
        config::Source source = media[m].source;
        if (media[m].repair) source.fec = config::SourceFec{*media[m].repair, 0};
        const auto original = media[m].copy_of ? out.places[*media[m].copy_of] : std::nullopt;
        if (original) {
            out.tracks[original->track].sources.push_back(std::move(source));
            out.places[m] = {original->track, 1};
        } else {
            out.places[m] = {out.tracks.size(), 0};
            out.tracks.push_back(media[m].config);
            out.tracks.back().sources = {std::move(source)};
        }
    }
    for (const ArrivingMedia& repair : media) {
        const auto of = repair.repairs ? out.places[*repair.repairs] : std::nullopt;
        if (!of || !repair.repair) continue;
        config::Source& source = out.tracks[of->track].sources[of->path];
        // A source's repair comes to another port of the same address.
        const Endpoint &to = repair.source.rtp, &media_to = source.rtp;
        if (!source.fec && to.ip == media_to.ip && to.port != media_to.port)
            source.fec = config::SourceFec{*repair.repair, static_cast<uint16_t>(to.port - media_to.port)};
    }
    return out;
}

}  // namespace penstock::rtsp
