// What the requests of publishers come to: ANNOUNCE, SETUP with mode=record, RECORD; and their interleaved frames.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"
#include "control/config/words.hpp"
#include "control/rtsp/server.hpp"
#include "control/rtsp/url.hpp"

namespace penstock::rtsp {
namespace {

Response with_status(Response response, int status, std::string_view why = "") {
    response.status = status;
    response.reason.clear();
    for (const char c : why) response.reason += c >= ' ' && c <= '~' ? c : '?';
    return response;
}

bool is_sdp(const Request& request) {
    const auto type = request.headers.get("Content-Type");
    return type && same_name(type->substr(0, type->find_first_of("; ")), "application/sdp");
}

}  // namespace

Response Server::announce(Instant now, Connection& c, const Request& request, Session* session, Response response) {
    if (session != nullptr) return with_status(response, 455, "the session has its announcement");
    const auto target = target_of(request.url);
    if (!target || !target->track.empty() || !config::is_plain_name(target->stream, config::kLongestName))
        return with_status(response, 400, fmt::format("the URL names no stream: {}", config::kNameAllowed));
    if (!is_sdp(request)) return with_status(response, 415);
    auto tracks = announced(request.body);
    if (!tracks) return with_status(response, tracks.error().status, tracks.error().why);
    if (!room_for_session(now, c.peer.remote.ip) ||
        address(now, c.peer.remote.ip).streams >= settings_.per_address.streams)
        return with_status(response, 453, "this address publishes enough");
    Asked asked{
        .connection = 0, .method = Method::announce, .response = std::move(response), .session = 0, .fresh = {}};
    asked.fresh.stream = target->stream;
    asked.fresh.base = base_of(request.url);
    asked.fresh.announced = std::move(*tracks);
    asked.fresh.user = c.claim.user;
    outputs_.push_back(Admit{ask(c, std::move(asked)), target->stream, c.peer.remote.ip});
    return {};
}

void Server::finish(Asked& asked, const Admitted&) {
    // One announcement a connection waits for its SETUP; another one takes its place.
    if (const auto c = connections_.find(asked.connection); c != connections_.end())
        c->second.announced = std::move(asked.fresh);
}

// The channels that the client names, if they are free, or others: the answer tells which.
std::optional<Pair> Server::free_channels(const Connection& c, const Transport& wanted, SessionId session,
                                          const std::string& track) const {
    const auto is_free = [&](uint16_t number) {
        const auto channel = c.channels.find(number);
        return channel == c.channels.end() || !sessions_.contains(channel->second.session) ||
               (channel->second.session == session && channel->second.track == track);
    };
    if (wanted.interleaved && wanted.interleaved->rtp != wanted.interleaved->rtcp && is_free(wanted.interleaved->rtp) &&
        is_free(wanted.interleaved->rtcp))
        return wanted.interleaved;
    for (uint16_t rtp = 0; rtp < 255; rtp = static_cast<uint16_t>(rtp + 2))
        if (is_free(rtp) && is_free(static_cast<uint16_t>(rtp + 1))) return Pair{rtp, static_cast<uint16_t>(rtp + 1)};
    return std::nullopt;
}

Response Server::receive(Instant now, Connection& c, const Request& request, Session* session, Response response,
                         const std::vector<Transport>& offered) {
    const auto usable = std::ranges::find_if(offered, [](const Transport& t) {
        return records(t) && !t.multicast && t.lower != Lower::other &&
               (same_name(t.profile, "RTP/AVP") || sets_up_feedback(t));
    });
    if (usable == offered.end()) return with_status(response, 461);
    if (session == nullptr && (!c.announced || c.announced->user != c.claim.user))
        return with_status(response, 455, "ANNOUNCE comes first");
    if (session != nullptr && (!session->publishes() || !after(session->state, Method::setup)))
        return with_status(response, 455);
    const Session& what = session ? *session : *c.announced;
    const AnnouncedTrack* track =
        stream_of(request.url) == what.stream ? track_of(what.announced, request.url) : nullptr;
    if (track == nullptr) return with_status(response, 404, "no such track was announced");
    if (track->refused) return with_status(response, track->refused->status, track->refused->why);
    if (session == nullptr && (!room_for_session(now, c.peer.remote.ip) ||
                               address(now, c.peer.remote.ip).streams >= settings_.per_address.streams))
        return with_status(response, 453, "this address publishes enough");
    Transport wanted = *usable;
    if (wanted.lower == Lower::tcp) {
        wanted.interleaved = free_channels(c, wanted, what.id, track->name);
        if (!wanted.interleaved) return with_status(response, 461, "no channel is left");
    }
    Receive out{.ticket = 0,
                .session = session ? session->id : next_session_++,
                .stream = what.stream,
                .order = static_cast<size_t>(track - what.announced.data()),
                .track = *track,
                .publisher = c.peer.remote,
                .local = c.peer.local.ip,
                .connection = c.id,
                .wanted = std::move(wanted)};
    Asked asked{
        .connection = 0, .method = Method::setup, .response = std::move(response), .session = out.session, .fresh = {}};
    if (session == nullptr) {
        asked.fresh = *c.announced;
        identify(asked.fresh, out.session, c);
    }
    out.ticket = ask(c, std::move(asked));
    outputs_.push_back(std::move(out));
    return {};
}

Response Server::record(Connection& c, Session* session, Response response) {
    if (session == nullptr || !session->publishes() || !after(session->state, Method::record))
        return with_status(response, 455);
    const Ticket ticket = ask(c, {.connection = 0,
                                  .method = Method::record,
                                  .response = std::move(response),
                                  .session = session->id,
                                  .fresh = {}});
    outputs_.push_back(Record{ticket, session->id});
    return {};
}

void Server::finish(Asked& asked, const Recording&) {
    const auto found = sessions_.find(asked.session);
    if (found == sessions_.end()) {  // it ended meanwhile
        asked.response.status = 454;
        return;
    }
    found->second.state = State::recording;
    asked.response.headers.add("Session", found->second.token);
}

void Server::take(Instant now, Connection& c, Frame frame) {
    const auto channel = c.channels.find(frame.channel);
    const auto session = channel == c.channels.end() ? sessions_.end() : sessions_.find(channel->second.session);
    const bool viewer = session != sessions_.end() && !session->second.publishes();
    if (session == sessions_.end() || (viewer ? !channel->second.rtcp : session->second.state != State::recording)) {
        counters_.stray_frames++;
        return;
    }
    session->second.heard = now;
    if (viewer) return outputs_.push_back(Feedback{session->first, channel->second.track, std::move(frame.payload)});
    outputs_.push_back(Media{session->first, channel->second.track, channel->second.rtcp, std::move(frame.payload)});
}

}  // namespace penstock::rtsp
