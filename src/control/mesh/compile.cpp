// A track of the model becomes flows: for each path one for RTP, one for RTCP on the next port and, when the path
// brings FEC, one for each of its repair ports; all of them with the legs whose next hop is known.
#include <algorithm>
#include <set>
#include <tuple>

#include "control/mesh/mesh.hpp"

namespace penstock::mesh {
namespace {

enum class What : uint8_t { rtp, rtcp, repair, rows };

flow::LegPlan plan_of(const Output& output, const flow::NextHop& hop, const flow::PortInfo& port, uint16_t from,
                      What what) {
    flow::LegPlan plan;
    plan.hop = hop;
    plan.from = port.mac;
    plan.to = output.to.rtp;
    // Symmetric RTP (RFC 4961): a copy comes from the port on which we receive, so that its RTCP comes back there.
    plan.from_port = from;
    if (output.agreed) {
        plan.hop.source = output.agreed->from.ip;
        plan.from_port = output.agreed->from.port;
    }
    const uint16_t further = what == What::rtcp     ? (output.to.rtcp_mux ? 0 : config::kRtcpPort)
                             : what == What::repair ? output.to.fec->port
                             : what == What::rows   ? rtp::fec::kRowPort
                                                    : 0;
    plan.to.port = static_cast<uint16_t>(plan.to.port + further);
    plan.from_port = static_cast<uint16_t>(plan.from_port + further);
    if (what == What::rtcp && !output.to.rtcp_mux && output.agreed) plan.to.port = output.agreed->rtcp_port;
    plan.ttl = output.to.ttl.value_or(0);
    plan.dscp = output.to.dscp.value_or(flow::Leg::kKeep);
    plan.vlan = output.to.vlan;
    return plan;
}

// Receivers of media that are numbered anew are in a rendition of their own: Mesh::fec_of().
bool renumbered(const Output& output) { return output.to.fec && output.to.fec->code.carriage.among_media; }

}  // namespace

// The outputs, and the viewers that play, whose next hop is known, by the worker that serves them: the owner's first.
std::vector<Mesh::Part> Mesh::parts_of(const Track& track, bool with_joining) const {
    std::vector<Part> parts{{track.owner, {}, {}}};
    const auto add = [&](const Output& output) {
        const auto& hop = resolution(output.destination).hop;
        if (!hop) return;
        auto part = std::ranges::find(parts, output.worker, &Part::worker);
        if (part == parts.end()) part = parts.insert(part, {output.worker, {}, {}});
        (ports_[hop->port].multi_segment ? part->shareable : part->others).push_back(&output);
    };
    for (const Output& output : track.outputs) add(output);
    for (const Viewer* viewer : track.viewers)
        if (viewer->playing && !viewer->leg.over_tcp && (with_joining || !viewer->joining)) add(viewer->leg);
    return parts;
}

// The legs that this table brings to viewers share a record of its first packet.
void Mesh::note_first(Track& track) const {
    std::shared_ptr<FirstPackets> record;
    for (Viewer* viewer : track.viewers) {
        if (!viewer->wants_first || viewer->first || viewer->join || !resolution(viewer->leg.destination).hop) continue;
        if (!record) record = std::make_shared<FirstPackets>();
        viewer->first = record;
    }
    if (record) {
        if (track.first) track.first->later = record;
        track.first = std::move(record);
    } else if (track.first && track.first->packet.read()) {
        track.first.reset();  // nobody waits for it any more
    }
}

Mesh::Renditions Mesh::renditions_of(const Track& track) const {
    const auto build = [&](What what, const std::vector<Part>& parts) {
        auto rendition = std::make_shared<flow::Rendition>();
        for (const Part& part : parts) {
            flow::Shard shard{.worker = part.worker, .first = static_cast<uint32_t>(rendition->legs.size())};
            for (const auto* outputs : {&part.shareable, &part.others}) {
                for (const Output* output : *outputs) {
                    if (renumbered(*output)) continue;
                    shard.shareable += outputs == &part.shareable ? 1 : 0;
                    if (output->agreed) {
                        shard.viewers++;
                        shard.shareable_viewers += outputs == &part.shareable ? 1 : 0;
                    }
                    const flow::NextHop& hop = *resolution(output->destination).hop;
                    const auto& state = what == What::rtp ? output->rtp : output->rtcp;
                    const uint16_t from = track.config.sources.front().rtp.port;
                    rendition->legs.push_back(make_leg(plan_of(*output, hop, ports_[hop.port], from, what), state.get(),
                                                       rendition->long_headers));
                    rendition->states.push_back(state);
                    rendition->needs_checksum |= !output->to.rtp.ip.is_v4();
                }
            }
            shard.count = static_cast<uint32_t>(rendition->legs.size()) - shard.first;
            rendition->shards.push_back(shard);
        }
        return rendition;
    };
    const std::vector<Part> parts = parts_of(track, false);
    const bool some_join = std::ranges::any_of(track.viewers, &Viewer::joining);
    return {build(What::rtp, parts), build(What::rtcp, some_join ? parts_of(track, true) : parts)};
}

std::shared_ptr<const flow::Fec> Mesh::fec_of(const Track& track) const {
    static_assert(flow::Fec::kMaxRenditions == config::Track::kMaxCodes);
    auto fec = std::make_shared<flow::Fec>();
    fec->decoder = track.decoder.get();
    fec->states.push_back(track.decoder);
    const auto build = [&](flow::Rendition& rendition, const rtp::fec::Code& code, What what) {
        flow::Shard shard{track.owner, 0, 0, 0};
        for (const bool shareable : {true, false}) {
            for (const Output& output : track.outputs) {
                const auto& hop = resolution(output.destination).hop;
                if (!output.to.fec || output.to.fec->code != code || !hop ||
                    ports_[hop->port].multi_segment != shareable)
                    continue;
                const auto& state = what == What::rows   ? output.rows
                                    : what == What::rtp  ? output.rtp
                                    : what == What::rtcp ? output.rtcp
                                                         : output.repair;
                const uint16_t from = track.config.sources.front().rtp.port;
                rendition.legs.push_back(make_leg(plan_of(output, *hop, ports_[hop->port], from, what), state.get(),
                                                  rendition.long_headers));
                rendition.states.push_back(state);
                shard.shareable += shareable ? 1 : 0;
            }
        }
        shard.count = static_cast<uint32_t>(rendition.legs.size());
        rendition.shards.push_back(shard);
    };
    for (const Encoding& encoding : track.encodings) {
        const rtp::fec::Code& code = encoding.code;
        flow::RepairRenditions& repair = fec->repairs.emplace_back();
        repair.encoder = encoding.encoder.get();
        build(repair.repair, code, What::repair);
        if (code.carriage.scheme == rtp::fec::Scheme::st2022_1 && code.matrix.row_repair)
            build(repair.rows, code, What::rows);
        if (code.carriage.among_media) {
            build(repair.media, code, What::rtp);
            build(repair.rtcp, code, What::rtcp);
            repair.sent = encoding.sent.get();
            fec->states.push_back(encoding.sent);
        }
        fec->states.push_back(encoding.encoder);
        if (repair.repair.legs.empty()) {
            fec->repairs.pop_back();  // nobody can be reached
        } else {
            fec->renumbers |= code.carriage.among_media;
        }
    }
    if (fec->decoder == nullptr && fec->repairs.empty()) return nullptr;
    return fec;
}

// Viewers that have not caught up yet. The worker may say so at any moment: this is what the whole table goes by.
void Mesh::note_joining(Track& track) const {
    for (Viewer* viewer : track.viewers) viewer->joining = viewer->join && !viewer->join->live();
}

std::shared_ptr<const flow::Late> Mesh::late_of(const Track& track) const {
    if (!track.history) return nullptr;
    auto late = std::make_shared<flow::Late>();
    late->history = track.history.get();
    late->states.push_back(track.history);
    flow::Rendition& joining = late->joining;
    for (const Viewer* viewer : track.viewers) {
        if (!viewer->joining || viewer->leg.over_tcp) continue;
        const auto& hop = resolution(viewer->leg.destination).hop;
        if (!hop) continue;
        joining.legs.push_back(make_leg(plan_of(viewer->leg, *hop, ports_[hop->port], 0, What::rtp),
                                        viewer->leg.rtp.get(), joining.long_headers));
        joining.states.push_back(viewer->leg.rtp);
        late->joins.push_back(viewer->join.get());
        late->states.push_back(viewer->join);
    }
    joining.shards.push_back({track.owner, 0, static_cast<uint32_t>(joining.legs.size()), 0});
    if (const Viewer* one = track.over_tcp(); one != nullptr && one->joining) {
        late->joins.push_back(one->join.get());
        late->states.push_back(one->join);
    }
    return late;
}

std::shared_ptr<const flow::Repetition> Mesh::repetition_of(const Track& track) const {
    if (!track.repeat) return nullptr;
    auto repetition = std::make_shared<flow::Repetition>();
    repetition->repeat = track.repeat.get();
    repetition->state = track.repeat;
    flow::Rendition& to = repetition->to;
    for (const Output& output : track.outputs) {
        const auto& hop = resolution(output.destination).hop;
        if (!output.repeated || !hop) continue;
        const uint16_t from = track.config.sources.front().rtp.port;
        to.legs.push_back(make_leg(plan_of(output, *hop, ports_[hop->port], from, What::rtp), output.repeated.get(),
                                   to.long_headers));
        to.states.push_back(output.repeated);
    }
    to.shards.push_back({track.owner, 0, static_cast<uint32_t>(to.legs.size()), 0});
    return repetition;
}

std::vector<flow::FlowPtr> Mesh::flows_of(const Track& track) const {
    const Renditions renditions = renditions_of(track);
    const auto fec = fec_of(track);
    const auto late = late_of(track);
    const auto repetition = repetition_of(track);
    const auto retransmission = retransmission_of(track);
    const auto delay = delay_of(track);
    struct States {  // one allocation keeps all alive
        std::shared_ptr<flow::PathState> path;
        std::shared_ptr<flow::MergeState> merge;
        std::shared_ptr<flow::LatencyHistogram> latency;
        std::shared_ptr<FirstPackets> first;
        std::shared_ptr<flow::Sent> sent;
        std::shared_ptr<rtp::Continuity> continuity;
    };
    const Viewer* over_tcp = track.over_tcp();
    std::vector<flow::FlowPtr> flows;
    for (const Path& path : track.paths) {
        const auto states = std::make_shared<States>(
            States{path.state, track.merge, track.latency, track.first, track.sent, track.continuity});
        const auto flow_of = [&](flow::Kind kind, uint16_t further,
                                 const std::shared_ptr<const flow::Rendition>& rendition) {
            auto f = std::make_shared<flow::Flow>();
            const auto port = static_cast<uint16_t>(path.source.rtp.port + further);
            f->key = {path.source.rtp.ip, port, path.source.vlan};
            f->kind = kind;
            f->clock_rate = track.config.clock_rate;
            f->rx_port = port_index(path.source.port).value_or(flow::Flow::kAnyPort);
            f->owner = track.owner;
            f->payload_type = track.config.payload_type.value_or(flow::Flow::kAnyPayloadType);
            f->has_sender = path.source.from.has_value();
            f->sender = path.source.from.value_or(Ip{});
            f->path = path.state.get();
            f->merge = track.merge.get();
            f->second_path = &path != track.paths.data();
            f->two_paths = track.two_paths();
            f->constant_rate = kind == flow::Kind::rtp && track.constant_rate();
            f->latency = track.latency.get();
            f->sent = track.sent.get();
            f->counts = track.sent != nullptr;
            f->continuity = track.continuity.get();
            f->watched = f->continuity != nullptr;
            f->has_outputs = !track.outputs.empty();
            f->takes_fir = track.config.takes_fir;
            f->state = states;
            if (kind != flow::Kind::rtcp || (fec && fec->renumbers)) f->fec = fec;
            if (path.source.fec && (kind == flow::Kind::repair || path.source.fec->port == 0))
                f->repair = path.source.fec->carriage;
            if (kind != flow::Kind::rtcp) {
                f->late = late;
                f->repetition = repetition;
                f->retransmission = retransmission;
                f->delay = delay;
            }
            f->delays = f->delay != nullptr;
            f->keeps = f->late || f->repetition;
            f->retransmits = f->retransmission && (retransmission->ring || retransmission->asking);
            f->has_fec = f->fec != nullptr;
            // While these are catching up, RTP comes to them from the history.
            f->diverted = over_tcp != nullptr && (kind == flow::Kind::rtcp || !over_tcp->joining);
            f->feed = track.feed;
            f->rendition = rendition;
            f->spread = rendition->shards.size() > 1;
            f->legs = rendition->legs.data();
            f->leg_count = rendition->shards[0].count;
            f->shareable = rendition->shards[0].shareable;
            f->needs_checksum = rendition->needs_checksum;
            return f;
        };
        auto rtcp = flow_of(flow::Kind::rtcp, config::kRtcpPort, renditions.rtcp);
        auto rtp = flow_of(flow::Kind::rtp, 0, renditions.rtp);
        rtp->rtcp = rtcp.get();
        rtp->rtcp_owner = rtcp;
        rtp->first = track.first ? &track.first->packet : nullptr;
        rtp->notes_first = rtp->first != nullptr;
        rtp->tells_sender = path.source.tells_sender;
        flows.push_back(std::move(rtp));
        flows.push_back(std::move(rtcp));
        for (const uint16_t port : config::repair_ports(path.source))
            flows.push_back(flow_of(flow::Kind::repair, port, renditions.rtp));
    }
    for (flow::FlowPtr& feedback : feedback_of(track, retransmission)) flows.push_back(std::move(feedback));
    return flows;
}

std::shared_ptr<const flow::Retransmission> Mesh::retransmission_of(const Track& track) const {
    if (!track.config.feedback && !track.asking) return nullptr;
    auto r = std::make_shared<flow::Retransmission>();
    r->states = {track.ring, track.asking};
    r->ring = track.ring.get();
    r->asking = track.asking.get();
    r->payload_type = track.config.payload_type.value_or(uint8_t{0});
    for (size_t p = 0; p < track.paths.size(); p++) {
        const Path& path = track.paths[p];
        if (!path.source.nack) continue;
        r->sources.push_back(path.state.get());
        r->states.push_back(path.state);
        r->rtx[p] = path.source.nack->rtx;
    }
    if (!track.config.feedback) return r;
    r->per_second = track.config.feedback->budget;
    std::vector<std::pair<flow::Receiver, const Output*>> who;
    for (const Output& output : track.outputs) {
        const auto port = static_cast<uint16_t>(output.to.rtp.port + (output.to.rtcp_mux ? 0 : config::kRtcpPort));
        if (output.feedback) who.push_back({{{output.to.rtp.ip, port}, output.feedback.get(), output.to.rtx}, &output});
    }
    for (const Viewer* viewer : track.viewers)
        if (viewer->leg.agreed && !viewer->leg.to.rtp.ip.is_multicast())
            who.push_back(
                {{{viewer->leg.to.rtp.ip, viewer->leg.agreed->rtcp_port}, viewer->feedback.get(), viewer->leg.to.rtx},
                 &viewer->leg});
    std::erase_if(who, [&](const auto& w) { return !resolution(w.second->destination).hop; });
    std::ranges::sort(who, {}, [](const auto& w) { return w.first.rtcp; });
    for (const auto& [receiver, output] : who) {
        const flow::NextHop& hop = *resolution(output->destination).hop;
        r->receivers.push_back(receiver);
        r->legs.legs.push_back(
            make_leg(plan_of(*output, hop, ports_[hop.port], track.config.sources.front().rtp.port, What::rtp),
                     &receiver.feedback->resent, r->legs.long_headers));
        if (output->feedback) r->states.push_back(output->feedback);
    }
    for (const Viewer* viewer : track.viewers) r->states.push_back(viewer->feedback);
    return r;
}

// RTCP of the outputs' receivers comes back to where their copies come from.
std::vector<flow::FlowPtr> Mesh::feedback_of(const Track& track,
                                             const std::shared_ptr<const flow::Retransmission>& receivers) const {
    std::vector<flow::FlowPtr> flows;
    std::set<std::tuple<Ip, uint16_t, uint16_t, Ip>> seen;
    for (const Output& output : track.outputs) {
        const auto& hop = resolution(output.destination).hop;
        if (!output.feedback || !hop) continue;
        const auto port =
            static_cast<uint16_t>(track.config.sources.front().rtp.port + (output.to.rtcp_mux ? 0 : config::kRtcpPort));
        if (!seen.emplace(hop->source, port, output.to.vlan, output.to.rtp.ip).second) continue;
        auto f = std::make_shared<flow::Flow>();
        f->key = {hop->source, port, output.to.vlan};
        f->kind = flow::Kind::feedback;
        f->owner = track.owner;
        f->has_sender = true;
        f->sender = output.to.rtp.ip;
        f->path = track.paths.front().state.get();
        f->takes_fir = track.config.takes_fir;
        f->state = track.paths.front().state;
        f->retransmission = receivers;
        flows.push_back(std::move(f));
    }
    return flows;
}

// What a viewer's RTCP arrives on at this key.
std::shared_ptr<flow::Flow> Mesh::feedback_flow(const Viewer& viewer, const flow::Key& key) const {
    auto f = std::make_shared<flow::Flow>();
    f->key = key;
    f->kind = flow::Kind::feedback;
    f->owner = viewer.track->owner;
    const config::Source& source = viewer.track->config.sources.front();
    f->track = {source.rtp.ip, source.rtp.port, source.vlan};
    f->track_sender = source.from.value_or(Ip{});
    f->track_port = port_index(source.port).value_or(flow::Flow::kAnyPort);
    f->feedback = viewer.feedback.get();
    f->state = viewer.feedback;
    return f;
}

// A viewer's RTCP, and what it sends to the RTP port; of nobody else.
std::vector<flow::FlowPtr> Mesh::feedback_of(const Viewer& viewer) const {
    std::vector<flow::FlowPtr> flows;
    for (const int offset : {0, 1}) {
        const Endpoint& from = viewer.leg.agreed->from;
        auto f = feedback_flow(viewer, {from.ip, static_cast<uint16_t>(from.port + offset), 0});
        f->has_sender = true;
        f->sender = viewer.leg.to.rtp.ip;
        f->sender_port = viewer.leg.agreed->rtcp_port;
        flows.push_back(std::move(f));
    }
    return flows;
}

}  // namespace penstock::mesh
