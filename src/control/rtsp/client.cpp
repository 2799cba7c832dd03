// Requests and time; what the answers say is in answers.cpp.
#include "control/rtsp/client.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace penstock::rtsp {

void Client::start(Instant now) {
    step_ = Step::connecting;
    deadline_ = now + kConnectTime;
    outputs_.push_back(client::Connect{location_.host, location_.port, location_.tls});
}

void Client::connected(Instant now, const Ip& server) {
    if (step_ != Step::connecting) return;
    connected_ = true;
    server_ = server;
    step_ = Step::options;
    request(now, Method::options, location_.url);
}

void Client::disconnected(Instant, std::string_view why) {
    if (ended()) return;
    const bool connecting = step_ == Step::connecting, leaving = step_ == Step::teardown;
    connected_ = false;
    if (leaving) return over({}, "");
    over(connecting ? Failure::unreachable : Failure::closed,
         connecting ? std::string(why) : fmt::format("the server closed the connection ({})", why));
}

void Client::receive(Instant now, std::span<const std::byte> bytes) {
    if (!connected_) return;
    parser_.receive(bytes);
    work(now);
    if (parser_.waiting() > kMostPipelined) over(Failure::malformed, "it sends and sends before it is asked");
}

// What comes while control chooses waits: so nothing depends on how the bytes were cut.
void Client::work(Instant now) {
    while (connected_ && step_ != Step::choosing && step_ != Step::ready) {
        auto message = parser_.next();
        if (!message) return over(Failure::malformed, fmt::format("it sent no RTSP: {}", message.error().why));
        if (!*message) return;
        std::visit(
            [&](const auto& m) {
                if constexpr (std::is_same_v<std::decay_t<decltype(m)>, Frame>) {
                    on(m);
                } else {
                    on(now, m);
                }
            },
            **message);
    }
}

void Client::expire(Instant now) {
    if (deadline_ && now >= *deadline_) {
        if (step_ == Step::teardown) return over({}, "");
        if (step_ == Step::connecting)
            return over(Failure::unreachable, fmt::format("no connection to {}:{} within {} s", location_.host,
                                                          location_.port, kConnectTime / std::chrono::seconds(1)));
        return over(Failure::timeout, fmt::format("no answer to {} within {} s", name(asked_->method),
                                                  kAnswerTime / std::chrono::seconds(1)));
    }
    if (step_ == Step::playing && next_keepalive_ && now >= *next_keepalive_ && !asked_)
        request(now, keepalive_by_, whole_);
}

void Client::set_up(Instant now, std::vector<Wanted> tracks) {
    if (step_ != Step::choosing) return;
    if (tracks.empty()) return over(Failure::no_media, "it describes no track that can be forwarded");
    wanted_ = std::move(tracks);
    step_ = Step::setup;
    next_track(now);
    work(now);
}

// Asks for the first track that is not granted.
void Client::next_track(Instant now) {
    const size_t track = granted_.size();
    if (track == wanted_.size()) {
        step_ = Step::ready;
        return outputs_.push_back(client::Granted{granted_});
    }
    Transport transport;
    transport.mode.clear();  // PLAY is what it means without; old cameras do not know the word
    switch (settings_.way) {
        case Way::udp: transport.client_port = wanted_[track].client_port; break;
        case Way::multicast: transport.multicast = true; break;
        case Way::tcp:
            transport.lower = Lower::tcp;
            transport.interleaved = Pair{static_cast<uint16_t>(2 * track), static_cast<uint16_t>(2 * track + 1)};
    }
    Headers headers;
    headers.add("Transport", write(transport));
    request(now, Method::setup, control_of(description_, base_, wanted_[track].media), std::move(headers));
}

void Client::play(Instant now) {
    if (step_ != Step::ready) return;
    step_ = Step::play;
    Headers headers;
    headers.add("Range", "npt=0.000-");
    request(now, Method::play, whole_, std::move(headers));
    work(now);
}

void Client::stop(Instant now) {
    if (ended() || step_ == Step::teardown) return;
    if (!connected_ || session_.empty()) return over({}, "");
    step_ = Step::teardown;
    request(now, Method::teardown, whole_);
}

void Client::give_up(Instant now, Failure failure, std::string why) {
    if (ended() || step_ == Step::teardown) return;
    verdict_ = client::Over{failure, std::move(why), {}};
    stop(now);
}

void Client::request(Instant now, Method method, const std::string& url, Headers headers) {
    asked_ = Asked{method, url, std::move(headers), 0, 0};
    repeat(now);
}

// Sends what is asked, for the first time or with another proof.
void Client::repeat(Instant now) {
    Request r{
        .method = std::string(name(asked_->method)), .url = asked_->url, .version = {}, .headers = {}, .body = {}};
    asked_->cseq = ++cseq_;
    r.headers.add("CSeq", std::to_string(cseq_));
    r.headers.add("User-Agent", settings_.software);
    if (const std::string proof = authorization(); !proof.empty()) {
        r.headers.add("Authorization", proof);
        asked_->proofs++;
    }
    if (!session_.empty()) r.headers.add("Session", session_);
    if (asked_->method == Method::describe) r.headers.add("Accept", "application/sdp");
    for (const auto& [name, value] : asked_->headers) r.headers.add(name, value);
    deadline_ = now + (asked_->method == Method::teardown ? kTeardownTime : kAnswerTime);
    next_keepalive_ = now + keepalive_;  // any request keeps the session alive
    outputs_.push_back(client::Send{write(r)});
}

void Client::forget_connection() {
    connected_ = false;
    parser_ = {};
    asked_.reset();
    deadline_.reset();
    next_keepalive_.reset();
}

void Client::over(std::optional<Failure> failure, std::string why, std::optional<Duration> retry_after) {
    if (ended()) return;
    step_ = Step::over;
    forget_connection();
    outputs_.push_back(client::Close{});
    outputs_.push_back(verdict_ ? std::move(*verdict_) : client::Over{failure, std::move(why), retry_after});
}

std::optional<client::Output> Client::poll() {
    if (outputs_.empty()) return std::nullopt;
    auto output = std::move(outputs_.front());
    outputs_.pop_front();
    return output;
}

}  // namespace penstock::rtsp
