#include "control/rtsp/interleaver.hpp"

#include <algorithm>
#include <cerrno>

namespace penstock::rtsp {

void Interleaver::adopt(ConnectionId id, std::shared_ptr<ByteSink> sink, std::string unsent) {
    Connection& c = connections_[id];
    c.id = id;
    c.sink = std::move(sink);
    c.out = std::move(unsent);
    counters_.connections.set(connections_.size());
    send_words(c);
}

void Interleaver::send(ConnectionId id, std::string_view words) {
    const auto found = connections_.find(id);
    if (found == connections_.end() || found->second.closing || found->second.broken) return;
    Connection& c = found->second;
    if (c.out.size() - c.sent + words.size() > kMostUnsent) return break_off(c);
    c.out += words;
    for (Player* player : c.players)
        if (player->phase == Phase::armed) {
            set_phase(*player, Phase::running);
            player->of->due = true;
            if (!player->of->waiting_since) player->of->waiting_since = Instant{};
        }
    send_words(c);
}

void Interleaver::close(ConnectionId id) {
    const auto found = connections_.find(id);
    if (found == connections_.end() || std::exchange(found->second.closing, true)) return;
    Connection& c = found->second;
    for (Player* player : c.players) set_phase(*player, Phase::halted);
    if (send_words(c)) events_.push_back(Flushed{id});
}

void Interleaver::forget(ConnectionId id) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    for (const Player* player : std::vector(found->second.players)) leave(player->session);
    connections_.erase(found);
    counters_.connections.set(connections_.size());
}

void Interleaver::writable(Instant now, ConnectionId id) {
    const auto found = connections_.find(id);
    if (found == connections_.end() || !std::exchange(found->second.blocked, false)) return;
    pump(now, found->second);
}

void Interleaver::prepare(Instant now, Plan plan) {
    const auto connection = connections_.find(plan.connection);
    if (connection == connections_.end() || connection->second.closing || connection->second.broken) return;
    flush(now);  // what is due to others is theirs alone
    auto before = players_.extract(plan.session);
    Player& player = players_[plan.session];
    player.session = plan.session;
    player.connection = &connection->second;
    for (auto& [lane, leg] : plan.lanes) {
        player.key.push_back(lane);
        player.legs.push_back(std::move(leg));
    }
    player.told.resize(player.key.size());
    player.positions.resize(2 * player.key.size());
    player.of = &rendition_of(now, player.key, plan.from_key_frame);
    player.connection->players.push_back(&player);
    player.of->players.push_back(&player);
    set_phase(player, Phase::prepared);
    place(player, player.of->rendition.entry(plan.from_key_frame));
    if (before) {  // not earlier: its rendition may be the same, which shall live on
        if (before.mapped().phase == Phase::running) go_on(before.mapped(), player.key);
        retire(before.mapped());
    }
    tell_firsts(player);
    counters_.renditions.set(shared_.size());
}

Interleaver::Shared& Interleaver::rendition_of(Instant now, const Key& key, bool with_key_frame) {
    FrameRing::Limits limits = limits_;
    if (shared_.size() >= kMostLarge) limits.largest = limits.smallest;
    const auto [found, fresh] = shared_.try_emplace(key, key, limits);
    Shared& shared = found->second;
    if (fresh)
        for (size_t i = 0; i < key.size(); i++) feeds_[key[i].feed].emplace_back(&shared, i);
    if (shared.active == 0 && with_key_frame && limits.largest > limits.smallest) fill(now, shared);
    return shared;
}

// Others may be watching the same pictures on other channels, or with other tracks: all they were sent since the last
// key frame is there for those who watch this one, too.
void Interleaver::fill(Instant now, Shared& to) {
    const std::vector<Lane>& lanes = to.rendition.lanes();
    const Shared* from = nullptr;
    for (const Lane& lane : lanes)
        for (const auto& [other, at] : feeds_.at(lane.feed))
            if (lane.codec != rtp::Codec::other && other->active != 0 && other->rendition.key_frame()) from = other;
    if (from == nullptr) return;
    const FrameRing& ring = from->rendition.ring();
    std::vector<std::byte> packet;
    for (uint64_t n = *from->rendition.key_frame(); n < ring.end(); n++) {
        const auto lane = std::ranges::find(lanes, from->rendition.lanes()[ring[n].lane / 2].feed, &Lane::feed);
        if (lane == lanes.end()) continue;
        packet.clear();
        for (const iovec& part : ring.rest(n, FrameRing::kHeader)) {
            const auto* bytes = static_cast<const std::byte*>(part.iov_base);
            packet.insert(packet.end(), bytes, bytes + part.iov_len);
        }
        to.rendition.put(now, static_cast<size_t>(lane - lanes.begin()), ring[n].lane % 2 != 0, packet,
                         from->rendition.restarts(ring[n].lane / 2));
    }
}

// One that plays goes on with fewer tracks. What it has not got of them becomes words; or it is lost, if that is too
// much.
void Interleaver::go_on(Player& before, const Key& with) {
    const FrameRing& ring = before.of->rendition.ring();
    Connection& c = *before.connection;
    if (before.lost_at || before.next < ring.first()) return account(before, ring.end());
    while (before.next < ring.end()) {
        const FrameRing::Frame& frame = ring[before.next];
        if (std::ranges::find(with, before.key[frame.lane / 2]) != with.end()) {
            if (c.out.size() - c.sent + frame.size > kMostUnsent) return account(before, ring.end());
            keep_rest(c, before, 0);
            note_sent(c, before, frame.size);
        } else {
            before.positions[frame.lane]++;
            before.next++;
        }
    }
}

void Interleaver::begin(SessionId session) {
    if (const auto found = players_.find(session); found != players_.end() && found->second.phase == Phase::prepared)
        set_phase(found->second, Phase::armed);
}

void Interleaver::halt(SessionId session) {
    if (const auto found = players_.find(session); found != players_.end()) set_phase(found->second, Phase::halted);
}

void Interleaver::leave(SessionId session) {
    if (auto player = players_.extract(session)) retire(player.mapped());
}

void Interleaver::retire(Player& player) {
    set_phase(player, Phase::halted);
    std::erase(player.connection->players, &player);
    std::erase(player.of->players, &player);
    if (player.of->players.empty()) {  // nobody has the rendition
        for (const Lane& lane : player.key) {
            auto& takers = feeds_.at(lane.feed);
            std::erase_if(takers, [&](const auto& taker) { return taker.first == player.of; });
            if (takers.empty()) feeds_.erase(lane.feed);
        }
        shared_.erase(player.key);
    }
    counters_.renditions.set(shared_.size());
}

void Interleaver::set_phase(Player& player, Phase phase) {
    const auto one_if = [](bool condition) { return condition ? size_t{1} : size_t{0}; };
    wanted_ += one_if(phase != Phase::halted);
    wanted_ -= one_if(player.phase != Phase::halted);
    player.of->preparing += one_if(phase == Phase::prepared);
    player.of->preparing -= one_if(player.phase == Phase::prepared);
    player.of->active += one_if(phase != Phase::halted);
    player.of->active -= one_if(player.phase != Phase::halted);
    if (player.of->active == 0 && player.phase != Phase::halted) player.of->rendition.clear();
    player.phase = phase;
}

void Interleaver::take(Instant now, uint64_t feed, bool rtcp, std::span<const std::byte> packet, uint64_t restarts) {
    counters_.packets.add();
    counters_.bytes.add(packet.size());
    const auto takers = feeds_.find(feed);
    if (takers == feeds_.end()) return counters_.unwanted.add();
    bool wanted = false;
    for (const auto& [shared, lane] : takers->second) {
        if (shared->active == 0) continue;
        wanted = true;
        shared->rendition.put(now, lane, rtcp, packet, restarts);
        shared->due |= shared->rendition.complete();
        if (!shared->waiting_since) shared->waiting_since = now;
        if (rtcp || shared->preparing == 0) continue;
        for (Player* player : shared->players)
            if (player->phase == Phase::prepared) tell_first(*player, lane, shared->rendition.ring().end() - 1);
    }
    if (!wanted) counters_.unwanted.add();
}

void Interleaver::flush(Instant now) {
    size_t ring_bytes = 0;
    for (auto& [key, shared] : shared_) {
        ring_bytes += shared.rendition.ring().capacity();
        if (!shared.waiting_since || (!shared.due && now - *shared.waiting_since < kGather)) continue;
        shared.waiting_since.reset();
        shared.due = false;
        for (Player* player : shared.players)
            if (player->phase == Phase::running) {
                pump(now, *player->connection);
                // Who does not read at all: what it loses is told while it does.
                if (player->phase == Phase::running) catch_up(now, *player);
            }
    }
    counters_.ring_bytes.set(ring_bytes);
}

std::optional<Interleaver::Event> Interleaver::poll() {
    if (events_.empty()) return std::nullopt;
    Event next = events_.front();
    events_.pop_front();
    return next;
}

// The player is at this frame now. Nothing is accounted for.
void Interleaver::place(Player& player, uint64_t number) {
    player.next = number;
    for (size_t row = 0; row < player.positions.size(); row++)
        player.positions[row] = player.of->rendition.before(number, static_cast<uint8_t>(row));
}

// Of what is there already.
void Interleaver::tell_firsts(Player& player) {
    const FrameRing& ring = player.of->rendition.ring();
    for (uint64_t n = player.next; n < ring.end(); n++)
        if (ring[n].lane % 2 == 0) tell_first(player, ring[n].lane / 2, n);
}

void Interleaver::tell_first(Player& player, size_t lane, uint64_t number) {
    if (player.told[lane]) return;
    player.told[lane] = true;
    const FrameRing::Frame& frame = player.of->rendition.ring()[number];
    events_.push_back(First{player.session, player.key[lane].feed, frame.sequence, frame.timestamp});
}

void Interleaver::pump(Instant now, Connection& c) {
    if (!send_words(c)) return;
    if (c.closing) return events_.push_back(Flushed{c.id});
    for (Player* player : c.players)
        if (player->phase == Phase::running && !send_frames(now, c, *player)) return;
}

// Whether nothing is left and frames may follow.
bool Interleaver::send_words(Connection& c) {
    while (c.sent < c.out.size()) {
        if (c.blocked || c.broken) return false;
        const iovec part{&c.out[c.sent], c.out.size() - c.sent};
        const ssize_t n = c.sink->write({&part, 1});
        counters_.writes.add();
        if (n == -EAGAIN) {
            c.blocked = true;
        } else if (n < 0) {
            break_off(c);
        } else {
            c.sent += static_cast<size_t>(n);
        }
    }
    if (c.out.capacity() > 4096) c.out = {};  // a long answer shall not cost memory for ever
    c.out.clear();
    c.sent = 0;
    if (c.broken) return false;
    if (c.sink->write({}) != -EAGAIN) return true;
    c.blocked = true;  // TLS holds what it has taken
    return false;
}

// Whether others of this connection may go on.
bool Interleaver::send_frames(Instant now, Connection& c, Player& player) {
    while (!c.blocked && !c.broken && catch_up(now, player)) {
        const auto parts = player.of->rendition.ring().bytes(player.next, kMostAtOnce);
        const ssize_t n = c.sink->write({parts.data(), parts[1].iov_len != 0 ? 2u : 1u});
        counters_.writes.add();
        if (n == -EAGAIN) {
            c.blocked = true;
        } else if (n < 0) {
            break_off(c);
        } else {
            note_sent(c, player, static_cast<size_t>(n));
            if (!send_words(c)) return false;
        }
    }
    return !c.blocked && !c.broken;
}

// Whether there is a frame to send. Who was overtaken by the ring goes on where it makes sense.
bool Interleaver::catch_up(Instant now, Player& player) {
    const Rendition& rendition = player.of->rendition;
    if (player.next < rendition.ring().first() && !player.lost_at) player.lost_at = now;
    if (player.lost_at) {
        auto again = rendition.re_entry(player.next);
        if (!again && now - *player.lost_at >= kWaitForKeyFrame) again = rendition.boundary();
        if (!again) return false;
        account(player, *again);
        player.lost_at.reset();
    }
    return player.next < rendition.ring().end();
}

// What lies between where the player is and `number` is lost to it: counted, leg by leg.
void Interleaver::account(Player& player, uint64_t number) {
    const std::vector<uint64_t> before = player.positions;
    place(player, number);
    for (size_t row = 0; row < before.size(); row++) {
        const uint64_t lost = player.positions[row] - before[row];
        player.legs[row / 2]->drop(flow::Drop::too_slow).add(static_cast<uint32_t>(lost));
    }
}

// Whole frames, and of one that was cut off the rest becomes words: it is out before anything else.
void Interleaver::note_sent(Connection& c, Player& player, size_t bytes) {
    const FrameRing& ring = player.of->rendition.ring();
    while (bytes != 0) {
        const FrameRing::Frame& frame = ring[player.next];
        player.legs[frame.lane / 2]->sent(frame.lane % 2 != 0, frame.size);
        counters_.frames.add();
        if (bytes < frame.size) keep_rest(c, player, bytes);
        bytes -= std::min<size_t>(bytes, frame.size);
        player.positions[frame.lane]++;
        player.next++;
    }
}

void Interleaver::keep_rest(Connection& c, const Player& player, size_t skip) {
    for (const iovec& part : player.of->rendition.ring().rest(player.next, skip))
        c.out.append(static_cast<const char*>(part.iov_base), part.iov_len);
}

void Interleaver::break_off(Connection& c) {
    if (std::exchange(c.broken, true)) return;
    for (Player* player : c.players) set_phase(*player, Phase::halted);
    events_.push_back(Broken{c.id});
}

}  // namespace penstock::rtsp
