// A track of the model becomes flows: for each path one for RTP, which stands for RTCP on the next port, too, and, when
// the path brings FEC, one for each of its repair ports; all of them with the legs whose next hop is known.
#include <algorithm>
#include <memory>
#include <set>
#include <tuple>

#include "base/line_allocator.hpp"
#include "control/mesh/by_ssrc.hpp"
#include "control/mesh/keys.hpp"
#include "control/mesh/mesh.hpp"

namespace penstock::mesh {
namespace {

using What = Mesh::What;

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
    const uint16_t further = what == What::repair ? output.to.fec->port : what == What::rows ? rtp::fec::kRowPort : 0;
    plan.to.port = static_cast<uint16_t>(plan.to.port + further);
    plan.from_port = static_cast<uint16_t>(plan.from_port + further);
    plan.rtcp_port = static_cast<uint16_t>(output.to.rtp.port + (output.to.rtcp_mux ? 0 : config::kRtcpPort));
    if (output.agreed && !output.to.rtcp_mux) plan.rtcp_port = output.agreed->rtcp_port;
    plan.ttl = output.to.ttl.value_or(0);
    plan.dscp = output.to.dscp.value_or(flow::Leg::kKeep);
    plan.vlan = output.to.vlan;
    return plan;
}

// All that the flows of a track lead to, and they and their legs behind it: one allocation, of which each is a share.
flow::Flows in_one_piece(std::span<flow::Flow> flows, flow::OwnRendition made, const flow::Flow::Extras& extras,
                         flow::Held held) {
    struct Whole {
        std::span<const flow::Flow> flows;
        flow::Rendition rendition;
        flow::LongHeaders long_headers;
        std::unique_ptr<flow::Flow::Extras> extras;
        flow::Held held;
    };
    static_assert(std::is_trivially_destructible_v<flow::Flow> && std::is_trivially_destructible_v<flow::Leg>);
    static_assert(sizeof(flow::Flow) % kCacheLine == 0 && sizeof(flow::Leg) == kCacheLine);
    const size_t lines = flows.size_bytes() / kCacheLine + made.legs.size();
    const auto whole = std::allocate_shared<Whole>(LineAllocatorWithMore<Whole>(lines));
    auto* const first_flow = reinterpret_cast<flow::Flow*>(lines_behind(*whole));
    auto* const first_leg = reinterpret_cast<flow::Leg*>(first_flow + flows.size());
    std::ranges::uninitialized_copy(made.legs, std::span{first_leg, made.legs.size()});
    whole->rendition = made;
    whole->rendition.legs = {first_leg, made.legs.size()};
    whole->long_headers = made.take_long_headers();
    if (extras != flow::Flow::kNone) whole->extras = std::make_unique<flow::Flow::Extras>(extras);
    whole->held = std::move(held);
    for (flow::Flow& f : flows) {
        if (whole->extras) f.more = whole->extras.get();
        if (f.kind == flow::Kind::feedback) continue;
        f.rendition = &whole->rendition;
        f.legs = first_leg;
    }
    std::ranges::uninitialized_copy(flows, std::span{first_flow, flows.size()});
    whole->flows = {first_flow, flows.size()};
    return {whole, &whole->flows};
}

// Receivers of media that are numbered anew are in a rendition of their own: Mesh::fec_of().
bool renumbered(const Output& output) { return output.to.fec && output.to.fec->code.carriage.among_media; }

// The payload type of repair, where packets are sent again as that.
std::optional<uint8_t> resent_as(const Output& output) {
    if (!output.to.fec || !output.to.fec->retransmission) return std::nullopt;
    return output.to.fec->code.carriage.payload_type;
}

}  // namespace

// The outputs, and the viewers that play, whose next hop is known, by the worker that serves them: the owner's first.
std::vector<Mesh::Part> Mesh::parts_of(const Track& track) const {
    std::vector<Part> parts{{track.owner, {}, {}}};
    const auto add = [&](const Output& output) {
        const flow::NextHop* const hop = output.hop();
        if (hop == nullptr) return;
        auto part = std::ranges::find(parts, output.worker, &Part::worker);
        if (part == parts.end()) part = parts.insert(part, {output.worker, {}, {}});
        (ports_[hop->port].multi_segment ? part->shareable : part->others).push_back(&output);
    };
    for (const Output& output : track.outputs) add(output);
    for (const Viewer* viewer : track.extras().viewers)
        if (viewer->playing && !viewer->leg.over_tcp && !viewer->joining) add(viewer->leg);
    return parts;
}

// The legs that this table brings to viewers share a record of its first packet.
void Mesh::note_first(Track& track) const {
    std::shared_ptr<FirstPackets> record;
    for (Viewer* viewer : track.extras().viewers) {
        if (!viewer->wants_first || viewer->first || viewer->join || viewer->leg.hop() == nullptr) continue;
        if (!record) record = std::make_shared<FirstPackets>();
        viewer->first = record;
    }
    if (const auto& last = track.extras().first; record) {
        if (last) last->later = record;
        track.make_extras().first = std::move(record);
    } else if (last && last->packet.read()) {
        track.make_extras().first.reset();  // nobody waits for it any more
    }
}

// The leg to an output whose next hop is known.
flow::LegPlan Mesh::leg_to(const Track& track, const Output& output, What what) const {
    const flow::NextHop& hop = *output.hop();
    return plan_of(output, hop, ports_[hop.port], track.config.sources.front().rtp.port, what);
}

flow::OwnRendition Mesh::rendition_of(const Track& track, flow::Held& held) const {
    const std::vector<Part> parts = parts_of(track);
    flow::OwnRendition rendition;
    size_t most = 0;
    for (const Part& part : parts) most += part.shareable.size() + part.others.size();
    rendition.reserve(most);
    rendition.shards.reserve(parts.size());
    for (const Part& part : parts) {
        flow::Shard shard{.worker = part.worker, .first = static_cast<uint32_t>(rendition.legs.size())};
        for (const auto* outputs : {&part.shareable, &part.others}) {
            for (const Output* output : *outputs) {
                if (renumbered(*output)) continue;
                shard.shareable += outputs == &part.shareable ? 1 : 0;
                if (output->agreed) {
                    shard.viewers++;
                    shard.shareable_viewers += outputs == &part.shareable ? 1 : 0;
                }
                rendition.add(leg_to(track, *output, What::rtp), held.add(output->state));
            }
        }
        shard.count = static_cast<uint32_t>(rendition.legs.size()) - shard.first;
        rendition.shards.push_back(shard);
    }
    return rendition;
}

std::shared_ptr<const flow::Fec> Mesh::fec_of(const Track& track) const {
    static_assert(flow::Fec::kMaxRenditions == config::Track::kMaxCodes);
    auto fec = std::make_shared<flow::Fec>();
    fec->decoder = fec->held.add(track.extras().decoder);
    const auto build = [&](flow::OwnRendition& rendition, const rtp::fec::Code& code, What what) {
        flow::Shard shard{track.owner, 0, 0, 0};
        for (const bool shareable : {true, false}) {
            for (const Output& output : track.outputs) {
                const flow::NextHop* const hop = output.hop();
                if (!output.to.fec || output.to.fec->code != code || hop == nullptr ||
                    ports_[hop->port].multi_segment != shareable)
                    continue;
                const Output::Extras& more = output.extras();
                const auto& state = what == What::rows ? more.rows : what == What::rtp ? output.state : more.repair;
                rendition.add(leg_to(track, output, what), fec->held.add(state));
                shard.shareable += shareable ? 1 : 0;
            }
        }
        shard.count = static_cast<uint32_t>(rendition.legs.size());
        rendition.shards.push_back(shard);
    };
    for (const Encoding& encoding : track.extras().encodings) {
        const rtp::fec::Code& code = encoding.code;
        flow::RepairRenditions& repair = fec->repairs.emplace_back();
        repair.encoder = fec->held.add(encoding.encoder);
        build(repair.repair, code, What::repair);
        if (code.carriage.scheme == rtp::fec::Scheme::st2022_1 && code.matrix.row_repair)
            build(repair.rows, code, What::rows);
        if (code.carriage.among_media) {
            build(repair.media, code, What::rtp);
            repair.sent = fec->held.add(encoding.sent);
        }
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
    for (Viewer* viewer : track.extras().viewers) viewer->joining = viewer->join && !viewer->join->live();
}

std::shared_ptr<const flow::Late> Mesh::late_of(const Track& track) const {
    if (!track.extras().history) return nullptr;
    auto late = std::make_shared<flow::Late>();
    late->history = late->held.add(track.extras().history);
    flow::OwnRendition& joining = late->joining;
    for (const Viewer* viewer : track.extras().viewers) {
        if (!viewer->joining || viewer->leg.over_tcp) continue;
        if (viewer->leg.hop() == nullptr) continue;
        joining.add(leg_to(track, viewer->leg, What::rtp), late->held.add(viewer->leg.state));
        late->joins.push_back(late->held.add(viewer->join));
    }
    joining.shards.push_back({track.owner, 0, static_cast<uint32_t>(joining.legs.size()), 0});
    if (const Viewer* one = track.over_tcp(); one != nullptr && one->joining) {
        late->joins.push_back(late->held.add(one->join));
    }
    return late;
}

std::shared_ptr<const flow::Repetition> Mesh::repetition_of(const Track& track) const {
    if (!track.extras().repeat) return nullptr;
    auto repetition = std::make_shared<flow::Repetition>();
    repetition->repeat = repetition->held.add(track.extras().repeat);
    flow::OwnRendition& to = repetition->to;
    for (const Output& output : track.outputs) {
        const auto& state = output.extras().repeated;
        if (state && output.hop() != nullptr) to.add(leg_to(track, output, What::rtp), repetition->held.add(state));
    }
    to.shards.push_back({track.owner, 0, static_cast<uint32_t>(to.legs.size()), 0});
    return repetition;
}

flow::Flows Mesh::flows_of(const Track& track) const {
    flow::Held held;
    flow::OwnRendition rendition = rendition_of(track, held);
    auto* const merge = held.add(track.extras().merge);
    auto* const latency = held.add(track.latency);
    const auto& first = track.extras().first;
    held.add(first);
    const Viewer* over_tcp = track.over_tcp();
    flow::Flow::Extras extras{.first = first ? &first->packet : nullptr,
                              .sent = held.add(track.extras().sent),
                              .continuity = held.add(track.extras().continuity),
                              .fec = held.add(fec_of(track)),
                              .late = held.add(late_of(track)),
                              .repetition = held.add(repetition_of(track)),
                              .retransmission = held.add(retransmission_of(track)),
                              .delay = held.add(delay_of(track)),
                              .feed = over_tcp != nullptr ? track.feed : 0};
    std::vector<flow::Flow> flows;
    for (const Path& path : track.paths) {
        auto* const state = held.add(path.state);
        const auto add = [&](flow::Kind kind, uint16_t further) -> flow::Flow& {
            flow::Flow& f = flows.emplace_back();
            f.key = mesh::further(key_of(path.source), further);
            f.kind = kind;
            f.clock_rate = track.config.clock_rate;
            f.rx_port = port_index(path.source.port).value_or(flow::Flow::kAnyPort);
            f.owner = track.owner;
            f.payload_type = track.config.payload_type.value_or(flow::Flow::kAnyPayloadType);
            f.has_sender = path.source.from.has_value();
            f.sender = path.source.from.value_or(Ip{});
            f.path = state;
            f.merge = merge;
            f.second_path = path.second;
            f.two_paths = track.two_paths();
            f.constant_rate = kind == flow::Kind::rtp && track.constant_rate();
            f.latency = latency;
            f.counts = extras.sent != nullptr;
            f.watched = extras.continuity != nullptr;
            f.has_outputs = !track.outputs.empty();
            f.takes_fir = track.config.takes_fir;
            if (path.source.fec && (kind == flow::Kind::repair || path.source.fec->port == 0))
                f.repair = path.source.fec->carriage;
            f.delays = extras.delay != nullptr;
            f.keeps = extras.late != nullptr || extras.repetition != nullptr;
            f.retransmits = extras.retransmission != nullptr &&
                            (extras.retransmission->ring != nullptr || extras.retransmission->asking != nullptr);
            f.has_fec = extras.fec != nullptr;
            // While these are catching up, RTP comes to them from the history.
            f.diverted = over_tcp != nullptr && !over_tcp->joining;
            f.spread = rendition.shards.size() > 1;
            f.leg_count = rendition.shards[0].count;
            f.shareable = rendition.shards[0].shareable;
            f.needs_checksum = rendition.needs_checksum;
            return f;
        };
        flow::Flow& rtp = add(flow::Kind::rtp, 0);
        rtp.notes_first = extras.first != nullptr;
        rtp.tells_sender = path.source.tells_sender;
        for (const uint16_t port : config::repair_ports(path.source)) add(flow::Kind::repair, port);
    }
    const auto by_ssrc = add_by_ssrc(track, flows, held);
    extras.by_ssrc = by_ssrc.get();
    add_feedback(track, flows);
    held.shrink();
    auto whole = in_one_piece(flows, std::move(rendition), extras, std::move(held));
    if (by_ssrc) lead_to_paths(*by_ssrc, *whole);
    return whole;
}

std::shared_ptr<const flow::Retransmission> Mesh::retransmission_of(const Track& track) const {
    if (!track.config.feedback && !track.extras().asking) return nullptr;
    auto r = std::make_shared<flow::Retransmission>();
    r->ring = r->held.add(track.extras().ring);
    r->asking = r->held.add(track.extras().asking);
    r->payload_type = track.config.payload_type.value_or(uint8_t{0});
    for (size_t p = 0; p < track.paths.size(); p++) {
        const Path& path = track.paths[p];
        if (!path.source.nack) continue;
        r->sources.push_back(r->held.add(path.state));
        r->rtx[p] = path.source.nack->rtx;
    }
    if (!track.config.feedback) return r;
    r->per_second = track.config.feedback->budget;
    std::vector<std::pair<flow::Receiver, const Output*>> who;
    for (const Output& output : track.outputs) {
        const auto port = static_cast<uint16_t>(output.to.rtp.port + (output.to.rtcp_mux ? 0 : config::kRtcpPort));
        if (const auto& feedback = output.extras().feedback)
            who.push_back({{.rtcp = {output.to.rtp.ip, port},
                            .feedback = feedback.get(),
                            .rtx = output.to.rtx,
                            .flexfec = resent_as(output),
                            .numbered_anew = renumbered(output)},
                           &output});
    }
    for (const Viewer* viewer : track.extras().viewers)
        if (viewer->leg.agreed && !viewer->leg.to.rtp.ip.is_multicast())
            who.push_back(
                {{{viewer->leg.to.rtp.ip, viewer->leg.agreed->rtcp_port}, viewer->feedback.get(), viewer->leg.to.rtx},
                 &viewer->leg});
    std::erase_if(who, [&](const auto& w) { return w.second->hop() == nullptr; });
    std::ranges::sort(who, {}, [](const auto& w) { return w.first.rtcp; });
    for (const auto& [receiver, output] : who) {
        r->receivers.push_back(receiver);
        const What what = receiver.flexfec ? What::repair : What::rtp;
        r->legs.add(leg_to(track, *output, what), &receiver.feedback->resent);
        if (const auto& feedback = output->extras().feedback) r->held.add(feedback);
    }
    for (const Viewer* viewer : track.extras().viewers) r->held.add(viewer->feedback);
    return r;
}

// RTCP of the outputs' receivers comes back to where their copies come from.
void Mesh::add_feedback(const Track& track, std::vector<flow::Flow>& flows) const {
    std::set<std::tuple<Ip, uint16_t, uint16_t, Ip>> seen;
    for (const Output& output : track.outputs) {
        const flow::NextHop* const hop = output.hop();
        if (!output.extras().feedback || hop == nullptr) continue;
        const auto port =
            static_cast<uint16_t>(track.config.sources.front().rtp.port + (output.to.rtcp_mux ? 0 : config::kRtcpPort));
        if (!seen.emplace(hop->source, port, output.to.vlan, output.to.rtp.ip).second) continue;
        flow::Flow& f = flows.emplace_back();
        f.key = {hop->source, port, output.to.vlan};
        f.kind = flow::Kind::feedback;
        f.owner = track.owner;
        f.has_sender = true;
        f.sender = output.to.rtp.ip;
        f.path = track.paths.front().state.get();
        f.takes_fir = track.config.takes_fir;
        f.merge = flows.front().merge;  // what they report on has the SSRC under which it left
    }
}

}  // namespace penstock::mesh
