// Tracks that come and go with a protocol: a publisher's, a camera's.
#include <fmt/format.h>

#include <utility>

#include "control/mesh/mesh.hpp"

namespace penstock::mesh {

config::Stream Stream::editable() const { return pulled() ? config::with_entries(settings, brought()) : running(); }

const std::vector<config::Track>& Stream::brought() const {
    static const std::vector<config::Track> kNone;
    return of_camera ? of_camera->brought : kNone;
}

const std::vector<std::string>& Stream::unmet() const {
    static const std::vector<std::string> kNone;
    return of_camera ? of_camera->unmet : kNone;
}

Result<void> Mesh::bring(const std::string& name, std::vector<config::Track> tracks) {
    const Stream* known = stream(name);
    if (known != nullptr && !known->pulled() && known->brought().empty() && !known->tracks.empty())
        return fail(fmt::format("stream '{}' has tracks of its own", name));
    config::Stream wanted = known ? known->settings : config::Stream{};
    wanted.name = name;
    auto planned = config::planned(wanted, tracks);
    wanted.tracks = planned.tracks;
    if (auto why = objection(wanted)) return fail(std::move(*why));
    Stream& now = streams_[name];
    if (known == nullptr) {
        now.settings.name = name;
        now.of_protocol = true;
    }
    now.of_camera.emplace().brought = std::move(tracks);
    run_brought(now, planned);
    return {};
}

void Mesh::withdraw(const std::string& name) {
    const auto found = streams_.find(name);
    if (found == streams_.end() || found->second.brought().empty()) return;
    Stream& now = found->second;
    now.of_camera.reset();
    run_brought(now, {});
    if (now.of_protocol) streams_.erase(found);
}

void Mesh::run_brought(Stream& now, const config::Planned& planned) {
    config::Stream wanted = now.settings;
    wanted.tracks = planned.tracks;
    if (now.of_camera) now.of_camera->unmet = planned.unmet;
    run(now, std::move(wanted), false);
}

}  // namespace penstock::mesh
