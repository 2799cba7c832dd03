#include "publishers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace penstock {

uint64_t Publishers::Track::packets() const {
    return state ? state->reception.counters().packets.read() + state->rtcp_packets.read() : 0;
}

// Why the stream cannot be published. 403 (RFC 2326 section 11.3.4): it is understood, and will not be done by asking
// again.
std::optional<std::string> Publishers::objection(const std::string& stream) const {
    if (streams_.contains(stream))
        return around_.takeover ? std::nullopt : std::optional{fmt::format("'{}' is published already", stream)};
    if (around_.mesh.stream(stream) != nullptr) return fmt::format("'{}' is a stream of the configuration", stream);
    return std::nullopt;
}

rtsp::Answer Publishers::admit(const rtsp::Admit& admit) const {
    if (auto why = objection(admit.stream)) {
        around_.log.warning("RTSP: {} may not publish: {}", admit.publisher.text(), *why);
        return rtsp::Refusal{403, std::move(*why)};
    }
    return rtsp::Admitted{};
}

rtsp::Answer Publishers::receive(const rtsp::Receive& receive) {
    auto& [stream, tracks] = sessions_[receive.session];
    stream = receive.stream;
    const bool tcp = receive.wanted.lower == rtsp::Lower::tcp;
    auto track = std::ranges::find(tracks, receive.order, &Track::order);
    if (track == tracks.end()) {
        // Interleaved media is addressed to a pair, too: it is what the workers know the track by.
        const auto port = around_.take_port(receive.local);
        if (!port) {
            around_.log.warning("RTSP: no free pair of ports in media.ports for {}", receive.publisher.ip.text());
            if (tracks.empty()) sessions_.erase(receive.session);
            return rtsp::Refusal{453, "no free pair of ports"};
        }
        Track made{.order = receive.order,
                   .name = receive.track.name,
                   .config = receive.track.config,
                   .copy_of = receive.track.copy_of,
                   .publisher = {}};
        config::Source source;
        source.rtp = {receive.local, *port};
        source.from = receive.publisher.ip;
        made.config.sources = {source};
        track = tracks.insert(std::ranges::upper_bound(tracks, receive.order, {}, &Track::order), std::move(made));
    }
    track->publisher = receive.publisher;
    track->interleaved = tcp;
    rtsp::Transport granted;
    granted.profile = receive.wanted.profile;
    granted.lower = receive.wanted.lower;
    granted.mode = "RECORD";
    if (tcp) {
        granted.interleaved = receive.wanted.interleaved;
    } else {
        const uint16_t port = track->at().port;
        granted.client_port = receive.wanted.client_port;
        granted.server_port = rtsp::Pair{port, static_cast<uint16_t>(port + 1)};
    }
    return rtsp::Granted{track->name, std::move(granted)};
}

// What operators added to the track of the one who publishes the stream until now.
const std::vector<config::Output>* Publishers::outputs(const std::string& stream, const std::string& track) const {
    if (const mesh::Stream* known = around_.mesh.stream(stream))
        for (const auto& of : known->tracks)
            if (of->name == track) return &of->config.outputs;
    return nullptr;
}

Publishers::Recorded Publishers::record(rtsp::SessionId id) {
    const auto found = sessions_.find(id);
    if (found == sessions_.end()) return {rtsp::Refusal{455}, std::nullopt};
    auto& [stream, tracks] = found->second;
    const auto before = streams_.find(stream);
    if (before != streams_.end() && before->second == id) return {rtsp::Recording{}, std::nullopt};  // after PAUSE
    auto why = objection(stream);
    // Where each is in the model: a copy of another is that one's second path, unless only the copy was set up.
    std::vector<std::pair<size_t, size_t>> places;  // track, path
    if (!why) {
        std::vector<config::Track> wanted;
        for (const Track& track : tracks) {
            const auto original = std::ranges::find_if(
                tracks, [&](const Track& other) { return track.copy_of && other.order == *track.copy_of; });
            if (original < tracks.begin() + static_cast<std::ptrdiff_t>(places.size())) {
                const auto of = places[static_cast<size_t>(original - tracks.begin())].first;
                wanted[of].sources.push_back(track.config.sources.front());
                places.emplace_back(of, 1);
                continue;
            }
            places.emplace_back(wanted.size(), 0);
            wanted.push_back(track.config);
            if (const auto* output = outputs(stream, track.name)) wanted.back().outputs = *output;
        }
        if (auto brought = around_.mesh.bring(stream, std::move(wanted)); !brought) why = brought.error().text;
    }
    if (why) {
        around_.log.warning("RTSP: '{}' is not published: {}", stream, *why);
        return {rtsp::Refusal{403, std::move(*why)}, std::nullopt};
    }
    const auto& made = around_.mesh.stream(stream)->tracks;
    for (size_t t = 0; t < tracks.size(); t++) {
        const auto& [place, path] = places[t];
        tracks[t].state = made[place]->paths[path].state;
        if (!tracks[t].interleaved) continue;
        const Endpoint rtp = tracks[t].at(), rtcp{rtp.ip, static_cast<uint16_t>(rtp.port + config::kRtcpPort)};
        tracks[t].rtp.emplace(tracks[t].publisher, rtp, made[place]->owner);
        tracks[t].rtcp.emplace(tracks[t].publisher, rtcp, made[place]->owner);
    }
    Recorded recorded{rtsp::Recording{}, std::nullopt};
    if (before != streams_.end()) recorded.before = before->second;
    streams_[stream] = id;
    around_.log.info("RTSP: {} publishes '{}'", tracks.front().publisher.ip.text(), stream);
    around_.changed();
    return recorded;
}

void Publishers::take(const rtsp::Media& media) {
    const auto session = sessions_.find(media.session);
    if (session == sessions_.end()) return;
    const auto track = std::ranges::find(session->second.tracks, media.track, &Track::name);
    if (track == session->second.tracks.end() || !track->rtp) return;
    around_.ingest.offer(media.rtcp ? *track->rtcp : *track->rtp, media.bytes);
}

bool Publishers::end(const rtsp::End& end) {
    auto ended = sessions_.extract(end.session.id);
    if (!ended) return false;
    const auto& [stream, tracks] = ended.mapped();
    if (const auto recorded = streams_.find(stream); recorded != streams_.end() && recorded->second == end.session.id) {
        streams_.erase(recorded);
        around_.mesh.withdraw(stream);
        around_.changed();
    }
    std::string names;
    uint64_t packets = 0;
    bool tcp = false;
    for (const Track& track : tracks) {
        around_.give_back(track.at().port);
        names += fmt::format("{}{}", names.empty() ? "" : ", ", track.name);
        packets += track.packets();
        tcp |= track.interleaved;
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - end.session.started).count();
    around_.log.info(
        "RTSP session {:.8}: {} published '{}' ({}) over {} for {:.1f} s, {} packets; ended by {}; {}agent '{}'",
        end.session.token, end.session.viewer.text(), stream, names, tcp ? "TCP" : "UDP", seconds, packets,
        name(end.reason), end.session.named(), end.session.agent);
    return true;
}

std::vector<rtsp::SessionId> Publishers::heard() {
    std::vector<rtsp::SessionId> all;
    for (auto& [id, session] : sessions_) {
        bool any = false;
        for (Track& track : session.tracks) {
            const uint64_t packets = track.packets();
            any |= std::exchange(track.heard, packets) != packets;
        }
        if (any) all.push_back(id);
    }
    return all;
}

std::vector<rtsp::SessionId> Publishers::displaced() {
    std::vector<rtsp::SessionId> all;
    for (const std::string& stream : around_.mesh.take_displaced())
        if (auto recorded = streams_.extract(stream)) all.push_back(recorded.mapped());
    return all;
}

std::vector<cli::RtspSession::Track> Publishers::tracks(rtsp::SessionId id) const {
    std::vector<cli::RtspSession::Track> all;
    const auto session = sessions_.find(id);
    if (session == sessions_.end()) return all;
    for (const Track& track : session->second.tracks) {
        const auto* counted = track.state ? &track.state->reception.counters() : nullptr;
        all.push_back({track.name, track.at().text(), track.at().port, counted ? counted->packets.read() : 0,
                       counted ? counted->bytes.read() : 0, track.state ? track.state->rtcp_packets.read() : 0, 0});
    }
    return all;
}

}  // namespace penstock
