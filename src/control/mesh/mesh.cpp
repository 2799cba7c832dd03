#include "control/mesh/mesh.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/line_allocator.hpp"
#include "control/config/differences.hpp"

namespace penstock::mesh {
namespace {

// With other repair, or asked for what is lost, a path is the same, and goes on counting.
bool same_path(const config::Source& a, const config::Source& b) {
    return a.rtp == b.rtp && a.vlan == b.vlan && a.from == b.from && a.ssm == b.ssm && a.port == b.port &&
           a.ssrc == b.ssrc;
}

}  // namespace

Mesh::Mesh(std::vector<flow::PortInfo> ports, flow::PortRange media, uint16_t workers)
    : ports_(std::move(ports)), placed_(workers), current_(media, {}) {}

std::optional<uint16_t> Mesh::port_index(const config::PortName& name) const {
    const auto port = name ? std::ranges::find(ports_, *name, &flow::PortInfo::name) : ports_.end();
    if (port == ports_.end()) return std::nullopt;
    return port->index;
}

const Stream* Mesh::stream(const std::string& name) const {
    const auto found = streams_.find(name);
    return found == streams_.end() ? nullptr : &found->second;
}

std::vector<const Track*> Mesh::tracks() const {
    std::vector<const Track*> all;
    for (const auto& [name, stream] : streams_)
        for (const auto& track : stream.tracks) all.push_back(track.get());
    return all;
}

config::Stream Stream::running() const {
    config::Stream stream = settings;
    stream.tracks.clear();
    for (const auto& track : tracks) stream.tracks.push_back(track->config);
    return stream;
}

config::Stream Stream::configured() const { return pulled() || !brought().empty() ? settings : running(); }

std::string Output::name() const {
    const std::string at = to.rtp.text();
    return over_tcp ? fmt::format("rtsp:{}/{}", at, channel) : agreed ? "rtsp:" + at : at;
}

const Output::Extras& Output::extras() const {
    static const Extras kNone;
    return more ? *more : kNone;
}

uint64_t Output::rtcp_packets() const {
    const auto& repeated = extras().repeated;
    return uint64_t{state->rtcp_packets.read()} + (repeated ? repeated->rtcp_packets.read() : 0);
}

const Track::Extras& Track::extras() const {
    static const Extras kNone;
    return more ? *more : kNone;
}

Result<void> Mesh::put(config::Stream stream) {
    if (auto why = objection(stream)) return fail(std::move(*why));
    set(std::move(stream));
    return {};
}

Mesh::Changes Mesh::replace(const std::vector<config::Stream>& streams) {
    Changes changes;
    std::set<std::string_view> kept;
    for (const config::Stream& stream : streams) {
        kept.insert(stream.name);
        const Stream* now = this->stream(stream.name);
        if (now != nullptr && !now->of_protocol && now->configured() == stream) continue;
        if (now == nullptr || now->of_protocol) {
            changes.added.push_back(stream.name);
        } else {
            changes.touched.push_back({stream.name, config::differences(now->configured(), stream)});
        }
        set(stream);
    }
    for (const auto& [name, stream] : streams_)
        if (!kept.contains(name) && !stream.of_protocol) changes.removed.push_back(name);
    for (const std::string& name : changes.removed) remove(name);
    return changes;
}

void Mesh::set(config::Stream stream) {
    Stream& now = streams_[stream.name];
    const bool published = std::exchange(now.of_protocol, false);
    now.settings = {stream.name, stream.at, {}, stream.rtsp};
    if (stream.rtsp) now.settings.tracks = stream.tracks;
    if (!now.brought().empty()) {
        if (stream.rtsp && !published) return run_brought(now, config::planned(stream, now.brought()));
        if (stream.tracks.empty() && !published) return;
        displaced_.push_back(stream.name);
    }
    now.of_camera.reset();
    if (stream.rtsp) stream.tracks.clear();  // there is nothing yet of which it is wanted
    run(now, std::move(stream));
}

// Makes the tracks be like those of `stream`. `ends`: who receives one that nothing follows is told so. A protocol's
// may come again.
void Mesh::run(Stream& now, config::Stream stream, bool ends) {
    const auto names = config::track_names(stream);
    const auto was = config::counterparts(now.running(), stream);
    std::vector<std::unique_ptr<Track>> before = std::move(now.tracks);
    now.tracks.clear();
    std::vector<Track*> successors(before.size());
    for (size_t t = 0; t < stream.tracks.size(); t++) {
        Track* const old = was[t] ? before[*was[t]].get() : nullptr;
        if (old != nullptr && old->config == stream.tracks[t]) {
            old->name = names[t];
            now.tracks.push_back(std::move(before[*was[t]]));
            continue;
        }
        now.tracks.push_back(make_track(now.settings.name, names[t], std::move(stream.tracks[t]), old));
        if (was[t]) successors[*was[t]] = now.tracks.back().get();
    }
    // The new tracks come into use before the old ones go, so that a destination of both is never forgotten between.
    for (const auto& track : now.tracks)
        if (!track->flows && !track->dirty) use(*track);
    for (size_t b = 0; b < before.size(); b++) {
        if (!before[b]) continue;
        hand_on_viewers(*before[b], successors[b]);
        retire(std::move(before[b]), ends && successors[b] == nullptr);
    }
}

bool Mesh::remove(const std::string& name) {
    const auto found = streams_.find(name);
    if (found == streams_.end()) return false;
    if (!found->second.brought().empty()) displaced_.push_back(name);
    for (auto& track : found->second.tracks) {
        hand_on_viewers(*track, nullptr);
        retire(std::move(track), true);
    }
    streams_.erase(found);
    return true;
}

// `before`: what the track was until now. Paths and outputs that it has too keep their state, and it its worker.
std::unique_ptr<Track> Mesh::make_track(const std::string& stream, const std::string& name, config::Track of,
                                        const Track* before) {
    auto track = std::make_unique<Track>(stream);
    track->name = name;
    track->config = std::move(of);
    track->config.outputs.shrink_to_fit();  // it is there for long
    track->owner = before ? before->owner : choose_owner(track->config);
    track->feed = before ? before->feed : next_feed_++;
    // The states of one that is new are one piece: most tracks stay as they are.
    struct States {
        flow::PathState path;
        flow::SampledLatency latency;
        flow::LegState leg;
    };
    const auto states = before ? nullptr : std::allocate_shared<States>(LineAllocator<States>());
    track->paths.reserve(track->config.sources.size());
    for (const config::Source& source : track->config.sources) {
        std::shared_ptr<flow::PathState> state;
        if (before)
            for (const Path& path : before->paths)
                if (same_path(path.source, source)) state = path.state;
        if (states && track->paths.empty()) state = {states, &states->path};
        if (!state) state = std::allocate_shared<flow::PathState>(LineAllocator<flow::PathState>());
        track->paths.push_back({source, !track->paths.empty(), std::move(state)});
    }
    take_fec(*track, before);
    take_merge(*track, before);
    for (const Path& path : track->paths)
        if (track->extras().merge || track->constant_rate() || path.source.tells_sender) path.state->make_extras();
    track->latency = before ? before->latency : std::shared_ptr<flow::SampledLatency>(states, &states->latency);
    take_history(*track, before);
    take_repeat(*track, before);
    take_retransmission(*track, before);
    take_reorder(*track, before);
    take_sent(*track, before);
    take_outputs(*track, before, states ? std::shared_ptr<flow::LegState>(states, &states->leg) : nullptr);
    account(*track, true);
    return track;
}

// Receivers that the track had before, too, keep their states, and the worker that writes them.
void Mesh::take_outputs(Track& track, const Track* before, std::shared_ptr<flow::LegState> for_one) const {
    using Receiver = std::tuple<const Endpoint&, uint16_t, const config::PortName&>;
    const auto receiver = [](const config::Output& output) { return Receiver(output.rtp, output.vlan, output.port); };
    std::map<Receiver, const Output*> known;
    if (before)
        for (const Output& output : before->outputs) known.emplace(receiver(output.to), &output);
    // The counters of new legs lie in one piece: a worker walks them leg by leg.
    const size_t count = track.config.outputs.size();
    std::shared_ptr<flow::LegState[]> states;
    if (count > 1 || (count != 0 && !for_one)) states.reset(new flow::LegState[count]);
    std::vector<size_t> fresh;
    track.outputs.reserve(count);
    for (const config::Output& output : track.config.outputs) {
        const size_t i = track.outputs.size();
        Output made{.to = output, .worker = track.owner};
        made.state = states ? std::shared_ptr<flow::LegState>(states, &states[static_cast<ptrdiff_t>(i)]) : for_one;
        Output::Extras more;
        // The owner sends what is numbered anew, so it has to be the one who writes the state.
        const bool by_owner = output.fec && output.fec->code.carriage.among_media;
        const auto stays = known.find(receiver(output));
        if (stays != known.end() && (!by_owner || stays->second->worker == track.owner)) {
            made.state = stays->second->state;
            made.worker = stays->second->worker;
            more = stays->second->extras();
        } else if (!by_owner) {
            fresh.push_back(i);
        }
        const bool heard = track.config.feedback && !output.rtp.ip.is_multicast();
        if (!heard) more.feedback = nullptr;
        if (heard && !more.feedback) more.feedback = std::make_shared<flow::Feedback>();
        if (!output.fec) more.repair = more.rows = nullptr;
        if (output.fec && !more.repair) {
            more.repair = std::make_shared<flow::LegState>();
            more.rows = std::make_shared<flow::LegState>();
        }
        if (output.duplicate_after.count() == 0) {
            more.repeated = nullptr;
        } else if (!more.repeated) {
            more.repeated = std::make_shared<flow::LegState>();
        }
        if (more.feedback || more.repair || more.repeated) made.more = std::move(more);
        track.outputs.push_back(std::move(made));
    }
    place(track, fresh);
}

void Mesh::retire(std::unique_ptr<Track> track, bool ends) {
    disuse(*track);
    account(*track, false);
    std::erase(dirty_, track.get());
    flow::share(track->flows, removed_);
    if (ends) add_ending(*track);
    compiled_ = false;
}

// Of the workers that poll a port where the track can arrive, the one with the least to do: what it was measured to do,
// and what it was given, which weighs in before there is traffic and when many tracks come at once.
uint16_t Mesh::choose_owner(const config::Track& track) const {
    Placement all;
    for (const Placement& p : placed_) all = {all.tracks + p.tracks, all.outputs + p.outputs, all.load + p.load};
    const auto share = [](double part, double whole) { return whole > 0 ? part / whole : 0; };
    const auto busy = [&](uint16_t worker) {
        const Placement& p = placed_[worker];
        return share(p.load, all.load) +
               share(static_cast<double>(p.tracks + p.outputs), static_cast<double>(all.tracks + all.outputs));
    };
    std::optional<uint16_t> best;
    for (const flow::PortInfo& port : ports_) {
        const bool arrives = std::ranges::any_of(
            track.sources, [&](const config::Source& s) { return !s.port || *s.port == port.name; });
        if (!arrives) continue;
        for (const uint16_t worker : port.rx_workers)
            if (!best || busy(worker) < busy(*best)) best = worker;
    }
    return best.value_or(0);
}

// Which worker makes the copies for the outputs that are new: the owner, or for a large fan-out the one that has the
// fewest of them.
void Mesh::place(Track& track, std::span<const size_t> fresh) const {
    std::vector<size_t> served(placed_.size());
    for (Output& output : track.outputs) served[output.worker]++;
    for (const Viewer* viewer : track.extras().viewers) served[viewer->leg.worker] += viewer->leg.over_tcp ? 0 : 1;
    for (const size_t i : fresh) served[track.outputs[i].worker]--;
    const bool spread = track.outputs.size() > kSpreadFrom;
    for (const size_t i : fresh) {
        uint16_t worker = track.owner;
        if (spread)
            for (uint16_t w = 0; w < served.size(); w++)
                if (served[w] < served[worker]) worker = w;
        track.outputs[i].worker = worker;
        served[worker]++;
    }
}

void Mesh::account(const Track& track, bool added) {
    const auto count = [&](size_t& n) { added ? n++ : n--; };
    count(placed_[track.owner].tracks);
    for (const Output& output : track.outputs) count(placed_[output.worker].outputs);
}

void Mesh::measured(std::span<const double> load) {
    for (size_t w = 0; w < placed_.size() && w < load.size(); w++) placed_[w].load = load[w];
}

void Mesh::touch(Track& track) {
    if (!std::exchange(track.dirty, true)) dirty_.push_back(&track);
}

void Mesh::set_forwarding(bool on) {
    current_.set_stopped(!on);
    compiled_ = false;
}

std::unique_ptr<const flow::Table> Mesh::compile() {
    if (dirty_.empty() && compiled_) return nullptr;
    std::vector<flow::FlowPtr> added = std::exchange(added_, {}), removed = std::exchange(removed_, {});
    for (Track* track : std::exchange(dirty_, {})) {
        flow::share(track->flows, removed);
        note_joining(*track);
        note_first(*track);
        track->flows = flows_of(*track);
        flow::share(track->flows, added);
        track->dirty = false;
    }
    compiled_ = true;
    auto next = current_.with(added, removed);
    current_ = *next;
    if (ending_.empty()) return next;
    auto last = std::make_unique<flow::Table>(*next);
    last->set_ending(std::exchange(ending_, {}));
    return last;
}

}  // namespace penstock::mesh
