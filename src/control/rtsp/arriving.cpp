#include "control/rtsp/arriving.hpp"

namespace penstock::rtsp {

ArrivingTracks tracks_of(std::span<const ArrivingMedia> media) {
    ArrivingTracks out;
    out.places.resize(media.size());
    for (size_t m = 0; m < media.size(); m++) {
        if (media[m].repairs) continue;
        config::Source source = media[m].source;
        if (media[m].repair) source.fec = config::SourceFec{*media[m].repair, 0, 0};
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
        // A source's repair comes to another port of the same address; that of ST 2022-1 to one more.
        const Endpoint &to = repair.source.rtp, &media_to = source.rtp;
        if (to.ip != media_to.ip || to.port == media_to.port) continue;
        const auto port = static_cast<uint16_t>(to.port - media_to.port);
        if (!source.fec) {
            source.fec = config::SourceFec{*repair.repair, port, 0};
        } else if (source.fec->carriage.scheme == rtp::fec::Scheme::st2022_1 && source.fec->port != 0 &&
                   source.fec->rows == 0) {
            source.fec->rows = port;
        }
    }
    for (size_t m = 0; m < media.size(); m++) {
        if (!media[m].duplicated || !out.places[m]) continue;
        auto& sources = out.tracks[out.places[m]->track].sources;
        if (sources.size() != 1) continue;  // it comes by two paths already
        config::Source again = sources.front();
        again.ssrc = config::kOtherSsrc;
        again.fec = {};
        sources.push_back(std::move(again));
    }
    return out;
}

}  // namespace penstock::rtsp
