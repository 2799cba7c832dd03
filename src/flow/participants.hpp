#pragma once
// Receivers that share one leg, which leads to a group: who of them is heard by RTCP. Anybody can send to a group, so
// only those addresses count that control has named, and of each a bounded number of SSRCs.
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/address.hpp"
#include "base/counter.hpp"

namespace penstock::flow {

// One address, which may have several players: they are told apart by their SSRCs. Written by the worker that owns the
// track, read by control.
class Participant {
public:
    static constexpr size_t kVoices = 8;
    static constexpr uint64_t kSilent = uint64_t{30} << 32;  // after which a place is another's; seconds, 32.32

    struct Voice {
        uint32_t ssrc = 0;
        uint64_t packets = 0;  // of RTCP, modulo 2^32
        uint64_t lost = 0;     // by its last report
    };

    // Whether there is a place for it: SSRCs can be made up, and who is heard keeps his.
    bool heard(uint32_t ssrc, uint64_t now) noexcept {
        Place* const place = place_of(ssrc, now);
        if (place == nullptr) return false;
        const uint64_t known = place->said.read();
        const bool same = known != 0 && known >> 32 == ssrc;
        uint32_t packets = same ? static_cast<uint32_t>(known) + 1 : 1;
        if (packets == 0) packets = 1;
        if (!same) place->lost.set(0);
        place->said.set(uint64_t{ssrc} << 32 | packets);
        place->at = now;
        return true;
    }
    void lost(uint32_t ssrc, uint64_t packets) noexcept {
        for (Place& place : places_)
            if (const uint64_t said = place.said.read(); said != 0 && said >> 32 == ssrc) place.lost.set(packets);
    }
    std::vector<Voice> voices() const {
        std::vector<Voice> all;
        for (const Place& place : places_)
            if (const uint64_t said = place.said.read(); said != 0)
                all.push_back({static_cast<uint32_t>(said >> 32), said & UINT32_MAX, place.lost.read()});
        return all;
    }

private:
    struct Place {
        Counter said;  // SSRC and packets in one word, so that no reader takes one's packets for another's
        Counter lost;
        uint64_t at = 0;  // the worker's own
    };
    Place* place_of(uint32_t ssrc, uint64_t now) noexcept {
        Place* other = nullptr;
        for (Place& place : places_) {
            const uint64_t said = place.said.read();
            if (said != 0 && said >> 32 == ssrc) return &place;
            if (said == 0 || now - place.at >= kSilent)
                if (other == nullptr || place.at < other->at) other = &place;
        }
        return other;
    }
    std::array<Place, kVoices> places_;
};

// Of one group. Immutable once it is in a table.
struct Participants {
    struct Entry {
        Ip ip;
        std::shared_ptr<Participant> is;
    };
    std::vector<Entry> all;  // by address

    Participant* find(const Ip& ip) const noexcept {
        const auto found = std::ranges::lower_bound(all, ip, {}, &Entry::ip);
        return found != all.end() && found->ip == ip ? found->is.get() : nullptr;
    }
};

}  // namespace penstock::flow
