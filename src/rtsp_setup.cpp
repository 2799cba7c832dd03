// What SETUP comes to: who may watch which track by which way, the ports and groups that it takes, and how they are
// free again.
#include <fmt/format.h>

#include <algorithm>

#include "control/rtsp/offer.hpp"
#include "control/sdp/track.hpp"
#include "rtsp.hpp"

namespace penstock {

void Rtsp::on(const rtsp::Setup& setup) { server_.answer(Clock::now(), setup.ticket, grant(setup)); }

rtsp::Answer Rtsp::grant(const rtsp::Setup& setup) {
    const mesh::Stream* stream = around_.mesh.stream(setup.stream);
    if (stream == nullptr) return rtsp::Refusal{404};
    const mesh::Track* track = nullptr;
    if (setup.track.empty()) {  // a player that knows the stream beforehand, such as VLC's SAT>IP client
        if (stream->tracks.size() != 1) return rtsp::Refusal{459};
        track = stream->tracks[0].get();
    } else {
        for (const auto& t : stream->tracks)
            if (t->name == setup.track) track = t.get();
    }
    if (track == nullptr || !sdp::payload_type_of(track->config)) return rtsp::Refusal{404};
    if (const auto session = watched_.find(setup.session); session != watched_.end())
        if (const auto before = session->second.find(track->name); before != session->second.end()) {
            free(setup.session, before->second);
            session->second.erase(before);
        }
    if (setup.wanted.lower == rtsp::Lower::tcp) return grant_over_tcp(setup, *track);
    return setup.wanted.multicast ? grant_by_multicast(setup, *track) : grant_unicast(setup, *track);
}

rtsp::Answer Rtsp::grant_unicast(const rtsp::Setup& setup, const mesh::Track& track) {
    // Of two sessions that have the same port at the viewer one is left over, of a player that was killed: nobody can
    // listen there twice.
    const Endpoint to{setup.viewer.ip, setup.wanted.client_port->rtp};
    for (const mesh::Viewer* other : track.extras().viewers)
        if (other->leg.to.rtp == to) server_.end(sessions_of_.at(other->id), rtsp::EndReason::replaced);
    const auto port = take_port(setup.local);
    if (!port) return refuse_ports(setup);
    std::optional<rtp::RtxStream> rtx;
    if (const auto type = rtsp::rtx_type_of(track.config); type && rtsp::sets_up_feedback(setup.wanted))
        rtx = rtp::RtxStream{*type, 0};
    const auto viewer = around_.mesh.add_viewer({.stream = setup.stream,
                                                 .track = track.name,
                                                 .agreed = {{setup.local, *port}, setup.wanted.client_port->rtcp},
                                                 .to = to,
                                                 .rtx = rtx});
    if (!viewer) {
        release({setup.local, *port});
        ports_.give_back(*port);
        return refuse_viewer(setup, viewer.error().text);
    }
    watched_[setup.session][track.name] = {.viewer = *viewer, .port = *port};
    sessions_of_[*viewer] = setup.session;
    around_.changed();
    rtsp::Transport granted;
    granted.profile = setup.wanted.profile;
    granted.client_port = setup.wanted.client_port;
    granted.server_port = rtsp::Pair{*port, static_cast<uint16_t>(*port + 1)};
    granted.source = setup.local.text();
    granted.ssrc = track.seen_ssrc();
    return rtsp::Granted{track.name, std::move(granted)};
}

rtsp::Refusal Rtsp::refuse_ports(const rtsp::Setup& setup) {
    around_.log.warning("RTSP: no free pair of ports in media.ports for {}", setup.viewer.ip.text());
    return rtsp::Refusal{453};
}

rtsp::Refusal Rtsp::refuse_viewer(const rtsp::Setup& setup, const std::string& why, int status) {
    around_.log.warning("RTSP: {} cannot watch '{}': {}", setup.viewer.ip.text(), setup.stream, why);
    return rtsp::Refusal{status};
}

rtsp::Answer Rtsp::grant_over_tcp(const rtsp::Setup& setup, const mesh::Track& track) {
    if (const auto started = over_tcp_.start(); !started) return refuse_viewer(setup, started.error().text, 503);
    const rtsp::Pair channels = *setup.wanted.interleaved;
    const auto viewer = around_.mesh.add_viewer({.stream = setup.stream,
                                                 .track = track.name,
                                                 .agreed = {},
                                                 .to = setup.viewer,
                                                 .channel = static_cast<uint8_t>(channels.rtp)});
    if (!viewer) return refuse_viewer(setup, viewer.error().text);
    watched_[setup.session][track.name] = {
        .viewer = *viewer, .port = 0, .channels = channels, .connection = setup.connection};
    sessions_of_[*viewer] = setup.session;
    rtsp::Transport granted;
    granted.profile = setup.wanted.profile;
    granted.lower = rtsp::Lower::tcp;
    granted.interleaved = channels;
    granted.ssrc = track.seen_ssrc();
    return rtsp::Granted{track.name, std::move(granted)};
}

std::optional<uint16_t> Rtsp::take_port(const Ip& local) {
    return ports_.take([&](uint16_t rtp) {
        const auto rtcp = static_cast<uint16_t>(rtp + 1);
        if (around_.mesh.takes({local, rtp, 0}) || around_.mesh.takes({local, rtcp, 0})) return false;
        if (!around_.claim_ports) return true;
        if (!claimed_.claim({local, rtp})) return false;
        if (claimed_.claim({local, rtcp})) return true;
        claimed_.release({local, rtp});
        return false;
    });
}

void Rtsp::release(const Endpoint& rtp) {
    if (!around_.claim_ports) return;
    claimed_.release(rtp);
    claimed_.release({rtp.ip, static_cast<uint16_t>(rtp.port + 1)});
}

void Rtsp::free(rtsp::SessionId session, const Watched& watched) {
    if (watched.shared && !leave_group(session, watched)) return;  // others go on
    if (const mesh::Viewer* viewer = around_.mesh.viewer(watched.viewer)) {
        if (viewer->leg.agreed) release(viewer->leg.agreed->from);
        around_.mesh.remove_viewer(watched.viewer);
        sessions_of_.erase(watched.viewer);
        around_.changed();
    }
    if (watched.port != 0) ports_.give_back(watched.port);
}

}  // namespace penstock
