// What a camera answers, and what it asks.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"
#include "control/rtsp/client.hpp"
#include "control/rtsp/url.hpp"

namespace penstock::rtsp {
namespace {

bool names_method(std::string_view list, std::string_view method) {
    while (!list.empty()) {
        const size_t comma = list.find(',');
        if (same_name(trimmed(list.substr(0, comma)), method)) return true;
        list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    }
    return false;
}

std::string words(const Response& response) {
    return fmt::format("{} {:.60}", response.status,
                       response.reason.empty() ? reason_of(response.status) : std::string_view(response.reason));
}

}  // namespace

std::string control_of(const sdp::Description& description, std::string_view base, size_t media) {
    return resolve(base, sdp::find(description.media[media].attributes, "control").value_or(""));
}

void Client::on(Instant now, const Response& response) {
    if (response.status < 200) return;  // 100 Continue: the answer is still to come
    // An answer that we no longer wait for is none of ours. live555: 400 has no CSeq, and is the answer to what was
    // asked.
    const auto cseq = response.headers.get("CSeq");
    if (!asked_ || (cseq && number<unsigned>(*cseq) != asked_->cseq)) return;
    deadline_.reset();
    if (response.status >= 300) return on_error(now, response);
    learn(response);
    const Method method = asked_->method;
    const auto to = after(step_, method);
    asked_.reset();
    if (!to) return over(Failure::malformed, "an answer out of order");  // cannot be: one at a time
    if (*to == Step::over) return over({}, "");
    step_ = *to;
    switch (step_) {
        case Step::describe: return request(now, Method::describe, location_.url);
        case Step::choosing: return on_described(response);
        case Step::setup: return on_set_up(now, response);
        case Step::playing:
            if (method == Method::play) outputs_.push_back(client::Playing{});
            return;
        default: return;
    }
}

void Client::on_error(Instant now, const Response& response) {
    const Method method = asked_->method;
    if (step_ == Step::teardown) return over({}, "");
    if (response.status == 401) {
        const bool tried = asked_->proofs != 0;
        const std::string before = challenge_ ? challenge_->nonce : "";
        // Hikvision: an old nonce is refused without stale=true, and a new one comes along.
        const bool again = take_challenge(response) && (!tried || (challenge_ && challenge_->nonce != before));
        if (again && asked_->proofs < kMostProofs) return repeat(now);
        return over(Failure::unauthorized, location_.user.empty() ? "it wants a user and a password"
                                           : tried                ? "it does not take user and password"
                                                   : "it wants to know us in a way that we do not speak");
    }
    if (response.status < 400) {
        const auto to = response.headers.get("Location");
        if (response.status == 304 || !to)
            return over(Failure::redirects, fmt::format("{} leads nowhere", words(response)));
        return redirect(now, *to);
    }
    if (method == Method::options && step_ == Step::options) {
        // Old Axis firmware: OPTIONS is not implemented, the rest is.
        step_ = Step::describe;
        return request(now, Method::describe, location_.url);
    }
    if (step_ == Step::playing && response.status != 454) {
        // D-Link DCS: GET_PARAMETER is named in Public and then answered by 501. OPTIONS all can.
        asked_.reset();
        keepalive_by_ = Method::options;
        return;
    }
    const std::string why = fmt::format("it answers {} with {}", name(method), words(response));
    switch (response.status) {
        case 403: return over(Failure::unauthorized, why);
        case 404: return over(Failure::not_found, why);
        case 454: return over(Failure::session_lost, why);
        case 461: return over(Failure::transport, why);
        case 503: {
            const auto seconds = number<unsigned>(response.headers.get("Retry-After").value_or(""));
            return over(Failure::busy, why,
                        seconds ? std::optional<Duration>(std::chrono::seconds(*seconds)) : std::nullopt);
        }
        default: return over(Failure::refused, why);
    }
}

// What the password may prove: the strongest way that the server offers.
bool Client::take_challenge(const Response& response) {
    if (location_.user.empty()) return false;
    std::optional<Challenge> best;
    bool basic = false;
    for (const auto& [name, value] : response.headers) {
        if (!same_name(name, "WWW-Authenticate")) continue;
        if (const auto challenge = parse_challenge(value)) {
            if (!best || challenge->algorithm > best->algorithm) best = *challenge;
        } else {
            basic |= value.size() >= 5 && same_name(std::string_view(value).substr(0, 5), "Basic");
        }
    }
    if (best) {
        if (!challenge_ || challenge_->nonce != best->nonce) nonce_count_ = 0;
        challenge_ = best;
        basic_ = false;
        return true;
    }
    // In the clear only to the host that the operator named, not where that one sends us.
    basic_ = basic && location_.host == settings_.location.host;
    if (basic_) challenge_.reset();
    return basic_;
}

std::string Client::authorization() {
    if (basic_) return write(Basic{location_.user, location_.password});
    if (!challenge_) return {};
    Credentials c{.username = location_.user,
                  .realm = challenge_->realm,
                  .nonce = challenge_->nonce,
                  .uri = asked_->url,
                  .response = {},
                  .opaque = challenge_->opaque,
                  .algorithm = challenge_->algorithm,
                  .qop_auth = challenge_->qop_auth,
                  .cnonce = {},
                  .nonce_count = {}};
    if (c.qop_auth) {
        c.cnonce = fmt::format("{:016x}", random_());
        c.nonce_count = fmt::format("{:08x}", ++nonce_count_);
    }
    c.response =
        response_to(c, name(asked_->method), secret_of(c.algorithm, location_.user, c.realm, location_.password));
    return write(c);
}

// Of any answer: what the server can do, and its session.
void Client::learn(const Response& response) {
    const auto methods = response.headers.get("Public");
    if (!methods) return;
    keepalive_by_ = names_method(*methods, "GET_PARAMETER")   ? Method::get_parameter
                    : names_method(*methods, "SET_PARAMETER") ? Method::set_parameter
                                                              : Method::options;
}

void Client::on_described(const Response& response) {
    if (const auto type = response.headers.get("Content-Type");
        type && !same_name(trimmed(type->substr(0, type->find(';'))), "application/sdp"))
        return over(Failure::malformed, fmt::format("its description is {:.60}, not application/sdp", *type));
    auto description = sdp::parse(response.body);
    if (!description) return over(Failure::malformed, fmt::format("its SDP: {}", description.error().text));
    description_ = std::move(*description);
    base_ = location_.url;
    for (const std::string_view header : {"Content-Base", "Content-Location"})
        if (const auto base = response.headers.get(header); base && !trimmed(*base).empty()) {
            // Camera apps of telephones: "10.0.0.7:1935/", without a scheme. It is where we are anyway.
            const std::string_view to = trimmed(*base);
            if (to.find("://") != std::string_view::npos || to.starts_with('/')) base_ = resolve(location_.url, to);
            break;
        }
    // Relative URLs of tracks go by Content-Base; PLAY by the session's own a=control, if it has one.
    whole_ = resolve(base_, sdp::find(description_.attributes, "control").value_or(""));
    if (description_.media.empty()) return over(Failure::no_media, "it describes no media");
    outputs_.push_back(client::Described{description_});
}

bool Client::take_session(const Response& response) {
    const auto header = response.headers.get("Session");
    if (!header) return false;
    std::string_view rest = *header;
    const std::string_view id = trimmed(rest.substr(0, rest.find(';')));
    if (id.empty() || id.size() > 128 || (!session_.empty() && id != session_)) return false;
    session_ = id;
    const size_t at = rest.find("timeout=");  // some write blanks before it
    const size_t digits = at == std::string_view::npos ? at : rest.find_first_not_of("0123456789", at + 8);
    const auto seconds =
        at == std::string_view::npos ? std::nullopt : number<uint16_t>(rest.substr(at + 8, digits - (at + 8)));
    const Duration timeout = seconds && *seconds != 0 ? Duration(std::chrono::seconds(*seconds)) : kDefaultTimeout;
    keepalive_ = std::clamp(timeout / 2, kShortestKeepalive, kLongestKeepalive);
    return true;
}

void Client::on_set_up(Instant now, const Response& response) {
    if (!take_session(response)) return over(Failure::malformed, "its answer to SETUP has no session, or another one");
    const auto all = parse_transport(response.headers.get("Transport").value_or(""));
    if (!all) return over(Failure::malformed, fmt::format("its answer to SETUP has {}", all.error().text));
    const size_t track = granted_.size();
    auto transport = settled(all->front(), track);
    if (!transport)
        return over(Failure::transport,
                    fmt::format("it grants {:.120}, not {}", response.headers.get("Transport").value_or(""),
                                name(settings_.way)));
    granted_.push_back({wanted_[track].media, std::move(*transport)});
    next_track(now);
}

// What is granted with what was left out; nothing when it is not what was asked for.
std::optional<Transport> Client::settled(Transport t, size_t track) const {
    const bool tcp = settings_.way == Way::tcp, multicast = settings_.way == Way::multicast;
    if (t.lower == Lower::other || (t.lower == Lower::tcp) != tcp || t.multicast != multicast) return std::nullopt;
    if (tcp) {
        // VLC's server leaves out interleaved= when it takes what was asked.
        if (!t.interleaved)
            t.interleaved = Pair{static_cast<uint16_t>(2 * track), static_cast<uint16_t>(2 * track + 1)};
        // DVRs of several makers count channels anew for the second track: what arrives could be either.
        if (t.interleaved->rtp == t.interleaved->rtcp || !takes_channels(*t.interleaved)) return std::nullopt;
        return t;
    }
    const auto source = Ip::parse(t.source.value_or(""));
    // Cameras behind NAT and those that name themselves 0.0.0.0, or by name: who sends is who was connected to.
    if (!source || source->is_unspecified() || source->is_multicast()) t.source = server_.text();
    if (!multicast) {
        t.client_port = wanted_[track].client_port;
        return t;
    }
    if (!t.destination) {  // live555 before 2009: the group is in the SDP alone
        const sdp::Media& media = description_.media[wanted_[track].media];
        const auto& c = !media.connections.empty() ? std::optional(media.connections[0]) : description_.connection;
        if (c) t.destination = c->address;
        if (!t.port && media.port != 0) t.port = Pair{media.port, static_cast<uint16_t>(media.port + 1)};
    }
    const auto group = Ip::parse(t.destination.value_or(""));
    if (!t.port) t.port = t.client_port ? t.client_port : t.server_port;  // Axis: client_port= for a group, too
    if (!group || !group->is_multicast() || !t.port) return std::nullopt;
    return t;
}

bool Client::takes_channels(const Pair& channels) const {
    return std::ranges::none_of(granted_, [&](const client::Granted::Track& other) {
        const Pair& taken = *other.transport.interleaved;
        return taken.rtp == channels.rtp || taken.rtp == channels.rtcp || taken.rtcp == channels.rtp ||
               taken.rtcp == channels.rtcp;
    });
}

void Client::redirect(Instant now, std::string_view to) {
    if (++redirects_ > kMostRedirects)
        return over(Failure::redirects, fmt::format("more than {} redirections", kMostRedirects));
    auto next = config::location_of(resolve(location_.url, trimmed(to)));
    if (!next) return over(Failure::redirects, fmt::format("it leads to where we cannot go: {}", next.error().text));
    if (location_.tls && !next->tls) return over(Failure::redirects, "it leads from rtsps:// to rtsp://, without TLS");
    if (next->user.empty()) {
        next->user = location_.user;
        next->password = location_.password;
    }
    outputs_.push_back(client::Close{});
    forget_connection();
    challenge_.reset();
    basic_ = false;
    session_.clear();
    wanted_.clear();
    granted_.clear();
    location_ = std::move(*next);
    start(now);
}

void Client::on(const Frame& frame) {
    for (const auto& [media, transport] : granted_)
        if (transport.interleaved &&
            (frame.channel == transport.interleaved->rtp || frame.channel == transport.interleaved->rtcp))
            return outputs_.push_back(
                client::Received{media, frame.channel == transport.interleaved->rtcp, frame.payload});
}

// A server may ask, too: whether we are there (OPTIONS, GET_PARAMETER), or that we go elsewhere.
void Client::on(Instant now, const Request& request) {
    const Method method = method_of(request.method);
    const auto to = request.headers.get("Location");
    const bool moves = method == Method::redirect && to;
    const bool known =
        method == Method::options || method == Method::get_parameter || method == Method::set_parameter || moves;
    Response response{.status = known                        ? 200
                                : method == Method::redirect ? 400
                                                             : 501,
                      .reason = {},
                      .version = {},
                      .headers = {},
                      .body = {}};
    if (const auto cseq = request.headers.get("CSeq")) response.headers.add("CSeq", *cseq);
    if (method == Method::options) response.headers.add("Public", "OPTIONS, GET_PARAMETER, SET_PARAMETER, REDIRECT");
    outputs_.push_back(client::Send{write(response)});
    if (moves && step_ != Step::teardown) redirect(now, *to);
}

}  // namespace penstock::rtsp
