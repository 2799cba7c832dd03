#pragma once
// Tracks as the model would compile them, for tests of the data plane: an RTP flow, legs and states.
#include <memory>
#include <vector>

#include "flow/flow.hpp"
#include "rtp/fec/st2022.hpp"
#include "support/packet_builder.hpp"

namespace penstock::test {

// A copy to `receiver` by port `tx`, whose own address is .1 of the receiver's network.
inline flow::LegPlan leg_to(std::string_view receiver, uint16_t tx, uint16_t vlan = 0) {
    flow::LegPlan plan;
    plan.to = endpoint(receiver);
    plan.hop = {.port = tx,
                .mac = mac("02:00:00:00:01:20"),
                .source = ip(plan.to.ip.is_v4() ? "10.0.1.1" : "fd01::1"),
                .mtu = 1500};
    plan.from = mac("02:00:00:00:01:01");
    plan.from_port = 20000;
    plan.rtcp_port = static_cast<uint16_t>(plan.to.port + 1);
    plan.vlan = vlan;
    return plan;
}

struct TrackPlan {
    flow::Key at{ip("10.0.0.1"), 20000, 0};
    std::vector<flow::LegPlan> legs;
    uint32_t shareable = 0;
    std::vector<flow::Shard> shards = {};  // empty: the owner serves all
    uint16_t owner = 0;
    uint8_t payload_type = flow::Flow::kAnyPayloadType;
    std::shared_ptr<flow::MergeState> merge = nullptr;
    bool second_path = false;
    std::shared_ptr<const flow::Fec> fec = nullptr;
    rtp::fec::Carriage repair{.payload_type = flow::Flow::kAnyPayloadType};  // among the media when it has a type
    uint16_t rx_port = flow::Flow::kAnyPort;
    bool has_sender = false;
    Ip sender = {};
};

struct Track {
    std::shared_ptr<flow::PathState> path = std::make_shared<flow::PathState>();
    std::shared_ptr<flow::SampledLatency> latency = std::make_shared<flow::SampledLatency>();
    std::vector<std::shared_ptr<flow::LegState>> legs;
    flow::FlowPtr rtp;
    std::vector<flow::FlowPtr> repair;  // when there is a decoder

    std::vector<flow::FlowPtr> flows() const {
        std::vector<flow::FlowPtr> all{rtp};
        all.insert(all.end(), repair.begin(), repair.end());
        return all;
    }
};

inline Track make_track(const TrackPlan& plan) {
    struct Whole {
        flow::OwnRendition rendition;
        flow::Flow::Extras extras;
        flow::Held held;
        std::vector<flow::Flow> all;
        std::span<const flow::Flow> flows;
    };
    const auto whole = std::make_shared<Whole>();
    Track track;
    flow::OwnRendition& rendition = whole->rendition;
    for (const flow::LegPlan& leg : plan.legs) {
        track.legs.push_back(std::make_shared<flow::LegState>());
        rendition.add(leg, whole->held.add(track.legs.back()));
    }
    rendition.shards = plan.shards;
    if (plan.shards.empty())
        rendition.shards.push_back({plan.owner, 0, static_cast<uint32_t>(rendition.legs.size()), plan.shareable});
    flow::Flow& f = whole->all.emplace_back();
    f.key = plan.at;
    f.owner = plan.owner;
    f.payload_type = plan.payload_type;
    f.rx_port = plan.rx_port;
    f.has_sender = plan.has_sender;
    f.sender = plan.sender;
    track.path->make_extras();
    f.path = whole->held.add(track.path);
    f.merge = whole->held.add(plan.merge);
    f.second_path = plan.second_path;
    f.two_paths = plan.merge != nullptr;
    f.latency = whole->held.add(track.latency);
    f.spread = rendition.shards.size() > 1;
    f.legs = rendition.legs.data();
    f.leg_count = rendition.shards[0].count;
    f.shareable = rendition.shards[0].shareable;
    f.needs_checksum = rendition.needs_checksum;
    whole->extras.fec = whole->held.add(plan.fec);
    f.more = &whole->extras;
    f.has_fec = plan.fec != nullptr;
    f.repair = plan.repair;
    f.rendition = &rendition;
    if (plan.fec && plan.fec->decoder)
        for (const uint16_t port : {rtp::fec::kColumnPort, rtp::fec::kRowPort}) {
            flow::Flow repair = whole->all[0];
            repair.kind = flow::Kind::repair;
            repair.key.port = static_cast<uint16_t>(repair.key.port + port);
            whole->all.push_back(repair);
        }
    whole->flows = whole->all;
    std::vector<flow::FlowPtr> flows;
    flow::share({whole, &whole->flows}, flows);
    track.rtp = std::move(flows[0]);
    track.repair.assign(flows.begin() + 1, flows.end());
    return track;
}

// A copy that may be altered, and holds what the original does.
inline std::shared_ptr<flow::Flow> altered(const flow::FlowPtr& original) {
    struct Altered {
        flow::Flow flow;
        flow::Flow::Extras extras;
        flow::FlowPtr original;
    };
    const auto copy = std::make_shared<Altered>(Altered{*original, *original->more, original});
    copy->flow.more = &copy->extras;
    return {copy, &copy->flow};
}
// Of such a copy.
inline flow::Flow::Extras& extras_of(flow::Flow& altered) { return const_cast<flow::Flow::Extras&>(*altered.more); }

}  // namespace penstock::test
