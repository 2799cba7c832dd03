#include "pulled.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "control/rtsp/announce.hpp"
#include "control/sdp/groups.hpp"
#include "control/sdp/track.hpp"
#include "random_bits.hpp"
#include "version.hpp"

namespace penstock {
Pulled::Pulled(std::string stream, config::Pull config, const Surroundings& around)
    : stream_(std::move(stream)),
      config_(std::move(config)),
      around_(around),
      pull_({config_.location, config_.reach, fmt::format("penstock/{}", kVersion)}, random_bits),
      tcp_(around.loop, {.connected =
                             [this](const Endpoint& remote, const Endpoint& local) {
                                 remote_ = remote;
                                 local_ = local;
                                 pull_.connected(Clock::now(), remote.ip);
                                 drain();
                             },
                         .received =
                             [this](std::span<const std::byte> bytes) {
                                 pull_.receive(Clock::now(), bytes);
                                 drain();
                             },
                         .disconnected =
                             [this](std::string_view why) {
                                 if (tcp_.refused_by_tls())
                                     pull_.give_up(Clock::now(), rtsp::Failure::tls, std::string(why));
                                 else
                                     pull_.disconnected(Clock::now(), why);
                                 drain();
                             }}) {
    // Tracks of a camera that the stream had before are there already, and perhaps watched.
    const mesh::Stream* known = around_.mesh.stream(stream_);
    if (!config_.on_demand || (known != nullptr && !known->tracks.empty())) start();
}

Pulled::~Pulled() { give_ports_back(); }

void Pulled::start() {
    watched_ = Clock::now();
    if (pull_.wanted()) return;
    pull_.start(watched_);
    drain();
}

void Pulled::stop() {
    pull_.stop(Clock::now());
    drain();
    around_.mesh.withdraw(stream_);
    around_.changed();
}

void Pulled::leave() {
    left_ = true;
    tell(404);
    pull_.stop(Clock::now());
    drain();
}

void Pulled::wait_for(Told told) {
    waiting_.push_back({std::move(told), Clock::now() + config_.wait});
    start();
}

void Pulled::tell(int status) {
    for (const Waiting& waiting : std::exchange(waiting_, {})) waiting.told(status);
}

void Pulled::drain() {
    if (std::exchange(draining_, true)) return;
    while (const auto output = pull_.poll(Clock::now()))
        std::visit([this](const auto& wanted) { on(wanted); }, *output);
    draining_ = false;
}

void Pulled::on(const rtsp::client::Connect& connect) {
    for (Track& track : tracks_) {
        track.rtp.reset();
        track.rtcp.reset();
    }
    if (!connect.tls) return tcp_.connect(connect.host, connect.port);
    const auto trust = around_.trusts.of(config_.tls_verify, config_.tls_ca);
    if (!trust) return pull_.give_up(Clock::now(), rtsp::Failure::tls, trust.error().text);
    tcp_.connect(connect.host, connect.port, *trust);
}

void Pulled::on(const rtsp::client::Described& described) {
    tracks_.clear();
    std::vector<rtsp::Wanted> wanted;
    const auto& media = described.description.media;
    const auto originals = sdp::originals(described.description), repaired = sdp::repaired(described.description);
    const auto known = [&](std::optional<size_t> medium) -> std::optional<size_t> {
        const auto found = medium ? std::ranges::find(tracks_, *medium, &Track::media) : tracks_.end();
        return found == tracks_.end() ? std::nullopt : std::optional(static_cast<size_t>(found - tracks_.begin()));
    };
    if (local_.ip != ports_at_) give_ports_back();
    ports_at_ = local_.ip;
    for (size_t m = 0; m < media.size() && tracks_.size() < rtsp::kMostPulledTracks; m++) {
        auto track = rtsp::track_in(media[m]);
        if (!track) {
            around_.log.debug("RTSP pull '{}': a track is left out: {}", stream_, track.error().why);
            continue;
        }
        // Interleaved media is addressed to a pair, too: it is what the workers know the track by.
        rtsp::Wanted want{m, std::nullopt};
        if (pull_.way() != rtsp::Way::multicast) {
            const auto port = take_port(tracks_.size());
            if (!port) return pull_.give_up(Clock::now(), rtsp::Failure::no_ports, "no free pair in media.ports");
            want.client_port = rtsp::Pair{*port, static_cast<uint16_t>(*port + 1)};
        }
        wanted.push_back(want);
        tracks_.push_back({.media = m, .config = std::move(*track)});
    }
    for (Track& track : tracks_) {
        track.copy_of = known(originals[track.media]);
        track.repairs = known(repaired[track.media]);
        track.duplicated = sdp::duplicated(media[track.media]);
        track.repair = track.repairs ? sdp::repair_in(media[track.media], media[track.media].formats[0])
                                     : rtsp::repair_among(media[track.media]);
    }
    pull_.set_up(Clock::now(), std::move(wanted));
}

std::optional<uint16_t> Pulled::take_port(size_t track) {
    if (track < ports_.size()) return ports_[track];
    const auto port = around_.ports.take([&](uint16_t rtp) {
        return !around_.mesh.takes({local_.ip, rtp, 0}) &&
               !around_.mesh.takes({local_.ip, static_cast<uint16_t>(rtp + 1), 0});
    });
    if (port) ports_.push_back(*port);
    return port;
}

void Pulled::give_ports_back() {
    for (const uint16_t port : std::exchange(ports_, {})) around_.ports.give_back(port);
}

void Pulled::on(const rtsp::client::Granted& granted) {
    if (left_) return;
    find_sources(granted);
    if (auto brought = bring(); !brought)
        return pull_.give_up(Clock::now(), rtsp::Failure::refused, brought.error().text);
    around_.changed();
    packets_ = 0;
    delivers_ = false;
    tell(0);
    pull_.play(Clock::now());
}

void Pulled::find_sources(const rtsp::client::Granted& granted) {
    for (size_t t = 0; t < tracks_.size(); t++) {
        const rtsp::Transport& transport = granted.tracks[t].transport;
        config::Source source;
        if (pull_.way() == rtsp::Way::multicast) {
            source.rtp = {*Ip::parse(*transport.destination), transport.port->rtp};
            source.port = around_.port_of(local_.ip);
        } else {
            source.rtp = {local_.ip, ports_[t]};
        }
        if (pull_.way() == rtsp::Way::tcp) {
            source.from = remote_.ip;
            tracks_[t].channel = static_cast<uint8_t>(transport.interleaved->rtcp);
        } else if (config_.from == config::From::announced) {
            source.from = Ip::parse(*transport.source);
        } else {
            source.tells_sender = config_.from == config::From::first;
        }
        tracks_[t].source = source;
    }
}

Result<void> Pulled::bring() {
    std::vector<rtsp::ArrivingMedia> media;
    for (const Track& track : tracks_)
        media.push_back({track.config, track.source, track.copy_of, track.repairs, track.repair, track.duplicated});
    auto arriving = rtsp::tracks_of(media);
    if (auto brought = around_.mesh.bring(stream_, std::move(arriving.tracks)); !brought) return brought;
    for (size_t t = 0; t < tracks_.size(); t++) tracks_[t].place = arriving.places[t];
    if (pull_.way() != rtsp::Way::tcp) return {};
    const auto& made = around_.mesh.stream(stream_)->tracks;
    for (size_t t = 0; t < tracks_.size(); t++) {
        const Endpoint rtp = tracks_[t].source.rtp;
        const auto& owned = tracks_[t].repairs ? tracks_[*tracks_[t].repairs].place : tracks_[t].place;
        if (!owned) continue;
        const uint16_t owner = made[owned->track]->owner;
        tracks_[t].rtp.emplace(remote_, rtp, owner);
        if (tracks_[t].place)
            tracks_[t].rtcp.emplace(remote_, Endpoint{rtp.ip, static_cast<uint16_t>(rtp.port + config::kRtcpPort)},
                                    owner);
    }
    return {};
}

void Pulled::on(const rtsp::client::Received& received) {
    const auto track = std::ranges::find(tracks_, received.media, &Track::media);
    if (track == tracks_.end()) return;
    const auto& way = received.rtcp ? track->rtcp : track->rtp;
    if (way) around_.ingest.offer(*way, received.packet);
}

bool Pulled::tell(const Endpoint& at, std::span<const std::byte> rtcp) {
    for (const Track& track : tracks_) {
        const Endpoint& rtp = track.source.rtp;
        if (!track.rtcp || rtp.ip != at.ip || rtp.port + config::kRtcpPort != at.port) continue;
        if (!tcp_.keeps_up()) return false;
        tcp_.send(write(rtsp::Frame{track.channel, {rtcp.begin(), rtcp.end()}}));
        return true;
    }
    return false;
}

void Pulled::on(const rtsp::client::Over& over) {
    give_ports_back();  // a camera that was not told goes on to send there: the next session has others
    if (!over.failure) return;
    const rtsp::PullFacts& facts = pull_.facts();
    const bool at_once = facts.next && *facts.next <= Clock::now();  // the other way, instead
    const std::string_view next = at_once ? "it is tried by TCP"
                                  : *over.failure == rtsp::Failure::unauthorized
                                      ? "it is tried again after minutes only, since cameras lock accounts"
                                      : "it is tried again, with growing pauses up to 30 s";
    if (std::exchange(said_, over.failure) != over.failure)
        around_.log.warning("RTSP pull '{}': {}: {}; {}", stream_, name(*over.failure), over.why, next);
    if (!at_once) tell(status_of(*over.failure));
}

bool Pulled::watched() const {
    if (!waiting_.empty()) return true;
    const mesh::Stream* stream = around_.mesh.stream(stream_);
    if (stream == nullptr) return false;
    return std::ranges::any_of(stream->tracks, [](const auto& track) { return !track->extras().viewers.empty(); }) ||
           std::ranges::any_of(stream->settings.tracks, [](const auto& entry) { return !entry.outputs.empty(); });
}

void Pulled::tick() {
    const Instant now = Clock::now();
    if (pull_.playing()) look_for_media();
    pull_.expire(now);
    drain();
    const auto late = std::ranges::partition(waiting_, [&](const Waiting& w) { return now < w.deadline; });
    std::vector<Waiting> over(std::make_move_iterator(late.begin()), std::make_move_iterator(late.end()));
    waiting_.erase(late.begin(), late.end());
    const auto& failure = pull_.facts().failure;
    for (const Waiting& w : over) w.told(failure && pull_.facts().tries != 0 ? status_of(*failure) : 504);
    say_unmet();
    if (!config_.on_demand || left_) return;
    if (watched()) return start();
    if (pull_.wanted() && now - watched_ >= config_.linger) {
        around_.log.info("RTSP pull '{}': nobody has watched for {} s: stopped", stream_, config_.linger.count());
        stop();
    }
}

// Once, for as long as it is so.
void Pulled::say_unmet() {
    const mesh::Stream* stream = around_.mesh.stream(stream_);
    if (stream == nullptr || left_ || stream->unmet() == unmet_) return;
    for (const std::string& why : stream->unmet())
        if (std::ranges::find(unmet_, why) == unmet_.end())
            around_.log.warning("RTSP pull '{}': {}: its outputs get nothing", stream_, why);
    unmet_ = stream->unmet();
}

void Pulled::look_for_media() {
    const mesh::Stream* stream = around_.mesh.stream(stream_);
    if (stream == nullptr) return;
    uint64_t packets = 0;
    std::string names;
    for (const auto& track : stream->tracks) {
        names += fmt::format("{}{}", names.empty() ? "" : ", ", track->name);
        for (const mesh::Path& path : track->paths) packets += path.state->reception.counters().packets.read();
    }
    latch(*stream);
    if (packets <= std::exchange(packets_, packets)) return;
    pull_.media(Clock::now());
    if (std::exchange(delivers_, true)) return;
    said_.reset();
    around_.log.info("RTSP pull '{}': {} comes from {} by {}", stream_, names, shown(config_.location),
                     name(pull_.way()));
}

// `from: first`: from now on the packets of a track are those of who sent its first one.
void Pulled::latch(const mesh::Stream& stream) {
    bool found = false;
    for (Track& track : tracks_) {
        config::Source& source = track.source;
        if (!source.tells_sender || !track.place) continue;
        const mesh::Track& of = *stream.tracks[track.place->track];
        const auto sender = of.paths[track.place->path].state->extras().first_sender.read();
        if (!sender) continue;
        around_.log.info("RTSP pull '{}': {} is taken from {} alone", stream_, of.name, sender->text());
        source.from = sender;
        source.tells_sender = false;
        found = true;
    }
    if (!found) return;
    packets_ = 0;  // of tracks that are made anew
    if (auto brought = bring(); !brought)
        return pull_.give_up(Clock::now(), rtsp::Failure::refused, brought.error().text);
    around_.changed();
}

}  // namespace penstock
