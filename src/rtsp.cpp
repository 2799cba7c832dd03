#include "rtsp.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "control/metrics/rtsp.hpp"
#include "control/rtsp/offer.hpp"
#include "random_bits.hpp"
#include "rtp/picture.hpp"
#include "rtp/rtcp/report.hpp"

namespace penstock {
namespace {

using namespace std::chrono_literals;

// RTP-Info names the packet that leaves first, so the answer to PLAY waits for it; but not longer than this.
constexpr auto kFirstPacketWithin = 250ms;
constexpr auto kLookEvery = 2ms;

std::string_view over(const rtsp::Session& session) {
    const std::string_view transport = session.transport();
    return transport == "tcp" ? "TCP" : transport == "udp" ? "UDP" : transport;
}

}  // namespace

Rtsp::Rtsp(const config::Config& config, Surroundings around)
    : around_(std::move(around)),
      tunnels_(settings_of(config.rtsp).software),
      server_(settings_of(config.rtsp), random_bits),
      ports_(around_.ports),
      publishers_({.log = around_.log,
                   .mesh = around_.mesh,
                   .ingest = around_.ingest,
                   .take_port =
                       [this](const Ip& local) {
                           const auto port = take_port(local);
                           if (port) release({local, *port});  // as a source's they are claimed by Node
                           return port;
                       },
                   .give_back = [this](uint16_t port) { ports_.give_back(port); },
                   .changed = around_.streams_changed,
                   .takeover = config.rtsp.publish && config.rtsp.publish->takeover}),
      multicast_(config.rtsp.multicast),
      over_tcp_(around_.loop, around_.take_diverted) {
    if (multicast_) groups_.emplace(multicast_->groups);
}

Result<std::unique_ptr<Rtsp>> Rtsp::open(const config::Config& config, Surroundings around) {
    std::unique_ptr<Rtsp> self(new Rtsp(config, std::move(around)));
    Rtsp* const rtsp = self.get();
    auto tcp = io::TcpServer::open(rtsp->around_.loop, config.rtsp.listen,
                                   {.connected =
                                        [rtsp](auto id, const Endpoint& remote, const Endpoint& local) {
                                            const Instant now = Clock::now();
                                            if (!rtsp->server_.connected(now, id, {remote, local})) return false;
                                            rtsp->tunnels_.connected(now, id, remote.ip);
                                            return true;
                                        },
                                    .received =
                                        [rtsp](auto id, std::span<const std::byte> bytes) {
                                            rtsp->tunnels_.receive(Clock::now(), id, bytes);
                                            rtsp->drain_tunnels();
                                        },
                                    .disconnected =
                                        [rtsp](auto id) {
                                            rtsp->over_tcp_.disconnected(id);
                                            rtsp->tunnels_.disconnected(Clock::now(), id);
                                            rtsp->drain_tunnels();
                                            rtsp->server_.disconnected(id);
                                            rtsp->drain();
                                        }});
    if (!tcp) return fail(fmt::format("rtsp.listen: {}", tcp.error().text));
    self->tcp_ = std::move(*tcp);
    self->over_tcp_.on(*self->tcp_);
    self->second_ = rtsp->around_.loop.every(1s, [rtsp] { rtsp->second(); });
    return self;
}

void Rtsp::drain_tunnels() {
    while (const auto output = tunnels_.poll()) std::visit([this](const auto& wanted) { on(wanted); }, *output);
}

void Rtsp::on(const rtsp::Tunnels::Bytes& said) {
    server_.receive(Clock::now(), said.connection, said.bytes);
    drain();
}

void Rtsp::on(const rtsp::Tunnels::Joined& joined) { server_.disconnected(joined.connection); }

// What the server wants done. Doing it may make it want more.
void Rtsp::drain() {
    if (std::exchange(draining_, true)) return;
    while (const auto output = server_.poll()) std::visit([this](const auto& wanted) { on(wanted); }, *output);
    draining_ = false;
}

void Rtsp::on(const rtsp::Send& send) {
    if (!over_tcp_.send(send)) tcp_->send(send.to, send.bytes);
}

bool Rtsp::tell(const Endpoint& at, std::span<const std::byte> rtcp) {
    const auto send = publishers_.tell(at, rtcp);
    if (!send || !tcp_->keeps_up(send->to)) return false;  // its media must go on though it reads nothing
    on(*send);
    return true;
}

void Rtsp::on(const rtsp::Close& close) {
    over_tcp_.close(close.connection);
    tcp_->close(close.connection);
}

void Rtsp::on(const rtsp::Describe& describe) {
    const mesh::Stream* stream = around_.mesh.stream(describe.stream);
    const auto told = [this, describe](int status) {
        server_.answer(Clock::now(), describe.ticket, status == 0 ? description(describe) : rtsp::Refusal{status});
        drain();
    };
    if (stream != nullptr && stream->tracks.empty() && around_.wake(describe.stream, told)) return;
    told(0);
}

rtsp::Answer Rtsp::description(const rtsp::Describe& describe) {
    const mesh::Stream* stream = around_.mesh.stream(describe.stream);
    if (stream == nullptr) return rtsp::Refusal{404};
    std::vector<rtsp::OfferedTrack> tracks;
    for (const auto& track : stream->tracks) tracks.push_back({track->name, track->config});
    auto sdp = rtsp::offer(describe.stream, tracks, describe.local, describe.agent);
    if (sdp) return rtsp::Described{std::move(*sdp)};
    around_.log.warning("RTSP cannot describe stream '{}': {}", describe.stream, sdp.error().text);
    return rtsp::Refusal{503};
}

// Of the tracks that go over TCP.
void Rtsp::prepare(rtsp::SessionId session, bool from_key_frame) {
    rtsp::Interleaver::Plan plan{.session = session, .connection = 0, .lanes = {}, .from_key_frame = false};
    for (const auto& [name, watched] : watched_[session]) {
        const mesh::Viewer* viewer = around_.mesh.viewer(watched.viewer);
        if (watched.port != 0 || viewer == nullptr || viewer->track == nullptr) continue;
        const config::Track& of = viewer->track->config;
        plan.connection = watched.connection;
        plan.from_key_frame |= from_key_frame && viewer->track->extras().history;
        plan.lanes.emplace_back(rtsp::Lane{.feed = viewer->track->feed,
                                           .rtp = static_cast<uint8_t>(watched.channels.rtp),
                                           .rtcp = static_cast<uint8_t>(watched.channels.rtcp),
                                           .codec = rtp::codec_of(of.encoding),
                                           .video = of.media == "video"},
                                viewer->leg.state);
    }
    if (plan.lanes.empty()) return over_tcp_.leave(session);
    over_tcp_.prepare(std::move(plan));
}

void Rtsp::on(const rtsp::Play& play) {
    this->play(play.session, true);
    prepare(play.session, true);
    starting_[play.ticket] = {play.session, Clock::now() + kFirstPacketWithin};
    if (!first_packets_) first_packets_ = around_.loop.every(kLookEvery, [this] { look_for_first_packets(); });
}

// Whether every track has sent; `playing` is filled with what is known.
bool Rtsp::started(rtsp::SessionId session, const Tracks& tracks, rtsp::Playing& playing) const {
    bool all = true;
    for (const auto& [track, watched] : tracks) {
        if (watched.ran) {  // which of its packets this session sees first nobody knows
            playing.tracks.push_back({track, std::nullopt, std::nullopt});
            continue;
        }
        std::optional<flow::FirstPacket::Values> first;
        if (watched.port != 0) {
            first = around_.mesh.first_packet(watched.viewer);
        } else if (const mesh::Viewer* viewer = around_.mesh.viewer(watched.viewer); viewer && viewer->track) {
            if (const auto told = over_tcp_.first(session, viewer->track->feed))
                first = {told->sequence, told->timestamp};
        }
        playing.tracks.push_back({track, std::nullopt, std::nullopt});
        if (first) {
            playing.tracks.back().sequence = first->sequence;
            playing.tracks.back().timestamp = first->timestamp;
        } else {
            all = false;
        }
    }
    return all;
}

void Rtsp::look_for_first_packets() {
    const Instant now = Clock::now();
    for (auto it = starting_.begin(); it != starting_.end();) {
        const auto& [session, deadline] = it->second;
        rtsp::Playing playing;
        const auto tracks = watched_.find(session);
        const bool all = tracks == watched_.end() || started(session, tracks->second, playing);
        if (!all && now < deadline) {
            ++it;
            continue;
        }
        if (tracks != watched_.end())
            for (const auto& [track, watched] : tracks->second) around_.mesh.give_up_first_packet(watched.viewer);
        over_tcp_.begin(session);
        server_.answer(now, it->first, std::move(playing));
        it = starting_.erase(it);
    }
    if (starting_.empty()) first_packets_ = {};
    drain();
}

void Rtsp::on(const rtsp::Pause& pause) {
    over_tcp_.halt(pause.session);
    play(pause.session, false);
}

void Rtsp::play(rtsp::SessionId session, bool playing) {
    const auto tracks = watched_.find(session);
    if (tracks == watched_.end()) return;
    for (auto& [track, watched] : tracks->second) {
        if (!watched.shared) {
            around_.mesh.play(watched.viewer, playing);
            continue;
        }
        watched.ran = groups_->sent(watched.viewer);
        groups_->play(watched.viewer, session, playing);
        around_.mesh.play(watched.viewer, groups_->sent(watched.viewer));
    }
    around_.changed();
}

void Rtsp::on(const rtsp::Leave& leave) {
    const auto tracks = watched_.find(leave.session);
    if (tracks == watched_.end()) return;
    if (const auto track = tracks->second.find(leave.track); track != tracks->second.end()) {
        const bool over_tcp = track->second.port == 0;
        free(leave.session, track->second);
        tracks->second.erase(track);
        const auto session = server_.sessions().find(leave.session);
        if (!over_tcp || session == server_.sessions().end() || session->second.state != rtsp::State::playing) return;
        prepare(leave.session, false);  // the other tracks go on after the answer
        over_tcp_.begin(leave.session);
    }
}

void Rtsp::on(const rtsp::Feedback& feedback) {
    const auto tracks = watched_.find(feedback.session);
    if (tracks == watched_.end()) return;
    const auto track = tracks->second.find(feedback.track);
    if (track == tracks->second.end()) return;
    const mesh::Viewer* viewer = around_.mesh.viewer(track->second.viewer);
    if (viewer == nullptr) return;
    viewer->feedback->packets.add();
    const auto ssrc = viewer->track != nullptr ? viewer->track->seen_ssrc() : std::nullopt;
    if (const auto report = rtp::report_on(ssrc.value_or(0), feedback.bytes))
        viewer->feedback->lost.set(static_cast<uint64_t>(std::max(report->lost, 0)));
}

void Rtsp::on(const rtsp::Admit& admit) { server_.answer(Clock::now(), admit.ticket, publishers_.admit(admit)); }
void Rtsp::on(const rtsp::Receive& receive) {
    server_.answer(Clock::now(), receive.ticket, publishers_.receive(receive));
}
void Rtsp::on(const rtsp::Record& record) {
    auto recorded = publishers_.record(record.session);
    if (recorded.before) server_.end(*recorded.before, rtsp::EndReason::taken_over);
    server_.answer(Clock::now(), record.ticket, std::move(recorded.answer));
}

void Rtsp::on(const rtsp::End& end) {
    if (publishers_.end(end)) return;
    over_tcp_.leave(end.session.id);
    const auto ended = watched_.extract(end.session.id);
    if (!ended) return;
    std::string tracks;
    uint64_t packets = 0;
    for (const auto& [track, watched] : ended.mapped()) {
        tracks += fmt::format("{}{}", tracks.empty() ? "" : ", ", track);
        if (const mesh::Viewer* viewer = around_.mesh.viewer(watched.viewer))
            packets += viewer->leg.state->packets.read() - watched.before;
        free(end.session.id, watched);
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - end.session.started).count();
    around_.log.info("RTSP session {:.8}: {} had '{}' ({}) over {} for {:.1f} s, {} packets; ended by {}; {}agent '{}'",
                     end.session.token, end.session.viewer.text(), end.session.stream, tracks, over(end.session),
                     seconds, packets, name(end.reason), end.session.named(), end.session.agent);
}

void Rtsp::follow_model() {
    for (const uint64_t viewer : around_.mesh.take_orphans())
        for (const rtsp::SessionId session : sessions_of(viewer)) server_.end(session, rtsp::EndReason::stream_gone);
    for (const rtsp::SessionId publisher : publishers_.displaced())
        server_.end(publisher, rtsp::EndReason::stream_gone);
    drain();
}

void Rtsp::stop() {
    std::vector<rtsp::SessionId> all;
    for (const auto& [id, session] : server_.sessions()) all.push_back(id);
    for (const rtsp::SessionId id : all) server_.end(id, rtsp::EndReason::stopped);
    drain();
}

// Who sent RTCP is alive, and who sent nothing at all for too long is not.
void Rtsp::second() {
    const Instant now = Clock::now();
    for (auto& [session, tracks] : watched_)
        for (auto& [track, watched] : tracks) {
            const mesh::Viewer* viewer = around_.mesh.viewer(watched.viewer);
            if (viewer == nullptr || watched.shared) continue;
            const uint64_t heard = viewer->feedback->packets.read();
            if (heard != std::exchange(watched.heard, heard)) server_.heard(now, session);
        }
    listen_in_groups(now);
    for (const rtsp::SessionId publisher : publishers_.heard()) server_.heard(now, publisher);
    if (around_.mesh.settle_viewers()) around_.changed();
    tunnels_.expire(now);
    drain_tunnels();
    server_.expire(now);
    drain();
}

cli::Report Rtsp::sessions() const {
    const Instant now = Clock::now();
    const auto seconds = [&](Instant since) { return std::chrono::duration<double>(now - since).count(); };
    std::vector<cli::RtspSession> all;
    for (const auto& [id, session] : server_.sessions()) {
        cli::RtspSession s{.session = session.token.substr(0, 8),
                           .viewer = session.viewer.text(),
                           .user = session.user,
                           .stream = session.stream,
                           .state = std::string(name(session.state)),
                           .transport = std::string(session.transport()),
                           .agent = session.agent,
                           .seconds = seconds(session.started),
                           .silent_seconds = seconds(session.heard),
                           .tracks = publishers_.tracks(id)};
        if (const auto tracks = watched_.find(id); tracks != watched_.end())
            for (const auto& [track, watched] : tracks->second)
                if (const mesh::Viewer* viewer = around_.mesh.viewer(watched.viewer)) {
                    flow::Participant::Voice said{0, viewer->feedback->packets.read(), viewer->feedback->lost.read()};
                    if (watched.shared) said = voice_of(id, watched);
                    s.tracks.push_back({track, viewer->leg.name().substr(sizeof "rtsp:" - 1), watched.port,
                                        viewer->leg.state->packets.read(), viewer->leg.state->bytes.read(),
                                        said.packets, said.lost});
                }
        all.push_back(std::move(s));
    }
    return cli::show_rtsp_sessions(all);
}

std::string Rtsp::metrics() const {
    metrics::RtspFacts facts{.server = server_.counters(),
                             .tunnel = tunnels_.counters(),
                             .tunnels = tunnels_.open(),
                             .connections = server_.connections(),
                             .sessions = {},
                             .ports_taken = ports_.taken(),
                             .ports = ports_.size(),
                             .groups_taken = groups_ ? groups_->taken() : 0,
                             .groups = groups_ ? groups_->size() : 0,
                             .over_tcp = over_tcp_.counters()};
    for (const auto& [id, session] : server_.sessions()) facts.sessions[{name(session.state), session.transport()}]++;
    return metrics::render(facts);
}

}  // namespace penstock
