// Who watches by multicast: the first one opens a leg to a group that the track has for itself, and the last one closes
// it.
#include <algorithm>

#include "rtsp.hpp"

namespace penstock {

rtsp::Answer Rtsp::grant_by_multicast(const rtsp::Setup& setup, const mesh::Track& track) {
    const auto known = std::ranges::find_if(track.extras().viewers,
                                            [&](const mesh::Viewer* viewer) { return groups_->has(viewer->id); });
    const auto viewer = known == track.extras().viewers.end() ? open_group(setup, track)
                                                              : std::expected<uint64_t, rtsp::Refusal>((*known)->id);
    if (!viewer) return viewer.error();
    groups_->join(*viewer, setup.session);
    const mesh::Output& leg = around_.mesh.viewer(*viewer)->leg;
    const uint16_t port = leg.to.rtp.port;
    watched_[setup.session][track.name] = {
        .viewer = *viewer, .port = port, .shared = true, .before = leg.state->packets.read(), .at = setup.viewer.ip};
    Audience& there = audiences_[{*viewer, setup.viewer.ip}];
    there.is = around_.mesh.participate(*viewer, setup.viewer.ip);
    there.voices.join(setup.session);
    around_.changed();
    rtsp::Transport granted;
    granted.profile = setup.wanted.profile;
    granted.multicast = true;
    granted.destination = leg.to.rtp.ip.text();
    granted.source = leg.agreed->from.ip.text();
    granted.port = rtsp::Pair{port, static_cast<uint16_t>(port + 1)};
    granted.ttl = multicast_->ttl;
    granted.ssrc = track.seen_ssrc();
    return rtsp::Granted{track.name, std::move(granted)};
}

// Copies go to the port that they come from: a pair of media.ports is one session's or one group's, so no two groups
// have the same one. Receivers that do not filter by group (Linux delivers by port, RFC 1112 asks for no more) get what
// they want.
std::expected<uint64_t, rtsp::Refusal> Rtsp::open_group(const rtsp::Setup& setup, const mesh::Track& track) {
    const auto from = around_.address_of(multicast_->port, multicast_->groups.ip.is_v4());
    if (!from) {
        around_.log.warning("RTSP: no address on the port of rtsp.multicast to send to groups from");
        return std::unexpected(rtsp::Refusal{503});
    }
    const auto port = take_port(*from);
    if (!port) return std::unexpected(refuse_ports(setup));
    const auto rtcp = static_cast<uint16_t>(*port + 1);
    const auto group = groups_->take([&](const Ip& ip) {
        return !around_.mesh.takes({ip, *port, 0}) && !around_.mesh.takes({ip, rtcp, 0});
    });
    const auto give_up = [&](rtsp::Refusal refusal) {
        release({*from, *port});
        ports_.give_back(*port);
        return std::unexpected(std::move(refusal));
    };
    if (!group) {
        around_.log.warning("RTSP: no free group in {} for {}", multicast_->groups.text(), setup.viewer.ip.text());
        return give_up({453});
    }
    const auto viewer = around_.mesh.add_viewer(
        {.stream = setup.stream,
         .track = track.name,
         .agreed = {{*from, *port}, rtcp},
         .to = {*group, *port},
         .group = mesh::Mesh::ViewerPlan::Group{around_.mesh.port_index(multicast_->port), multicast_->ttl}});
    if (!viewer) {
        groups_->give_back(*group);
        return give_up(refuse_viewer(setup, viewer.error().text));
    }
    around_.changed();
    return *viewer;
}

// Whether it was the last one: then the leg goes.
bool Rtsp::leave_group(rtsp::SessionId session, const Watched& watched) {
    if (const auto there = audiences_.find({watched.viewer, watched.at}); there != audiences_.end()) {
        around_.mesh.depart(watched.viewer, watched.at);
        there->second.voices.leave(session);
        if (there->second.voices.empty()) audiences_.erase(there);
    }
    if (groups_->leave(watched.viewer, session)) {
        groups_->give_back(around_.mesh.viewer(watched.viewer)->leg.to.rtp.ip);
        return true;
    }
    around_.mesh.play(watched.viewer, groups_->sent(watched.viewer));  // those that stay may all pause
    around_.changed();
    return false;
}

void Rtsp::listen_in_groups(Instant now) {
    for (auto& [at, there] : audiences_)
        for (const rtsp::SessionId session : there.voices.look(there.is->voices())) server_.heard(now, session);
}

// What it said, as far as that is known.
flow::Participant::Voice Rtsp::voice_of(rtsp::SessionId session, const Watched& watched) const {
    const auto there = audiences_.find({watched.viewer, watched.at});
    const auto ssrc = there == audiences_.end() ? std::nullopt : there->second.voices.ssrc(session);
    if (ssrc)
        for (const auto& voice : there->second.is->voices())
            if (voice.ssrc == *ssrc) return voice;
    return {};
}

std::vector<rtsp::SessionId> Rtsp::sessions_of(uint64_t viewer) const {
    if (groups_ && groups_->has(viewer)) return groups_->sessions(viewer);
    const auto session = sessions_of_.find(viewer);
    return session == sessions_of_.end() ? std::vector<rtsp::SessionId>{} : std::vector{session->second};
}

}  // namespace penstock
