#include "viewers_over_tcp.hpp"

namespace penstock {

using rtsp::Interleaver;

bool ViewersOverTcp::send(const rtsp::Send& send) {
    if (!adopted_.contains(send.to)) return false;
    sender_->ask([to = send.to, words = send.bytes](Interleaver& i, Instant) { i.send(to, words); });
    return true;
}

bool ViewersOverTcp::close(rtsp::ConnectionId connection) {
    if (!adopted_.contains(connection)) return false;
    sender_->ask([connection](Interleaver& i, Instant) { i.close(connection); });
    return true;
}

void ViewersOverTcp::disconnected(rtsp::ConnectionId connection) {
    if (adopted_.erase(connection) != 0) sender_->forget(connection);
}

Result<void> ViewersOverTcp::start() {
    if (sender_) return {};
    auto sender = Sender::open(take_);
    if (!sender) return std::unexpected(std::move(sender.error()));
    sender_ = std::move(*sender);
    events_ = loop_.watch(sender_->descriptor(), [this] { listen(); });
    return {};
}

void ViewersOverTcp::adopt(rtsp::ConnectionId connection) {
    if (adopted_.contains(connection)) return;
    if (auto given = tcp_->hand_over(connection)) {
        adopted_.insert(connection);
        sender_->adopt(connection, std::move(given->sink), std::move(given->unsent));
    }
}

void ViewersOverTcp::prepare(Interleaver::Plan plan) {
    adopt(plan.connection);
    firsts_[plan.session].clear();
    sender_->ask([plan = std::move(plan)](Interleaver& i, Instant now) { i.prepare(now, plan); });
}

void ViewersOverTcp::begin(rtsp::SessionId session) {
    if (firsts_.contains(session)) sender_->ask([session](Interleaver& i, Instant) { i.begin(session); });
}

void ViewersOverTcp::halt(rtsp::SessionId session) {
    if (firsts_.contains(session)) sender_->ask([session](Interleaver& i, Instant) { i.halt(session); });
}

void ViewersOverTcp::leave(rtsp::SessionId session) {
    if (firsts_.erase(session) != 0) sender_->ask([session](Interleaver& i, Instant) { i.leave(session); });
}

std::optional<Interleaver::First> ViewersOverTcp::first(rtsp::SessionId session, uint64_t feed) const {
    const auto of = firsts_.find(session);
    if (of == firsts_.end()) return std::nullopt;
    const auto first = of->second.find(feed);
    return first == of->second.end() ? std::nullopt : std::optional{first->second};
}

void ViewersOverTcp::listen() {
    for (const Interleaver::Event& event : sender_->events()) std::visit([this](const auto& e) { on(e); }, event);
}

void ViewersOverTcp::on(const Interleaver::First& first) {
    if (const auto of = firsts_.find(first.session); of != firsts_.end()) of->second[first.feed] = first;
}

}  // namespace penstock
