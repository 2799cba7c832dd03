#include "control/capture/select.hpp"

#include <fmt/format.h>

namespace penstock::capture {
namespace {

using What = flow::CaptureFilter::What;

struct Building {
    flow::CaptureFilter filter;
    std::vector<std::string> labels;

    void add(std::string label, std::initializer_list<std::shared_ptr<const void>> states) {
        for (const auto& state : states)
            if (state != nullptr) filter.add(state, static_cast<uint32_t>(labels.size()));
        labels.push_back(std::move(label));
    }
    void add(const mesh::Track& track, const mesh::Path& path) {
        add(fmt::format("stream {}, track {}, path {}", track.stream, track.name, path.name()), {path.state});
    }
    void add(const mesh::Track& track, const mesh::Output& output) {
        add(fmt::format("stream {}, track {}, leg {}", track.stream, track.name, output.name()),
            {output.state, output.extras().repair, output.extras().rows});
    }
    void add_all(const mesh::Track& track) {
        for (const mesh::Path& path : track.paths) add(track, path);
        for (const mesh::Output* leg : track.legs()) add(track, *leg);
    }
    Selection done(std::string what) {
        filter.sort();
        return {std::make_shared<const flow::CaptureFilter>(std::move(filter)), std::move(labels), std::move(what)};
    }
};

// What there is instead of a path or leg that there is not; a few of it.
std::string some_of(const std::vector<std::string>& all) {
    constexpr size_t kSome = 8;
    std::string text;
    for (size_t i = 0; i < all.size() && i < kSome; i++) text += fmt::format("{}{}", i == 0 ? "" : ", ", all[i]);
    return all.empty() ? "none" : all.size() > kSome ? fmt::format("{} and {} more", text, all.size() - kSome) : text;
}

}  // namespace

Result<Selection> select(const mesh::Stream& stream, const Options& options) {
    const std::string& name = stream.settings.name;
    Building building;
    std::vector<std::string> there;
    if (options.drops) {
        building.filter.what = What::drops;
        for (const auto& track : stream.tracks) building.add_all(*track);
        return building.done(fmt::format("stream {}, drops", name));
    }
    if (options.leg.empty()) {
        for (const auto& track : stream.tracks)
            for (const mesh::Path& path : track->paths) {
                if (options.path.empty() || options.path == path.name()) building.add(*track, path);
                if (std::ranges::find(there, path.name()) == there.end()) there.push_back(path.name());
            }
        if (building.labels.empty())
            return fail(fmt::format("stream '{}' has no path {}; it has {}", name, options.path, some_of(there)));
        return building.done(options.path.empty() ? fmt::format("stream {}", name)
                                                  : fmt::format("stream {}, path {}", name, options.path));
    }
    building.filter.what = What::copies;
    std::string leg = options.leg;
    for (const auto& track : stream.tracks)
        for (const mesh::Output* output : track->legs()) {
            there.push_back(fmt::format("{} ({})", there.size() + 1, output->name()));
            // By its place in `show stream`, or as it is called there.
            if (options.leg != std::to_string(there.size()) && options.leg != output->name()) continue;
            if (output->over_tcp)
                return fail(fmt::format("leg {} goes over TCP: tcpdump on the interface shows it", output->name()));
            building.add(*track, *output);
            leg = output->name();
        }
    if (building.labels.empty())
        return fail(fmt::format("stream '{}' has no leg {}; it has {}", name, options.leg, some_of(there)));
    return building.done(fmt::format("stream {}, leg {}", name, leg));
}

Result<Selection> select_drops(const mesh::Mesh& mesh, const Options& options) {
    if (!options.path.empty() || !options.leg.empty())
        return fail("path and leg are a stream's: capture stream NAME path N");
    Building building;
    building.filter.what = What::drops;
    building.filter.anyone = true;
    for (const mesh::Track* track : mesh.tracks()) building.add_all(*track);
    return building.done("drops");
}

}  // namespace penstock::capture
