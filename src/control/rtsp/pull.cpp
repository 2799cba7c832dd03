#include "control/rtsp/pull.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace penstock::rtsp {

void Pull::start(Instant now) {
    wanted_ = true;
    if (!client_ && !next_) {  // one that is being torn down is followed by another
        if (refused_ && now < *refused_) {
            next_ = refused_;
        } else {
            attempt(now);
        }
    }
    note(now);
}

void Pull::stop(Instant now) {
    wanted_ = false;
    next_.reset();
    if (client_) client_->stop(now);
    note(now);
}

void Pull::attempt(Instant now) {
    next_.reset();
    played_.reset();
    heard_.reset();
    if (tcp_until_ && now >= *tcp_until_) tcp_until_.reset();
    switch (settings_.reach) {
        case Reach::automatic: way_ = tcp_until_ || settings_.location.tls ? Way::tcp : Way::udp; break;
        case Reach::udp: way_ = Way::udp; break;
        case Reach::tcp: way_ = Way::tcp; break;
        case Reach::multicast: way_ = Way::multicast; break;
    }
    client_ = std::make_unique<Client>(ClientSettings{settings_.location, way_, settings_.software}, random_);
    facts_.connects++;
    facts_.way = way_;
    client_->start(now);
}

void Pull::connected(Instant now, const Ip& server) {
    if (client_) client_->connected(now, server);
}
void Pull::disconnected(Instant now, std::string_view why) {
    if (client_) client_->disconnected(now, why);
}
void Pull::receive(Instant now, std::span<const std::byte> bytes) {
    if (client_) client_->receive(now, bytes);
}
void Pull::set_up(Instant now, std::vector<Wanted> tracks) {
    if (client_) client_->set_up(now, std::move(tracks));
}
void Pull::play(Instant now) {
    if (client_) client_->play(now);
}
void Pull::give_up(Instant now, Failure failure, std::string why) {
    if (client_) client_->give_up(now, failure, std::move(why));
}

void Pull::media(Instant now) { heard_ = now; }

void Pull::expire(Instant now) {
    if (next_ && now >= *next_) attempt(now);
    if (client_) client_->expire(now);
    if (playing()) look(now);
    note(now);
}

// Whether media comes as it should.
void Pull::look(Instant now) {
    if (!played_) played_ = now;
    const Instant since = heard_ ? std::max(*heard_, *played_) : *played_;
    const bool fresh = !heard_ || *heard_ < *played_;
    const Duration patience = fresh && way_ == Way::udp ? kFirstPacketTime : kSilence;
    if (now - since >= patience)
        return client_->give_up(
            now, Failure::no_packets,
            fmt::format("nothing arrives by {} for {} s", name(way_), patience / std::chrono::seconds(1)));
    if (!fresh && now - *played_ >= kSettled) {
        failed_ = refusals_ = 0;
        facts_.tries = 0;
    }
}

std::optional<client::Output> Pull::poll(Instant now) {
    if (!client_) return std::nullopt;
    auto output = client_->poll();
    if (!output) return std::nullopt;
    if (const auto* over = std::get_if<client::Over>(&*output)) ended(now, *over);
    note(now);
    return output;
}

void Pull::ended(Instant now, const client::Over& over) {
    client_.reset();
    if (over.failure) {
        facts_.failure = over.failure;
        facts_.why = over.why;
        facts_.failures[static_cast<size_t>(*over.failure)]++;
        facts_.tries++;
    }
    if (!wanted_) return;
    if (!over.failure) {  // stopped, and wanted again meanwhile
        next_ = now;
        return;
    }
    const bool other_way = settings_.reach == Reach::automatic &&
                           (*over.failure == Failure::transport || (*over.failure == Failure::no_packets && !heard_));
    // By TCP at once; from TCP back to UDP after a pause as after any failure, or the two would take turns for ever.
    if (other_way && way_ == Way::udp) {
        tcp_until_ = now + kTcpRemembered;
        next_ = now;
        return;
    }
    if (other_way) tcp_until_.reset();
    next_ = now + std::max(pause(*over.failure), std::min(over.retry_after.value_or(Duration::zero()), kLongestWish));
    if (*over.failure == Failure::unauthorized) refused_ = next_;
}

Duration Pull::pause(Failure failure) {
    const bool refused = failure == Failure::unauthorized;
    const Duration first = refused ? kFirstRefusedPause : kFirstPause;
    const Duration longest = refused ? kLongestRefusedPause : kLongestPause;
    unsigned& times = refused ? refusals_ : failed_;
    const Duration whole = std::min(longest, first * (1u << std::min(times, 10u)));
    times++;
    return whole / 2 + whole / 2 * static_cast<int64_t>(random_() % 1024) / 1024;
}

void Pull::note(Instant now) {
    facts_.next = next_;
    const std::string_view state = client_
                                       ? wanted_ || client_->step() == Step::over ? name(client_->step()) : "stopping"
                                   : next_ ? "waiting"
                                           : "idle";
    if (state == facts_.state) return;
    facts_.state = state;
    facts_.since = now;
}

}  // namespace penstock::rtsp
