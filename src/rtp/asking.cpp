#include "rtp/asking.hpp"

#include <algorithm>
#include <utility>

namespace penstock::rtp {

// A gap, a late packet, one that came twice, another source.
void Asking::unusual(uint16_t sequence, uint32_t ssrc, uint64_t life, uint64_t now) noexcept {
    const bool anew = std::exchange(life_, life) != life && numbering_.started();
    const auto place = anew ? numbering_.restart(sequence, ssrc) : numbering_.place(sequence, ssrc);
    if (!place) return;
    if (place->restarted) return give_up_all();
    const uint64_t newest = numbering_.newest(), number = place->number;
    if (number <= newest) return came(number, now);
    uint64_t first = newest + 1;
    numbering_.advance(number);
    if (number - first > kMost) first = number - kMost;  // too many to be asked for in time
    const size_t more = number - first;
    if (missing_.size() + more > kMost) {
        const size_t oldest = missing_.size() + more - kMost;
        missing_.erase(missing_.begin(), missing_.begin() + static_cast<long>(oldest));
    }
    for (; first != number; first++) missing_.push_back({first, now, now + plan_.wait, 0, 0});
    next_ = std::min(next_, now + plan_.wait);
}

void Asking::came(uint64_t number, uint64_t now) noexcept {
    const auto at = std::ranges::lower_bound(missing_, number, {}, &Missing::number);
    if (at == missing_.end() || at->number != number) return;
    if (at->times != 0) counters_.recovered.add();
    if (at->times == 1) {  // of one that was asked for twice nobody knows which request it answers
        const uint64_t took = now - at->asked_at, before = counters_.round_trip.read();
        counters_.round_trip.set(before == 0 ? took : before - before / 8 + took / 8);
    }
    missing_.erase(at);
}

void Asking::mended(uint16_t sequence) noexcept {
    std::erase_if(missing_, [&](const Missing& m) { return static_cast<uint16_t>(m.number) == sequence; });
}

bool Asking::misses(uint16_t sequence) const noexcept {
    return std::ranges::find(missing_, sequence, [](const Missing& m) { return static_cast<uint16_t>(m.number); }) !=
           missing_.end();
}

void Asking::give_up_all() noexcept {
    missing_.clear();
    next_ = kNever;
}

uint64_t Asking::spacing() const noexcept {
    const uint64_t round_trip = counters_.round_trip.read();
    return round_trip == 0 ? kFirstSpacing : std::max(round_trip + round_trip / 2, kLeastSpacing);
}

size_t Asking::due(uint64_t now, std::span<Due> into) noexcept {
    size_t count = 0;
    uint64_t next = kNever;
    const auto settled = [&](Missing& m) {
        if (now - m.since >= plan_.deadline) return true;
        if (now >= m.next && count < into.size()) {
            // What would come too late is not worth the way.
            if (now + counters_.round_trip.read() >= m.since + plan_.deadline) {
                m.next = m.since + plan_.deadline;
            } else if (budget_.take(now, plan_.per_second)) {
                into[count++] = {static_cast<uint16_t>(m.number), ++m.times};
                counters_.asked.add();
                m.asked_at = now;
                m.next = now + spacing();
            } else {
                counters_.over_budget.add();
                m.next = now + kLeastSpacing;
            }
        }
        next = std::min({next, m.next, m.since + plan_.deadline});
        return false;
    };
    missing_.erase(std::remove_if(missing_.begin(), missing_.end(), settled), missing_.end());
    next_ = next;
    return count;
}

}  // namespace penstock::rtp
