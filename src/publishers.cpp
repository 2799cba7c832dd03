#include "publishers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "control/rtsp/arriving.hpp"

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
                   .repairs = receive.track.repairs,
                   .repair = receive.track.repair,
                   .duplicated = receive.track.duplicated,
                   .publisher = {}};
        config::Source source;
        source.rtp = {receive.local, *port};
        source.from = receive.publisher.ip;
        made.config.sources = {source};
        track = tracks.insert(std::ranges::upper_bound(tracks, receive.order, {}, &Track::order), std::move(made));
    }
    track->publisher = receive.publisher;
    track->connection = receive.connection;
    rtsp::Transport granted;
    granted.profile = receive.wanted.profile;
    granted.lower = receive.wanted.lower;
    granted.mode = "RECORD";
    if (tcp) {
        granted.interleaved = receive.wanted.interleaved;
        track->channel = static_cast<uint8_t>(receive.wanted.interleaved->rtcp);
    } else {
        track->channel.reset();
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
    std::vector<rtsp::ArrivingMedia> media;  // of what was announced, what was set up
    const auto place_of = [&](std::optional<size_t> order) -> std::optional<size_t> {
        const auto at = order ? std::ranges::find(tracks, *order, &Track::order) : tracks.end();
        return at == tracks.end() ? std::nullopt : std::optional(static_cast<size_t>(at - tracks.begin()));
    };
    for (const Track& track : tracks)
        media.push_back({track.config, track.config.sources.front(), place_of(track.copy_of), place_of(track.repairs),
                         track.repair, track.duplicated});
    auto wanted = rtsp::tracks_of(media);
    if (!why && wanted.tracks.empty()) why = "repair alone was set up";
    if (!why) {
        for (size_t t = 0; t < tracks.size(); t++)
            if (const auto& place = wanted.places[t]; place && place->path == 0)
                if (const auto* output = outputs(stream, tracks[t].name)) wanted.tracks[place->track].outputs = *output;
        if (auto brought = around_.mesh.bring(stream, wanted.tracks); !brought) why = brought.error().text;
    }
    if (why) {
        around_.log.warning("RTSP: '{}' is not published: {}", stream, *why);
        return {rtsp::Refusal{403, std::move(*why)}, std::nullopt};
    }
    const auto& made = around_.mesh.stream(stream)->tracks;
    for (size_t t = 0; t < tracks.size(); t++) {
        const auto& place = wanted.places[t];
        if (place) tracks[t].state = made[place->track]->paths[place->path].state;
        const auto source = place_of(tracks[t].repairs);
        const auto& owned = source ? wanted.places[*source] : place;  // by whom
        if (!tracks[t].channel || !owned) continue;
        const Endpoint rtp = tracks[t].at(), rtcp{rtp.ip, static_cast<uint16_t>(rtp.port + config::kRtcpPort)};
        const uint16_t owner = made[owned->track]->owner;
        tracks[t].rtp.emplace(tracks[t].publisher, rtp, owner);
        if (place) tracks[t].rtcp.emplace(tracks[t].publisher, rtcp, owner);
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
    if (track == session->second.tracks.end()) return;
    const auto& way = media.rtcp ? track->rtcp : track->rtp;
    if (way) around_.ingest.offer(*way, media.bytes);
}

std::optional<rtsp::Send> Publishers::tell(const Endpoint& at, std::span<const std::byte> rtcp) const {
    for (const auto& [id, session] : sessions_)
        for (const Track& track : session.tracks)
            if (track.rtcp && track.at().ip == at.ip && track.at().port + config::kRtcpPort == at.port)
                return rtsp::Send{track.connection, write(rtsp::Frame{*track.channel, {rtcp.begin(), rtcp.end()}})};
    return std::nullopt;
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
        tcp |= track.channel.has_value();
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
