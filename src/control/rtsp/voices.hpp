#pragma once
// Which of several sessions at one address is heard in a group. Their players have address and port in common, and
// differ by the SSRC of their reports, which RTSP does not tell: each session is given the first one that is nobody's.
#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "control/rtsp/session.hpp"
#include "flow/participants.hpp"

namespace penstock::rtsp {

class Voices {
public:
    using Voice = flow::Participant::Voice;

    void join(SessionId session) { all_.push_back({session, {}}); }
    void leave(SessionId session) {
        std::erase_if(all_, [&](const One& one) { return one.session == session; });
    }

    bool empty() const noexcept { return all_.empty(); }

    // Sessions that said something since the last look, by all that is heard at the address.
    std::vector<SessionId> look(std::span<const Voice> voices) {
        std::vector<SessionId> heard;
        std::map<uint32_t, uint64_t> packets;
        for (const Voice& voice : voices) {
            packets[voice.ssrc] = voice.packets;
            const auto before = packets_.find(voice.ssrc);
            if (before != packets_.end() && before->second == voice.packets) continue;
            if (One* const one = owner(voice.ssrc)) {
                one->ssrc = voice.ssrc;
                heard.push_back(one->session);
            }
        }
        packets_ = std::move(packets);
        return heard;
    }
    std::optional<uint32_t> ssrc(SessionId session) const {
        const auto one = std::ranges::find(all_, session, &One::session);
        return one == all_.end() ? std::nullopt : one->ssrc;
    }

private:
    struct One {
        SessionId session;
        std::optional<uint32_t> ssrc;
    };
    One* owner(uint32_t ssrc) {
        auto one = std::ranges::find(all_, std::optional(ssrc), &One::ssrc);
        if (one == all_.end()) one = std::ranges::find(all_, std::optional<uint32_t>(), &One::ssrc);
        if (one == all_.end() && all_.size() == 1) one = all_.begin();  // it has changed its SSRC
        return one == all_.end() ? nullptr : &*one;
    }

    std::vector<One> all_;                  // in the order they came
    std::map<uint32_t, uint64_t> packets_;  // by SSRC, at the last look
};

}  // namespace penstock::rtsp
