// What each request comes to.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"
#include "control/rtsp/server.hpp"
#include "control/rtsp/url.hpp"

namespace penstock::rtsp {
namespace {

std::string_view methods(bool publish) {
    constexpr std::string_view kAll =
        "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER, ANNOUNCE, RECORD";
    return publish ? kAll : kAll.substr(0, kAll.find(", ANNOUNCE"));
}

bool is_sequence_number(std::string_view text) {
    return !text.empty() && text.size() <= 10 && text.find_first_not_of("0123456789") == std::string_view::npos;
}

Response with_status(Response response, int status) {
    response.status = status;
    return response;
}

// What a peer says of itself, for logs and tables: printable, and not too long.
std::string printable(std::string_view text) {
    std::string out;
    for (const char c : text.substr(0, kLongestAgent)) out += c >= ' ' && c <= '~' ? c : '?';
    return out;
}

bool accepts_sdp(const Request& request) {
    const auto accept = request.headers.get("Accept");
    return !accept || accept->empty() || accept->find("application/sdp") != std::string_view::npos ||
           accept->find("*/*") != std::string_view::npos || accept->find("application/*") != std::string_view::npos;
}

// The first alternative that we can do.
const Transport* usable(const std::vector<Transport>& offered, bool multicast) {
    const auto found = std::ranges::find_if(offered, [&](const Transport& t) {
        const bool way = t.multicast ? t.lower == Lower::udp && multicast
                                     : t.lower == Lower::tcp || (t.lower == Lower::udp && t.client_port);
        return way && (same_name(t.profile, "RTP/AVP") || sets_up_feedback(t)) && t.mode == "PLAY";
    });
    return found == offered.end() ? nullptr : &*found;
}

}  // namespace

Response Server::dispatch(Instant now, Connection& c, const Request& request, Method method) {
    Response response;
    const auto cseq = request.headers.get("CSeq");
    if (cseq && is_sequence_number(*cseq)) response.headers.add("CSeq", *cseq);
    response.headers.add("Server", settings_.software);
    if (request.version != Version{1, 0}) return with_status(response, 505);
    if (!cseq || !is_sequence_number(*cseq)) return with_status(response, 400);
    if (method == Method::other) return with_status(response, 501);
    if (const auto agent = request.headers.get("User-Agent"); agent && c.agent.empty()) c.agent = printable(*agent);
    for (const std::string_view name : {"Require", "Proxy-Require"})
        if (const auto option = request.headers.get(name)) {  // none is known
            response.headers.add("Unsupported", *option);
            return with_status(response, 551);
        }
    const bool publishing = method == Method::announce || method == Method::record;
    if (method == Method::redirect || (publishing && !settings_.publish)) {
        response.headers.add("Allow", methods(settings_.publish));
        if (publishing) response.reason = "Publishing Is Off";
        return with_status(response, 405);
    }
    Session* const session = session_of(c, request);
    if (method != Method::options)
        if (auto refusal = refused(now, c, request, method, session, response)) return *refusal;
    if (request.headers.get("Session") && session == nullptr) return with_status(response, 454);
    if (session != nullptr) {
        session->heard = now;
        if (!session->interleaved()) session->connection = c.id;
    }
    switch (method) {
        case Method::options: response.headers.add("Public", methods(settings_.publish)); break;
        case Method::describe: {
            const auto target = target_of(request.url);
            if (!target) return with_status(response, 404);
            if (!accepts_sdp(request)) return with_status(response, 406);
            Asked asked;
            asked.method = method;
            asked.response = response;
            asked.fresh.base = base_of(request.url);
            outputs_.push_back(Describe{ask(c, std::move(asked)), target->stream, c.peer.local.ip, c.agent});
            break;
        }
        case Method::setup: return setup(now, c, request, session, std::move(response));
        case Method::announce: return announce(now, c, request, session, std::move(response));
        case Method::record: return record(c, session, std::move(response));
        case Method::play: return play(c, request, session, std::move(response));
        case Method::pause:
            if (session == nullptr) return with_status(response, 454);
            if (!after(session->state, method)) return with_status(response, 455);
            if (session->state == State::playing) outputs_.push_back(Pause{session->id});
            session->state = *after(session->state, method);
            break;
        case Method::teardown: return teardown(request, session, std::move(response));
        case Method::get_parameter:
        case Method::set_parameter:
            // Without a body they keep a session alive; parameters there are none.
            if (!request.body.empty()) response.status = 451;
            break;
        default: return with_status(response, 501);
    }
    if (session != nullptr) response.headers.add("Session", session->token);
    return response;
}

// The session that is named, if it is of this address; "id;timeout=60" is what some clients send back.
Session* Server::session_of(const Connection& c, const Request& request) {
    const auto header = request.headers.get("Session");
    if (!header) return nullptr;
    std::string token(header->substr(0, header->find(';')));
    while (token.ends_with(' ')) token.pop_back();
    const auto known = tokens_.find(token);
    if (known == tokens_.end()) return nullptr;
    Session& session = sessions_.at(known->second);
    return session.viewer == c.peer.remote.ip ? &session : nullptr;
}

void Server::identify(Session& fresh, SessionId id, const Connection& c) {
    fresh.id = id;
    fresh.token = secret_word(random_);
    fresh.viewer = c.peer.remote.ip;
    fresh.user = c.claim.user;
    fresh.timeout = settings_.session_timeout;
    fresh.connection = c.id;
    fresh.agent = c.agent;
}

bool Server::room_for_session(Instant now, const Ip& who) {
    return sessions_.size() < kMostSessions && address(now, who).sessions < settings_.per_address.sessions;
}

Response Server::setup(Instant now, Connection& c, const Request& request, Session* session, Response response) {
    const auto header = request.headers.get("Transport");
    if (!header) return with_status(response, 400);
    const auto offered = parse_transport(*header);
    if (!offered) return with_status(response, 400);
    if (settings_.publish && std::ranges::any_of(*offered, records))
        return receive(now, c, request, session, std::move(response), *offered);
    const auto target = target_of(request.url);
    if (!target) return with_status(response, 404);
    const Transport* chosen = usable(*offered, settings_.multicast);
    if (chosen == nullptr) return with_status(response, 461);
    std::optional<Transport> wanted = *chosen;
    // Media goes to who asks for it, and nowhere else: the address of another would make this a weapon.
    if (wanted->destination && Ip::parse(*wanted->destination) != c.peer.remote.ip) return with_status(response, 403);
    if (session != nullptr) {
        if (!after(session->state, Method::setup) || session->publishes()) return with_status(response, 455);
        if (session->stream != target->stream) return with_status(response, 459);  // one session, one stream
        if (session->connection != c.id) return with_status(response, 455);        // its media goes by another one
    } else if (!room_for_session(now, c.peer.remote.ip)) {
        return with_status(response, 453);
    }

    if (wanted->lower == Lower::tcp) {
        wanted->interleaved = free_channels(c, *wanted, session ? session->id : 0, target->track);
        if (!wanted->interleaved) return with_status(response, 461);
    }

    Asked asked{.connection = 0,
                .method = Method::setup,
                .response = std::move(response),
                .session = session ? session->id : next_session_++,
                .fresh = {}};
    if (session == nullptr) {
        Session& fresh = asked.fresh;
        identify(fresh, asked.session, c);
        fresh.stream = target->stream;
        std::string_view base = base_of(request.url);
        if (!target->track.empty()) base.remove_suffix(target->track.size() + 1);
        fresh.base = base;
    }
    const SessionId id = asked.session;
    const Ticket ticket = ask(c, std::move(asked));
    outputs_.push_back(Setup{ticket, id, target->stream, target->track, c.peer.remote, c.peer.local.ip, c.id, *wanted});
    return {};
}

Response Server::play(Connection& c, const Request& request, Session* session, Response response) {
    if (session == nullptr) return with_status(response, 454);
    if (!after(session->state, Method::play) || session->publishes()) return with_status(response, 455);
    if (session->connection != c.id) return with_status(response, 455);  // its media goes by another one
    const auto target = target_of(request.url);
    if (!target || target->stream != session->stream) return with_status(response, 404);
    if (!target->track.empty() && session->tracks.size() > 1) return with_status(response, 460);
    response.headers.add("Session", session->token);
    if (session->state == State::playing) {
        response.headers.add("Range", "npt=now-");
        return response;
    }
    const Ticket ticket = ask(c, {.connection = 0,
                                  .method = Method::play,
                                  .response = std::move(response),
                                  .session = session->id,
                                  .fresh = {}});
    outputs_.push_back(Play{ticket, session->id});
    return {};
}

Response Server::teardown(const Request& request, Session* session, Response response) {
    if (session == nullptr) return with_status(response, 454);
    const auto target = target_of(request.url);
    const std::string track = target ? target->track : "";
    if (!track.empty() && session->tracks.size() > 1 && !session->publishes()) {  // the others go on
        if (session->tracks.erase(track) == 0) return with_status(response, 404);
        outputs_.push_back(Leave{session->id, track});
        response.headers.add("Session", session->token);
        return response;
    }
    end(session->id, EndReason::teardown);
    return response;
}

}  // namespace penstock::rtsp
