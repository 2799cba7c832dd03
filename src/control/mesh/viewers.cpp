// Viewers: legs that come and go with protocol sessions, beside the outputs of the file.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "control/mesh/mesh.hpp"

namespace penstock::mesh {
namespace {

// A viewer may be many routers away, and the TTL of the source may be one that just reaches us.
constexpr uint8_t kTtl = 64;

std::array<flow::Key, 2> keys_of(const Agreed& agreed) {
    const Endpoint& from = agreed.from;
    return {flow::Key{from.ip, from.port, 0}, flow::Key{from.ip, static_cast<uint16_t>(from.port + 1), 0}};
}

// Whether who watches the one can go on with the other: what it was told of the media still holds.
bool same_media(const config::Track& a, const config::Track& b) {
    return a.media == b.media && a.payload_type == b.payload_type && a.encoding == b.encoding && a.fmtp == b.fmtp;
}

}  // namespace

std::vector<const Output*> Track::legs() const {
    std::vector<const Output*> all;
    for (const Output& output : outputs) all.push_back(&output);
    for (const Viewer* viewer : viewers) all.push_back(&viewer->leg);
    return all;
}

bool Mesh::takes(const flow::Key& key) const { return sources_.contains(key) || viewer_keys_.contains(key); }

Result<uint64_t> Mesh::add_viewer(const ViewerPlan& plan) {
    const auto stream = streams_.find(plan.stream);
    if (stream == streams_.end()) return fail(fmt::format("there is no stream '{}'", plan.stream));
    const auto track = std::ranges::find(stream->second.tracks, plan.track, &Track::name);
    if (track == stream->second.tracks.end())
        return fail(fmt::format("stream '{}' has no track '{}'", plan.stream, plan.track));
    const auto keys = keys_of(plan.agreed);
    for (const flow::Key& key : keys)
        if (takes(key)) return fail(fmt::format("port {} is taken", key.port));
    for (const uint16_t port : {plan.to.port, plan.agreed.rtcp_port})
        if (sources_.contains({plan.to.ip, port, 0}))
            return fail(fmt::format("{} is a source: that would be a loop", plan.to.text()));

    const uint64_t id = next_viewer_++;
    Viewer& viewer = viewers_[id];
    viewer.id = id;
    viewer.feedback = std::make_shared<flow::Feedback>();
    viewer.leg.name = "rtsp:" + plan.to.text();
    viewer.leg.to.rtp = plan.to;
    viewer.leg.to.ttl = kTtl;
    viewer.leg.destination = {plan.to.ip, std::nullopt};
    viewer.leg.rtp = std::make_shared<flow::LegState>();
    viewer.leg.rtcp = std::make_shared<flow::LegState>();
    viewer.leg.agreed = plan.agreed;
    viewer.leg.worker = choose_server(**track);
    viewer_keys_.insert(keys.begin(), keys.end());
    attach(viewer, **track);
    viewer.flows = feedback_of(viewer);
    added_.insert(added_.end(), viewer.flows.begin(), viewer.flows.end());
    compiled_ = false;
    return id;
}

// Who makes the copies for one more leg: as place() does for the outputs of the file.
uint16_t Mesh::choose_server(const Track& track) const {
    std::vector<size_t> served(placed_.size());
    for (const Output& output : track.outputs) served[output.worker]++;
    for (const Viewer* viewer : track.viewers) served[viewer->leg.worker]++;
    if (track.outputs.size() + track.viewers.size() < kSpreadFrom) return track.owner;
    uint16_t best = track.owner;
    for (uint16_t w = 0; w < served.size(); w++)
        if (served[w] < served[best]) best = w;
    return best;
}

void Mesh::play(uint64_t id, bool playing) {
    const auto found = viewers_.find(id);
    if (found == viewers_.end() || found->second.track == nullptr || found->second.playing == playing) return;
    found->second.playing = playing;
    found->second.wants_first = playing;
    found->second.first.reset();
    found->second.join.reset();
    // Its leg's counters are those of the worker that serves it; only the owner has the history.
    const Track& track = *found->second.track;
    if (playing && track.history && found->second.leg.worker == track.owner)
        found->second.join = std::make_shared<flow::Join>();
    touch(*found->second.track);
}

void Mesh::remove_viewer(uint64_t id) {
    const auto found = viewers_.find(id);
    if (found == viewers_.end()) return;
    Viewer& viewer = found->second;
    if (viewer.track != nullptr) {
        if (viewer.playing) touch(*viewer.track);
        detach(viewer);
    }
    for (const flow::Key& key : keys_of(*viewer.leg.agreed)) viewer_keys_.erase(key);
    for (flow::FlowPtr& flow : viewer.flows)
        if (std::erase(added_, flow) == 0) removed_.push_back(std::move(flow));
    compiled_ = false;
    viewers_.erase(found);
}

const Viewer* Mesh::viewer(uint64_t id) const {
    const auto found = viewers_.find(id);
    return found == viewers_.end() ? nullptr : &found->second;
}

// A record that was never written was that of a table which another replaced before a packet came: then the first
// packet of that one is the viewer's first, too. The worker writes records in the order of the tables.
std::optional<flow::FirstPacket::Values> Mesh::first_packet(uint64_t id) const {
    const Viewer* found = viewer(id);
    if (found != nullptr && found->join) return found->join->first().read();
    if (found == nullptr || !found->first) return std::nullopt;
    for (const FirstPackets* record = found->first.get(); record != nullptr; record = record->later.get()) {
        if (!record->packet.read()) continue;
        // Seen in this order, an earlier one that is empty still will stay so.
        for (const FirstPackets* earlier = found->first.get(); earlier != record; earlier = earlier->later.get())
            if (const auto values = earlier->packet.read()) return values;
        return record->packet.read();
    }
    return std::nullopt;
}

void Mesh::give_up_first_packet(uint64_t id) {
    const auto found = viewers_.find(id);
    if (found == viewers_.end()) return;
    found->second.wants_first = false;
    found->second.first.reset();
}

std::vector<uint64_t> Mesh::take_orphans() { return std::exchange(orphans_, {}); }

void Mesh::attach(Viewer& viewer, Track& track) {
    viewer.track = &track;
    track.viewers.push_back(&viewer);
    placed_[viewer.leg.worker].outputs++;
    use(track, viewer.leg.destination);
}

void Mesh::detach(Viewer& viewer) {
    std::erase(viewer.track->viewers, &viewer);
    placed_[viewer.leg.worker].outputs--;
    disuse(*viewer.track, viewer.leg.destination);
    viewer.track = nullptr;
}

// The viewers of a track that goes: to the one that takes its place, if it is of the same media.
void Mesh::hand_on_viewers(Track& from, Track* to) {
    const bool on = to != nullptr && to->owner == from.owner && same_media(to->config, from.config);
    if (on) to->first = from.first;
    for (Viewer* viewer : std::vector(from.viewers)) {
        detach(*viewer);
        if (on) {
            attach(*viewer, *to);
        } else {
            orphans_.push_back(viewer->id);
        }
    }
}

}  // namespace penstock::mesh
