// What a track of the model needs to send packets again, to ask for them again, and to let them wait for each other.
#include <algorithm>

#include "control/mesh/mesh.hpp"

namespace penstock::mesh {
namespace {

// Of the workers' clock: seconds as 32.32 fixed point.
uint64_t ticks(std::chrono::milliseconds time) { return (static_cast<uint64_t>(time.count()) << 32) / 1000; }

}  // namespace

void Mesh::take_retransmission(Track& track, const Track* before) const {
    if (const auto& feedback = track.config.feedback; feedback && feedback->retransmit != 0) {
        const auto& known = before ? before->extras().ring : nullptr;
        const bool fits = known && before->config.feedback->retransmit == feedback->retransmit;
        track.make_extras().ring = fits ? known : std::make_shared<flow::PacketRing>(feedback->retransmit);
    }
    const auto asked =
        std::ranges::find_if(track.config.sources, [](const config::Source& s) { return s.nack.has_value(); });
    if (asked == track.config.sources.end()) return;
    const rtp::AskingPlan plan{ticks(asked->nack->wait), ticks(asked->nack->deadline), asked->nack->budget};
    const auto& known = before ? before->extras().asking : nullptr;
    track.make_extras().asking = known && known->plan() == plan ? known : std::make_shared<rtp::Asking>(plan);
}

// With another delay there is another buffer; what waits in the former leaves first.
void Mesh::take_reorder(Track& track, const Track* before) const {
    const uint64_t delay = ticks(track.config.delay);
    const auto& known = before ? before->extras().reorder : nullptr;
    if (!known && delay == 0) return;
    Track::Extras& extras = track.make_extras();
    if (known && known->delay() == delay) {
        extras.reorder = known;
        return;
    }
    extras.former_reorder = known;
    if (delay != 0) extras.reorder = std::make_shared<flow::Reorder>(delay);
}

// Where not all leaves as it came.
void Mesh::take_sent(Track& track, const Track* before) const {
    if (!track.extras().merge && !track.extras().decoder && !track.extras().reorder) return;
    const auto& known = before ? before->extras().sent : nullptr;
    track.make_extras().sent = known ? known : std::make_shared<flow::Sent>();
}

std::shared_ptr<const flow::Delay> Mesh::delay_of(const Track& track) const {
    const Track::Extras& extras = track.extras();
    if (!extras.reorder && !extras.former_reorder) return nullptr;
    auto delay = std::make_shared<flow::Delay>();
    delay->reorder = delay->held.add(extras.reorder);
    delay->former = delay->held.add(extras.former_reorder);
    return delay;
}

// As they count who see last what brought a packet.
uint64_t Track::unrecovered() const {
    if (extras().merge) return extras().merge->counters().unrecovered.read();
    return extras().decoder ? extras().decoder->counters().unrecovered.read() : 0;
}

}  // namespace penstock::mesh
