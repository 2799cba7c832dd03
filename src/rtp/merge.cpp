#include "rtp/merge.hpp"

#include <cstdlib>

namespace penstock::rtp {
namespace {

int distance(uint16_t a, uint16_t b) noexcept { return std::abs(static_cast<int16_t>(static_cast<uint16_t>(a - b))); }

}  // namespace

bool Merge::recovered(uint16_t sequence, uint32_t timestamp) noexcept {
    const int ahead = ahead_of_highest(sequence);
    // What FEC recovers is older than what came last, and young enough for its own window.
    if (!started() || ahead > 0 || ahead <= -static_cast<int>(kWindow)) return true;
    Slot& slot = slot_at(ahead);
    if ((slot.when & kCame) != 0) return false;
    slot = {slot.when | kCame, timestamp};
    return true;
}

// A packet that is not of the life that is followed, as far as can be told, or lies out of reach.
Arrival Merge::elsewhere(unsigned path, Arrivals& arrivals, const Packet& packet, uint64_t now) noexcept {
    if (!started()) return restart(path, arrivals, packet, now);
    if (packet.ssrc != ssrc_[path] && twin(path, packet, now))
        return take(path, arrivals, packet.sequence, packet.timestamp, packet.ssrc, now);

    Apart& mine = apart_[path];
    const auto step = static_cast<uint16_t>(packet.sequence - mine.last.sequence);
    const bool goes_on = mine.run != 0 && packet.ssrc == mine.last.ssrc && step != 0 && step <= kMaxDropout;
    mine.run = goes_on ? mine.run + 1 : 1;
    if (mine.run == 1) mine.since = now;
    mine.last = packet;
    if (mine.run == 1 || now - mine.probe_at > kLong) {
        mine.probe = packet;
        mine.probe_at = now;
    }
    // A stray packet of the same source moves nothing (RFC 3550 appendix A.1, bad_seq), another source is believed at
    // once. Both only where the other path has nothing against it. Of a source that was left just now some packets are
    // late: it is back where they go on one by one, by both paths.
    const Apart& other = apart_[path ^ 1];
    const bool left = left_just_now(packet.ssrc, now), late = is_late(path, packet);
    const bool alone = last_[path ^ 1] == 0 || now - last_[path ^ 1] > (left ? kLong : kSilent);
    const bool believed = left ? mine.run > 1 && step == 1 && (alone || other.run > 1)
                               : packet.ssrc != ssrc_[path] || mine.run > 1 || other.run > 1;
    // A path that was late already while the other one went on is so still.
    const bool lags = late && mine.since <= last_[path ^ 1];
    if (believed && ((alone && !lags) || agrees(path, packet))) return restart(path, arrivals, packet, now);
    probing_ = true;
    if (late) return arrivals.late.add(), Arrival::late;
    return arrivals.apart.add(), Arrival::apart;
}

// Of a number that lies further back than is remembered, or like a packet that came: as far as can be told it came
// late.
bool Merge::is_late(unsigned path, const Packet& packet) noexcept {
    if (packet.ssrc != ssrc_[path]) return false;
    const int ahead = ahead_of_highest(packet.sequence);
    return ahead <= -static_cast<int>(kWindow) || (ahead <= 0 && slot_at(ahead).timestamp == packet.timestamp);
}

bool Merge::left_just_now(uint32_t ssrc, uint64_t now) const noexcept {
    return left_at_ != 0 && now - left_at_ < kLong && (ssrc == left_[0] || ssrc == left_[1]);
}

// Another SSRC, and yet a copy of what the other path brought (RFC 7198): the same number and time.
bool Merge::twin(unsigned path, const Packet& packet, uint64_t now) noexcept {
    const int ahead = ahead_of_highest(packet.sequence);
    if (ahead > 0 || ahead <= -static_cast<int>(kWindow)) return false;
    const Slot& slot = slot_at(ahead);
    if ((slot.when & kCame) != came_by(path ^ 1) || slot.timestamp != packet.timestamp || no_copy(slot, ticks(now)))
        return false;
    ssrc_[path] = packet.ssrc;
    return true;
}

// Whether the other path is apart, too, and at the same place.
bool Merge::agrees(unsigned path, const Packet& packet) const noexcept {
    const Apart& other = apart_[path ^ 1];
    if (other.run == 0) return false;
    if (other.last.ssrc == packet.ssrc)
        return distance(other.last.sequence, packet.sequence) < static_cast<int>(kWindow);
    return other.probe.sequence == packet.sequence && other.probe.timestamp == packet.timestamp;
}

// A path that is apart was ahead with a copy of this packet, under another SSRC.
void Merge::compare_probe(unsigned of, const Packet& packet) noexcept {
    const Apart& apart = apart_[of];
    probing_ = apart_[0].run != 0 || apart_[1].run != 0;
    if (apart.run == 0 || apart.probe.ssrc == ssrc_[of]) return;
    if (apart.probe.sequence != packet.sequence || apart.probe.timestamp != packet.timestamp) return;
    ssrc_[of] = apart.probe.ssrc;
    apart_[of].run = 0;
}

// Follows the path. What the other one has of the new life goes along, under whichever SSRC.
Arrival Merge::restart(unsigned path, Arrivals& arrivals, const Packet& packet, uint64_t now) noexcept {
    const Apart& other = apart_[path ^ 1];
    if (started()) {
        for (; settled_ <= highest_; settled_++) judge(slot_of(settled_));
        left_ = ssrc_;
        left_at_ = now;
    }
    ssrc_[path ^ 1] = other.run != 0 && agrees(path, packet) ? other.last.ssrc : packet.ssrc;
    ssrc_[path] = packet.ssrc;
    out_ssrc_.set(packet.ssrc);
    highest_ = first_ = settled_ = uint64_t{0x10000} + packet.sequence;
    started_at_ = ticks(now);
    slot_of(highest_) = {started_at_ | came_by(path), packet.timestamp};
    apart_ = {};
    probing_ = false;
    last_[path] = now;
    arrivals.first.add();
    counters_.lives.add();
    return Arrival::first;
}

}  // namespace penstock::rtp
