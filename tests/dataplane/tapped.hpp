#pragma once
// A capture of a lab's workers, and what is in its rings.
#include <memory>
#include <utility>
#include <vector>

#include "dataplane/lab.hpp"
#include "support/media.hpp"

namespace penstock::test {

inline constexpr uint32_t kRate = 1'000'000;

// Taps for every worker of a lab. What is asked for is that state; no state: all drops.
class Tapped {
public:
    Tapped(Lab& lab, flow::CaptureFilter::What what, std::vector<std::shared_ptr<const void>> states,
           uint32_t rate = kRate, size_t ring = 256, unsigned workers = 1)
        : lab_(lab) {
        auto filter = std::make_shared<flow::CaptureFilter>();
        filter->what = what;
        filter->anyone = states.empty();
        for (uint32_t i = 0; i < states.size(); i++) filter->add(states[i], 10 + i);
        filter->sort();
        for (unsigned w = 0; w < workers; w++) taps_.push_back(std::make_shared<flow::CaptureTap>(filter, rate, ring));
        publish(taps_);
    }
    void end() { publish({}); }
    flow::CaptureTap& tap(unsigned worker = 0) { return *taps_[worker]; }
    std::vector<std::weak_ptr<flow::CaptureTap>> forget() {
        std::vector<std::weak_ptr<flow::CaptureTap>> watched(taps_.begin(), taps_.end());
        taps_.clear();
        return watched;
    }

    struct Seen {
        uint32_t subject, original;
        uint16_t port;
        uint8_t drop;
        bool leaving;
        uint64_t time;
        Bytes frame;
    };
    std::vector<Seen> seen(unsigned worker = 0) {
        std::vector<Seen> all;
        for (auto& ring = tap(worker).ring(); const auto* r = ring.front(); ring.pop())
            all.push_back({r->subject,
                           r->original,
                           r->port,
                           r->drop,
                           r->leaving,
                           r->time,
                           {r->frame().begin(), r->frame().end()}});
        return all;
    }

private:
    void publish(std::vector<std::shared_ptr<flow::CaptureTap>> taps) {
        auto next = std::make_unique<flow::Capture>();
        next->number = ++number_;
        next->taps = std::move(taps);
        lab_.captures().publish(std::move(next));
    }
    Lab& lab_;
    std::vector<std::shared_ptr<flow::CaptureTap>> taps_;
    static inline uint64_t number_ = 0;
};

inline Track captured_track(std::vector<const char*> receivers, uint16_t tx = 1) {
    TrackPlan plan;
    plan.payload_type = 96;
    for (const char* receiver : receivers) plan.legs.push_back(leg_to(receiver, tx));
    return make_track(plan);
}

inline Bytes media_frame(unsigned sequence, size_t size = 200) {
    return packet().payload(rtp_packet({.sequence = sequence, .size = size})).build();
}

inline constexpr auto kNoDrop = static_cast<uint8_t>(flow::kDrops);
inline uint8_t code(flow::Drop drop) { return static_cast<uint8_t>(drop); }

}  // namespace penstock::test
