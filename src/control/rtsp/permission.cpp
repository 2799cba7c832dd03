// Who may do what: what stands between a request and its meaning.
#include <algorithm>

#include "control/rtsp/server.hpp"
#include "control/rtsp/url.hpp"

namespace penstock::rtsp {

// What belongs to a session is about its stream, whatever the URL says; the rest is about the URL's, be there such a
// stream or not: what is said of one that is there tells nobody more than of one that is not.
Server::Claim Server::claim_of(const Request& request, Method method, const Session* session) const {
    const bool of_session =
        session != nullptr && method != Method::describe && method != Method::setup && method != Method::announce;
    if (of_session) return {{}, session->publishes() ? Action::publish : Action::play, session->stream};
    Claim claim{{}, Action::play, std::string(stream_of(request.url))};
    if (method == Method::announce || method == Method::record) claim.action = Action::publish;
    if (const auto header = request.headers.get("Transport"); header && method == Method::setup && settings_.publish)
        if (const auto offered = parse_transport(*header); offered && std::ranges::any_of(*offered, records))
            claim.action = Action::publish;
    return claim;
}

bool Server::allowed(const Claim& claim, const Ip& from) const {
    return access_.allows(claim.user, claim.action, claim.stream, from);
}

// Nothing when the request may go on; then c.claim says whose it is.
std::optional<Response> Server::refused(Instant now, Connection& c, const Request& request, Method method,
                                        const Session* session, Response response) {
    Asker asker = access_.asker(request, c.nonce, now);
    if (asker.proof == Proof::wrong) failed(now, c.peer.remote.ip);
    // Who names himself has to prove it, even where anyone may.
    if (asker.proof == Proof::wrong) return challenged(now, c, std::move(response), Found::wrong);
    if (asker.proof == Proof::stale) return challenged(now, c, std::move(response), Found::stale);
    c.claim = claim_of(request, method, session);
    if (asker.proof == Proof::right) c.claim.user = std::move(asker.user);
    const bool named = !c.claim.user.empty();
    // A session is its user's. To others it is not there.
    const bool strange = session != nullptr && !session->user.empty() && session->user != c.claim.user;
    if (!strange && allowed(c.claim, c.peer.remote.ip)) {
        found(named ? Found::proven : Found::open);
        return std::nullopt;
    }
    if (!named && (strange || access_.password_may_help(c.claim.action, c.claim.stream, c.peer.remote.ip)))
        return challenged(now, c, std::move(response), Found::challenged);
    found(Found::forbidden);
    response.status = strange ? 454 : 403;
    return response;
}

Response Server::challenged(Instant now, Connection& c, Response response, Found what) {
    found(what);
    access_.challenge(response, c.nonce, what == Found::stale, now, random_);
    return response;
}

void Server::failed(Instant now, const Ip& who) {
    Address& a = address(now, who);
    if (a.failures == 0 || now - a.failed >= kFailureTime) {
        a.failures = 0;
        a.failed = now;
    }
    if (++a.failures == settings_.per_address.failures)
        outputs_.push_back(Blocked{counted_as(who), a.failed + kFailureTime - now});
}

// For how long the address is not let in. Who has a session and says so goes on: others behind one address may guess
// as they like, they do not know its id.
std::optional<Duration> Server::locked_out(Instant now, const Connection& c, const Request& request) {
    const Address& a = address(now, c.peer.remote.ip);
    const Instant end = a.failed + kFailureTime;
    if (a.failures < settings_.per_address.failures || now >= end) return std::nullopt;
    if (const Session* session = session_of(c, request))
        if (access_.named_by(request) == session->user) return std::nullopt;
    found(Found::blocked);
    return end - now;
}

bool Server::is_allowed(const Session& session) const {
    const Action action = session.publishes() ? Action::publish : Action::play;
    return (settings_.publish || !session.publishes()) &&
           access_.allows(session.user, action, session.stream, session.viewer);
}

void Server::replace(ServerSettings settings) {
    const std::vector<config::User> before = std::exchange(settings_, std::move(settings)).access.users;
    access_ = Access(settings_.access);
    // The users that are as they were. With another password it is another one.
    const auto same = [&](const std::string& user) {
        const auto old = std::ranges::find(before, user, &config::User::name);
        return old != before.end() && std::ranges::find(settings_.access.users, *old) != settings_.access.users.end();
    };
    std::vector<SessionId> gone;
    for (const auto& [id, session] : sessions_)
        if (!is_allowed(session) || (!session.user.empty() && !same(session.user))) gone.push_back(id);
    for (const SessionId id : gone) end(id, EndReason::forbidden);
    for (auto& [ticket, asked] : asked_)
        if (!same(asked.claim.user)) asked.claim.user.clear();
}

// An answer that comes when it is not allowed any more. What belongs to a session has ended with it.
Answer Server::revoked(const Asked& asked, Answer answer) {
    const bool granted = std::holds_alternative<Granted>(answer);
    if (granted && asked.fresh.id != 0) outputs_.push_back(End{asked.fresh, EndReason::forbidden});
    const bool tells = std::holds_alternative<Described>(answer) || std::holds_alternative<Admitted>(answer);
    if (tells || (granted && asked.fresh.id != 0)) return Refusal{403, {}};
    return answer;
}

}  // namespace penstock::rtsp
