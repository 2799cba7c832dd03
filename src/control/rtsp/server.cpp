// Connections, answers and time; what each method means is in requests.cpp.
#include "control/rtsp/server.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace penstock::rtsp {
namespace {

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace

Server::Address& Server::address(Instant now, const Ip& who) {
    const auto [found, fresh] = addresses_.try_emplace(counted_as(who));
    Address& a = found->second;
    const double most = 2.0 * settings_.per_address.requests;
    if (fresh) {
        a.credit = most;
        a.filled = now;
    }
    a.credit = std::min(most, a.credit + seconds(now - a.filled) * settings_.per_address.requests);
    a.filled = now;
    return a;
}

bool Server::charge(Instant now, const Ip& who, double requests) {
    Address& a = address(now, who);
    if (a.credit < requests) return false;
    a.credit -= requests;
    return true;
}

bool Server::connected(Instant now, ConnectionId id, const Peer& peer) {
    const auto refuse = [&](std::string_view why) {
        counters_.refused[why]++;
        return false;
    };
    if (connections_.size() >= kMostConnections) return refuse("full");
    if (address(now, peer.remote.ip).connections >= settings_.per_address.connections) return refuse("address_full");
    if (!charge(now, peer.remote.ip, 1)) return refuse("rate");
    address(now, peer.remote.ip).connections++;
    Connection& c = connections_[id];
    c.id = id;
    c.peer = peer;
    c.active = now;
    counters_.connections++;
    return true;
}

void Server::disconnected(ConnectionId id) {
    const auto c = connections_.find(id);
    if (c == connections_.end()) return;
    std::set<SessionId> carried;
    for (const auto& [number, channel] : c->second.channels) carried.insert(channel.session);
    for (const SessionId session : carried) end(session, EndReason::connection_lost);
    addresses_.at(counted_as(c->second.peer.remote.ip)).connections--;
    connections_.erase(c);
}

void Server::receive(Instant now, ConnectionId id, std::span<const std::byte> bytes) {
    const auto found = connections_.find(id);
    if (found == connections_.end() || found->second.closing) return;
    Connection& c = found->second;
    c.parser.receive(bytes);
    work(now, c);
    if (c.waiting && c.parser.waiting() > kMostPipelined) close(c);
}

void Server::work(Instant now, Connection& c) {
    while (!c.waiting && !c.closing) {
        auto message = c.parser.next();
        if (!message) {
            counters_.malformed++;
            Response response{.status = message.error().status, .reason = {}, .version = {}, .headers = {}, .body = {}};
            if (!message.error().cseq.empty()) response.headers.add("CSeq", message.error().cseq);
            response.headers.add("Server", settings_.software);
            outputs_.push_back(Send{c.id, write(response)});
            return close(c);
        }
        if (!*message) break;
        c.active = now;
        c.begun.reset();
        // We ask clients nothing: their responses mean nothing.
        if (const auto* request = std::get_if<Request>(&**message)) handle(now, c, *request);
        if (auto* frame = std::get_if<Frame>(&**message)) take(now, c, std::move(*frame));
    }
    if (c.parser.waiting() != 0 && !c.waiting && !c.begun) c.begun = now;
}

void Server::handle(Instant now, Connection& c, const Request& request) {
    const Method method = method_of(request.method);
    const auto come_later = [&](Duration wait) {
        Response response{.status = 503, .reason = {}, .version = {}, .headers = {}, .body = {}};
        if (const auto cseq = request.headers.get("CSeq")) response.headers.add("CSeq", *cseq);
        response.headers.add("Retry-After", fmt::format("{:.0f}", std::ceil(seconds(wait))));
        send(c, method, response);
        close(c);
    };
    if (!charge(now, c.peer.remote.ip, 1)) return come_later(std::chrono::seconds(1));
    if (const auto wait = locked_out(now, c, request)) return come_later(*wait);
    const Response response = dispatch(now, c, request, method);
    if (c.waiting) return;
    send(c, method, response);
}

void Server::send(Connection& c, Method method, const Response& response) {
    counters_.requests[{method, response.status}]++;
    outputs_.push_back(Send{c.id, write(response)});
}

void Server::close(Connection& c) {
    if (std::exchange(c.closing, true)) return;
    outputs_.push_back(Close{c.id});
}

Ticket Server::ask(Connection& c, Asked asked) {
    const Ticket ticket = next_ticket_++;
    asked.connection = c.id;
    asked.claim = c.claim;
    asked.address = c.peer.remote.ip;
    c.waiting = true;
    asked_.emplace(ticket, std::move(asked));
    return ticket;
}

void Server::answer(Instant now, Ticket ticket, Answer answer) {
    auto asked = asked_.extract(ticket);
    if (!asked) return;
    Asked& a = asked.mapped();
    if (!allowed(a.claim, a.address)) answer = revoked(a, std::move(answer));
    std::visit(
        [&](auto& with) {
            if constexpr (std::is_same_v<std::decay_t<decltype(with)>, Granted>) {
                finish(now, a, with);
            } else {
                finish(a, with);
            }
        },
        answer);
    const auto found = connections_.find(a.connection);
    if (found == connections_.end()) return;  // it has gone meanwhile; a session that came of it will time out
    Connection& c = found->second;
    c.waiting = false;
    c.active = now;
    if (c.closing) return;
    send(c, a.method, a.response);
    work(now, c);
}

void Server::finish(Asked& asked, const Refusal& refusal) {
    asked.response.status = refusal.status;
    asked.response.reason = refusal.why;
}

void Server::finish(Asked& asked, Described& described) {
    asked.response.headers.add("Content-Type", "application/sdp");
    asked.response.headers.add("Content-Base", asked.fresh.base + "/");
    asked.response.body = std::move(described.sdp);
}

void Server::finish(Instant now, Asked& asked, const Granted& granted) {
    auto found = sessions_.find(asked.session);
    if (found == sessions_.end() && asked.fresh.id == 0) {  // it ended meanwhile
        asked.response.status = 454;
        asked.fresh.id = asked.session;
        outputs_.push_back(End{std::move(asked.fresh), EndReason::stopped});
        return;
    }
    if (found == sessions_.end()) {
        Session& fresh = asked.fresh;
        fresh.started = now;
        fresh.state = *after(State::init, Method::setup);
        address(now, fresh.viewer).sessions++;
        if (fresh.publishes()) address(now, fresh.viewer).streams++;
        tokens_.emplace(fresh.token, fresh.id);
        counters_.sessions++;
        found = sessions_.emplace(fresh.id, fresh).first;
        if (const auto c = connections_.find(asked.connection); c != connections_.end() && fresh.publishes())
            c->second.announced.reset();  // it is the session's by now
    }
    Session& session = found->second;
    session.heard = now;
    session.tracks[granted.track] = granted.transport;
    if (const auto c = connections_.find(asked.connection); c != connections_.end() && granted.transport.interleaved) {
        const Pair& channels = *granted.transport.interleaved;
        c->second.channels[channels.rtcp] = {session.id, granted.track, true};
        c->second.channels[channels.rtp] = {session.id, granted.track, false};
    }
    asked.response.headers.add("Transport", write(granted.transport));
    asked.response.headers.add("Session",
                               fmt::format("{};timeout={}", session.token,
                                           std::chrono::duration_cast<std::chrono::seconds>(session.timeout).count()));
}

void Server::finish(Asked& asked, const Playing& playing) {
    const auto found = sessions_.find(asked.session);
    if (found == sessions_.end()) {  // it ended meanwhile
        asked.response.status = 454;
        return;
    }
    found->second.state = State::playing;
    asked.response.headers.add("Range", "npt=now-");
    std::string info;
    for (const Playing::First& first : playing.tracks) {
        info += fmt::format("{}url={}/{}", info.empty() ? "" : ",", found->second.base, first.track);
        if (first.sequence) info += fmt::format(";seq={}", *first.sequence);
        if (first.timestamp) info += fmt::format(";rtptime={}", *first.timestamp);
    }
    if (!info.empty()) asked.response.headers.add("RTP-Info", info);
}

void Server::heard(Instant now, SessionId id) {
    const auto session = sessions_.find(id);
    if (session == sessions_.end()) return;
    session->second.heard = now;
    session->second.reports = true;
}

void Server::end(SessionId id, EndReason reason) {
    auto ended = sessions_.extract(id);
    if (!ended) return;
    Session& session = ended.mapped();
    tokens_.erase(session.token);
    Address& from = addresses_.at(counted_as(session.viewer));
    from.sessions--;
    if (session.publishes()) from.streams--;
    counters_.ended[static_cast<size_t>(reason)]++;
    // RTSP 1.0 has no word for it: the end of the connection tells a player that the stream is gone, and a publisher
    // that nobody listens to it any more.
    if (reason == EndReason::stream_gone || reason == EndReason::taken_over || reason == EndReason::forbidden ||
        (reason == EndReason::timeout && session.publishes()))
        if (const auto c = connections_.find(session.connection); c != connections_.end()) close(c->second);
    outputs_.push_back(End{std::move(session), reason});
}

void Server::expire(Instant now) {
    std::vector<SessionId> silent;
    for (auto& [id, session] : sessions_) {
        // live555 sends nothing but RTCP, and not from everywhere what is sent to a group comes to us.
        if (session.multicast() && !session.reports && connections_.contains(session.connection)) session.heard = now;
        if (now - session.heard >= session.timeout && (session.publishes() || !session.interleaved()))
            silent.push_back(id);
    }
    for (const SessionId id : silent) end(id, EndReason::timeout);

    std::vector<ConnectionId> in_use;
    for (const auto& [id, session] : sessions_) in_use.push_back(session.connection);
    std::ranges::sort(in_use);
    for (auto& [id, c] : connections_) {
        if (c.waiting || c.closing) continue;
        if (c.begun && now - *c.begun >= kMessageTime) {
            counters_.malformed++;
            Response response{.status = 408, .reason = {}, .version = {}, .headers = {}, .body = {}};
            outputs_.push_back(Send{c.id, write(response)});
            close(c);
        } else if (now - c.active >= kIdleTime && !std::ranges::binary_search(in_use, id)) {
            close(c);
        }
    }
    // An address that has nothing and owes nothing is forgotten.
    std::erase_if(addresses_, [&](const auto& entry) {
        const Address& a = entry.second;
        return a.connections == 0 && a.sessions == 0 && (a.failures == 0 || now - a.failed >= kFailureTime) &&
               a.credit + seconds(now - a.filled) * settings_.per_address.requests >=
                   2.0 * settings_.per_address.requests;
    });
}

std::optional<Output> Server::poll() {
    if (outputs_.empty()) return std::nullopt;
    Output next = std::move(outputs_.front());
    outputs_.pop_front();
    return next;
}

}  // namespace penstock::rtsp
