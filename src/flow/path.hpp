#pragma once
// What changes while packets of one path of a track pass: as in state.hpp.
#include <atomic>
#include <memory>
#include <optional>

#include "base/address.hpp"
#include "flow/upstream.hpp"
#include "rtp/mdi.hpp"
#include "rtp/merge.hpp"
#include "rtp/reception.hpp"

namespace penstock::flow {

// Who sent the first packet. Written once by the worker that owns the track, read by control.
class FirstSender {
public:
    void note(const Ip& sender) noexcept {
        if (noted_.load(std::memory_order_relaxed)) [[likely]]
            return;
        sender_ = sender;
        noted_.store(true, std::memory_order_release);  // pairs with the load in read()
    }
    std::optional<Ip> read() const noexcept {
        if (!noted_.load(std::memory_order_acquire)) return std::nullopt;
        return sender_;
    }

private:
    Ip sender_;
    std::atomic<bool> noted_{false};
};

struct PathState {
    struct Extras {                // what few have
        rtp::Arrivals arrivals;    // of a track with a merge
        FirstSender first_sender;  // where Flow::tells_sender
        rtp::Mdi mdi;              // where Flow::constant_rate
    };

    std::unique_ptr<Extras> more;  // made by control before there is a flow that needs it
    Counter rtcp_packets;
    Counter rtcp_bytes;
    Counter byes;                          // by which the source said that it ends
    Counter ended_at;                      // gauge: of reception's packets, how many there were then
    alignas(16) rtp::Reception reception;  // the one that is written with every packet: see LineAllocator
    Upstream upstream;

    const Extras& extras() const noexcept {
        static const Extras kNone;
        return more ? *more : kNone;
    }
    Extras& make_extras() {
        if (!more) more = std::make_unique<Extras>();
        return *more;
    }

    void end() noexcept {  // the source says so, once or several times
        if (ended()) return;
        byes.add();
        ended_at.set(reception.counters().packets.read());
    }
    // It did, and nothing came since.
    bool ended() const noexcept { return byes.read() != 0 && ended_at.read() == reception.counters().packets.read(); }
};

}  // namespace penstock::flow
