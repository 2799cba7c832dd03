#include "pulls.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "control/metrics/pulls.hpp"

namespace penstock {
namespace {

constexpr auto kTick = std::chrono::milliseconds(200);

}  // namespace

Pulls::Pulls(Pulled::Surroundings around) : around_(std::move(around)) {
    tick_ = around_.loop.every(kTick, [this] { tick(); });
}

void Pulls::follow_model() {
    for (auto it = pulled_.begin(); it != pulled_.end();) {
        const mesh::Stream* stream = around_.mesh.stream(it->first);
        if (stream != nullptr && stream->settings.rtsp == it->second->config()) {
            ++it;
            continue;
        }
        auto leaving = std::move(it->second);
        it = pulled_.erase(it);
        leaving->leave();
        leaving_.push_back(std::move(leaving));
    }
    std::vector<std::pair<std::string, config::Pull>> fresh;
    for (const auto& [name, stream] : around_.mesh.streams())
        if (stream.settings.rtsp && !pulled_.contains(name)) fresh.emplace_back(name, *stream.settings.rtsp);
    for (auto& [name, pull] : fresh) pulled_[name] = std::make_unique<Pulled>(name, std::move(pull), around_);
}

bool Pulls::wake(const std::string& stream, Pulled::Told told) {
    const auto found = pulled_.find(stream);
    if (found == pulled_.end()) return false;
    found->second->wait_for(std::move(told));
    return true;
}

void Pulls::tick() {
    // Telling a viewer, or bringing tracks, may change what there is.
    std::vector<Pulled*> all;
    for (const auto& [name, pulled] : pulled_) all.push_back(pulled.get());
    for (const auto& pulled : leaving_) all.push_back(pulled.get());
    for (Pulled* pulled : all) pulled->tick();
    std::erase_if(leaving_, [](const auto& pulled) { return pulled->gone(); });
}

bool Pulls::tell(const Endpoint& at, std::span<const std::byte> rtcp) {
    return std::ranges::any_of(pulled_, [&](const auto& one) { return one.second->tell(at, rtcp); });
}

void Pulls::stop() {
    for (const auto& [name, pulled] : pulled_) pulled->leave();
}

cli::Report Pulls::sources() const {
    const Instant now = Clock::now();
    const auto seconds = [](Duration d) { return std::chrono::duration<double>(d).count(); };
    std::vector<cli::RtspSource> all;
    for (const auto& [stream, pulled] : pulled_) {
        const rtsp::PullFacts& f = pulled->facts();
        all.push_back({.stream = stream,
                       .url = shown(pulled->config().location),
                       .state = std::string(f.state),
                       .transport = std::string(name(f.way)),
                       .start = pulled->config().on_demand ? "on_demand" : "always",
                       .seconds = f.since == Instant{} ? 0 : seconds(now - f.since),
                       .connects = f.connects,
                       .tries = f.tries,
                       .next_seconds = f.next ? std::optional(seconds(*f.next - now)) : std::nullopt,
                       .failure = f.failure ? std::string(name(*f.failure)) : std::string(),
                       .why = f.why,
                       .unmet = fmt::format("{}", fmt::join(pulled->unmet(), "; "))});
    }
    return cli::show_rtsp_sources(all);
}

std::string Pulls::metrics() const {
    std::vector<metrics::PullOf> all;
    for (const auto& [stream, pulled] : pulled_) all.push_back({stream, pulled->facts(), pulled->unmet().size()});
    return metrics::render(all);
}

}  // namespace penstock
