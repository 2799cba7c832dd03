// Viewers: legs that come and go with protocol sessions, beside the outputs of the file.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "control/mesh/keys.hpp"
#include "control/mesh/mesh.hpp"

namespace penstock::mesh {
namespace {

// A viewer may be many routers away, and the TTL of the source may be one that just reaches us.
constexpr uint8_t kTtl = 64;

std::array<flow::Key, 2> keys_of(const Agreed& agreed) {
    const Endpoint& from = agreed.from;
    return {flow::Key{from.ip, from.port, 0}, flow::Key{from.ip, static_cast<uint16_t>(from.port + 1), 0}};
}

flow::Key group_key(const Viewer& viewer) { return {viewer.leg.to.rtp.ip, viewer.leg.agreed->rtcp_port, 0}; }

// Whether who watches the one can go on with the other: what it was told of the media still holds.
bool same_media(const config::Track& a, const config::Track& b) {
    return a.media == b.media && a.payload_type == b.payload_type && a.encoding == b.encoding && a.fmtp == b.fmtp;
}

}  // namespace

std::vector<const Output*> Track::legs() const {
    std::vector<const Output*> all;
    for (const Output& output : outputs) all.push_back(&output);
    for (const Viewer* viewer : extras().viewers) all.push_back(&viewer->leg);
    return all;
}

const Viewer* Track::over_tcp() const {
    const auto& all = extras().viewers;
    const auto one = std::ranges::find_if(all, [](const Viewer* v) { return v->playing && v->leg.over_tcp; });
    return one == all.end() ? nullptr : *one;
}

std::optional<uint32_t> Track::seen_ssrc() const {
    if (extras().continuity)
        if (const auto seen = extras().continuity->ssrc()) return seen;
    for (const Path& path : paths)
        if (const auto& c = path.state->reception.counters(); c.packets.read() != 0)
            return static_cast<uint32_t>(c.ssrc.read());
    return std::nullopt;
}

Result<uint64_t> Mesh::add_viewer(const ViewerPlan& plan) {
    const auto stream = streams_.find(plan.stream);
    if (stream == streams_.end()) return fail(fmt::format("there is no stream '{}'", plan.stream));
    const auto track = std::ranges::find(stream->second.tracks, plan.track, &Track::name);
    if (track == stream->second.tracks.end())
        return fail(fmt::format("stream '{}' has no track '{}'", plan.stream, plan.track));
    if (plan.channel) return add_over_tcp(plan, **track);
    const auto keys = keys_of(plan.agreed);
    for (const flow::Key& key : keys)
        if (takes(key)) return fail(fmt::format("port {} is taken", key.port));
    for (const uint16_t port : {plan.to.port, plan.agreed.rtcp_port})
        if (is_source({plan.to.ip, port, 0}))
            return fail(fmt::format("{} is a source: that would be a loop", plan.to.text()));

    Viewer& viewer = make_viewer(plan);
    viewer.to.ttl = plan.group ? plan.group->ttl : kTtl;
    if (plan.group && plan.group->port) viewer.to.port = ports_[*plan.group->port].name;
    viewer.to.rtx = plan.rtx;
    viewer.leg.agreed = plan.agreed;
    viewer.leg.worker = choose_server(**track);
    viewer_keys_.insert(keys.begin(), keys.end());
    attach(viewer, **track);
    if (viewer.is_group()) listen_in_group(viewer, true);
    renew_feedback(viewer);
    return viewer.id;
}

// Receivers send their RTCP to the group, too: it is to be joined, and its port steered.
void Mesh::listen_in_group(const Viewer& viewer, bool on) {
    const flow::Key key = group_key(viewer);
    config::Source heard;
    heard.rtp = {key.destination, key.port};
    heard.port = viewer.to.port;
    changed_keys_.push_back(key);
    if (on) {
        group_keys_.emplace(key, port_index(viewer.to.port));
        changed_sources_.added.push_back(std::move(heard));
    } else {
        group_keys_.erase(key);
        changed_sources_.removed.push_back(std::move(heard));
    }
}

// What a viewer's RTCP arrives on, and what it sends to the RTP port; of nobody else, but for a group.
flow::Flows Mesh::feedback_of(const Viewer& viewer) const {
    struct Whole {
        std::shared_ptr<flow::Feedback> feedback;
        flow::Participants participants;
        flow::Watching watching;
        flow::Flow::Extras extras;
        std::vector<flow::Flow> all;
        std::span<const flow::Flow> flows;
    };
    const auto whole = std::make_shared<Whole>();
    const config::Source& source = viewer.track->config.sources.front();
    whole->feedback = viewer.feedback;
    whole->watching = {.feedback = viewer.feedback.get(),
                       .track = key_of(source),
                       .track_sender = source.from.value_or(Ip{}),
                       .track_port = port_index(source.port).value_or(flow::Flow::kAnyPort),
                       .sender_port = viewer.leg.agreed->rtcp_port};
    for (const auto& [ip, there] : viewer.audience) whole->participants.all.push_back({ip, there.is});
    if (viewer.is_group()) whole->watching.participants = &whole->participants;
    whole->extras.watching = &whole->watching;
    auto keys = keys_of(*viewer.leg.agreed);
    // RTCP of those who watch by a group: to the group, and to where our sender reports come from (RFC 3550 section 6).
    if (viewer.is_group()) keys[0] = group_key(viewer);
    for (const flow::Key& key : keys) {
        flow::Flow& f = whole->all.emplace_back();
        f.key = key;
        f.kind = flow::Kind::feedback;
        f.owner = viewer.track->owner;
        f.more = &whole->extras;
        f.has_sender = !viewer.is_group();
        if (f.has_sender) f.sender = viewer.to.rtp.ip;
        if (key.destination.is_multicast()) f.rx_port = port_index(viewer.to.port).value_or(flow::Flow::kAnyPort);
    }
    whole->flows = whole->all;
    return {whole, &whole->flows};
}

std::shared_ptr<const flow::Participant> Mesh::participate(uint64_t id, const Ip& address) {
    Viewer& viewer = viewers_.at(id);
    Viewer::Audience& there = viewer.audience[address];
    if (there.players++ == 0) {
        there.is = std::make_shared<flow::Participant>();
        renew_feedback(viewer);
    }
    return there.is;
}

void Mesh::depart(uint64_t id, const Ip& address) {
    Viewer& viewer = viewers_.at(id);
    const auto there = viewer.audience.find(address);
    if (there == viewer.audience.end() || --there->second.players != 0) return;
    viewer.audience.erase(there);
    renew_feedback(viewer);
}

// The flows on which its feedback arrives, when it comes and when it goes on with another track.
void Mesh::renew_feedback(Viewer& viewer) {
    std::vector<flow::FlowPtr> former;
    flow::share(viewer.flows, former);
    for (flow::FlowPtr& flow : former)
        if (std::erase(added_, flow) == 0) removed_.push_back(std::move(flow));
    viewer.flows = viewer.track != nullptr && viewer.leg.agreed ? feedback_of(viewer) : nullptr;
    flow::share(viewer.flows, added_);
    compiled_ = false;
}

Viewer& Mesh::make_viewer(const ViewerPlan& plan) {
    Viewer& viewer = viewers_[next_viewer_];
    viewer.id = next_viewer_++;
    viewer.feedback = std::make_shared<flow::Feedback>();
    viewer.to.rtp = plan.to;
    viewer.leg.state = std::make_shared<flow::LegState>();
    return viewer;
}

// Its packets do not leave by a port and its reports do not arrive by one: the track has no leg and no flow more.
uint64_t Mesh::add_over_tcp(const ViewerPlan& plan, Track& track) {
    Viewer& viewer = make_viewer(plan);
    viewer.leg.over_tcp = true;
    viewer.leg.channel = *plan.channel;
    viewer.leg.worker = track.owner;
    attach(viewer, track);
    return viewer.id;
}

// Who makes the copies for one more leg: as place() does for the outputs of the file.
uint16_t Mesh::choose_server(const Track& track) const {
    std::vector<size_t> served(placed_.size());
    for (const Output& output : track.outputs) served[output.worker]++;
    size_t legs = track.outputs.size();
    for (const Viewer* viewer : track.extras().viewers) {
        if (viewer->leg.over_tcp) continue;
        served[viewer->leg.worker]++;
        legs++;
    }
    if (legs < kSpreadFrom) return track.owner;
    uint16_t best = track.owner;
    for (uint16_t w = 0; w < served.size(); w++)
        if (served[w] < served[best]) best = w;
    return best;
}

void Mesh::play(uint64_t id, bool playing) {
    const auto found = viewers_.find(id);
    if (found == viewers_.end() || found->second.track == nullptr || found->second.playing == playing) return;
    Viewer& viewer = found->second;
    Track& track = *viewer.track;
    if (viewer.leg.over_tcp) return play_over_tcp(viewer, playing);
    viewer.playing = playing;
    viewer.wants_first = playing;
    viewer.first.reset();
    viewer.join.reset();
    // Its leg's counters are those of the worker that serves it; only the owner has the history.
    if (playing && track.extras().history && viewer.leg.worker == track.owner)
        viewer.join = std::make_shared<flow::Join>();
    touch(track);
}

// Of these the first and the last concern the workers. With the first the track gets another feed, since what is left
// of the former one is older than what the history then begins with.
void Mesh::play_over_tcp(Viewer& viewer, bool playing) {
    Track& track = *viewer.track;
    const Viewer* other = track.over_tcp();
    viewer.playing = playing;
    viewer.join.reset();
    viewer.joining = false;
    if (!playing) {
        if (track.over_tcp() == nullptr) touch(track);
    } else if (other != nullptr) {
        viewer.join = other->join;
        viewer.joining = other->joining;
    } else {
        track.feed = next_feed_++;
        if (track.extras().history) viewer.join = std::make_shared<flow::Join>();
        touch(track);
    }
}

void Mesh::remove_viewer(uint64_t id) {
    const auto found = viewers_.find(id);
    if (found == viewers_.end()) return;
    Viewer& viewer = found->second;
    if (viewer.track != nullptr) {
        if (viewer.leg.over_tcp) {
            play(id, false);
        } else if (viewer.playing) {
            touch(*viewer.track);
        }
        detach(viewer);
    }
    if (viewer.leg.agreed)
        for (const flow::Key& key : keys_of(*viewer.leg.agreed)) viewer_keys_.erase(key);
    if (viewer.is_group()) listen_in_group(viewer, false);
    renew_feedback(viewer);
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
    track.make_extras().viewers.push_back(&viewer);
    if (!track.extras().continuity) {
        track.make_extras().continuity = std::make_shared<rtp::Continuity>(track.config.clock_rate, track.seen_ssrc());
        touch(track);
    }
    if (viewer.leg.over_tcp) return;
    placed_[viewer.leg.worker].outputs++;
    use(track, viewer.leg);
}

void Mesh::detach(Viewer& viewer) {
    Track& track = *std::exchange(viewer.track, nullptr);
    std::erase(track.make_extras().viewers, &viewer);
    if (viewer.leg.over_tcp) return;
    placed_[viewer.leg.worker].outputs--;
    disuse(viewer.leg);
}

// The viewers of a track that goes: to the one that takes its place, if it is of the same media.
void Mesh::hand_on_viewers(Track& from, Track* to) {
    const bool on = to != nullptr && to->owner == from.owner && same_media(to->config, from.config);
    if (on && from.extras().first) to->make_extras().first = from.extras().first;
    if (on && from.extras().continuity) to->make_extras().continuity = from.extras().continuity;
    for (Viewer* viewer : std::vector(from.extras().viewers)) {
        detach(*viewer);
        if (on) {
            attach(*viewer, *to);
            if (to->config.sources.front() != from.config.sources.front()) renew_feedback(*viewer);
        } else {
            orphans_.push_back(viewer->id);
        }
    }
}

}  // namespace penstock::mesh
