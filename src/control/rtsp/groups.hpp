#pragma once
// Viewers by multicast: a track has one leg to a group of its own, which is there from the first SETUP to the end of
// the last session, and sent while one of them plays. Here is which groups are taken, and who shares which leg.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/address.hpp"
#include "control/rtsp/session.hpp"

namespace penstock::rtsp {

class Groups {
public:
    using LegId = uint64_t;  // the caller's

    // The group with the lowest address of the network first: at most 65536 of them are given.
    explicit Groups(const Prefix& of)
        : of_(of.ip), taken_(size_t{1} << std::min((of.ip.is_v4() ? 32 : 128) - of.length, 16)) {}

    // A group that is free and that `usable` agrees to. They go round, so that who has not left one yet does not see
    // what the next track is.
    template <class Usable>
    std::optional<Ip> take(Usable usable) {
        for (size_t i = 0; i < taken_.size(); i++) {
            const size_t number = (next_ + i) % taken_.size();
            const Ip group = at(number);
            if (taken_[number] || !usable(group)) continue;
            taken_[number] = true;
            next_ = number + 1;
            return group;
        }
        return std::nullopt;
    }
    void give_back(const Ip& group) { taken_[number_of(group)] = false; }

    // A leg is known from its first session to its last one.
    bool has(LegId leg) const { return legs_.contains(leg); }
    void join(LegId leg, SessionId session) { legs_[leg].emplace(session, false); }
    // Whether that was the last one.
    bool leave(LegId leg, SessionId session) {
        const auto found = legs_.find(leg);
        if (found == legs_.end()) return false;
        found->second.erase(session);
        if (!found->second.empty()) return false;
        legs_.erase(found);
        return true;
    }
    void play(LegId leg, SessionId session, bool playing) { legs_.at(leg).at(session) = playing; }
    // Whether somebody plays: sessions pause each for itself.
    bool sent(LegId leg) const {
        return std::ranges::any_of(legs_.at(leg), [](const auto& session) { return session.second; });
    }
    std::vector<SessionId> sessions(LegId leg) const {
        std::vector<SessionId> all;
        if (const auto found = legs_.find(leg); found != legs_.end())
            for (const auto& [session, playing] : found->second) all.push_back(session);
        return all;
    }

    size_t taken() const { return static_cast<size_t>(std::ranges::count(taken_, true)); }
    size_t size() const noexcept { return taken_.size(); }

private:
    Ip at(size_t number) const {
        auto bytes = of_.bytes();
        const size_t low = (last_two(bytes) & ~(taken_.size() - 1)) | number;
        bytes[14] = static_cast<std::byte>(low >> 8);
        bytes[15] = static_cast<std::byte>(low);
        return Ip::v6(bytes);
    }
    size_t number_of(const Ip& group) const { return last_two(group.bytes()) & (taken_.size() - 1); }
    static size_t last_two(const std::array<std::byte, 16>& bytes) {
        return std::to_integer<size_t>(bytes[14]) << 8 | std::to_integer<size_t>(bytes[15]);
    }

    Ip of_;
    std::vector<bool> taken_;  // by number
    size_t next_ = 0;
    std::map<LegId, std::map<SessionId, bool>> legs_;  // who shares it, and whether he plays
};

}  // namespace penstock::rtsp
