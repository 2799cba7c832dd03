// Tracks that come and go with a protocol: a publisher's, a camera's.
#include <fmt/format.h>

#include <utility>

#include "control/mesh/mesh.hpp"

namespace penstock::mesh {

Result<void> Mesh::bring(const std::string& name, std::vector<config::Track> tracks) {
    const Stream* known = stream(name);
    if (known != nullptr && !known->brought && !known->tracks.empty())
        return fail(fmt::format("stream '{}' has tracks of its own", name));
    config::Stream wanted = known ? known->settings : config::Stream{};
    wanted.name = name;
    wanted.tracks = std::move(tracks);
    if (auto why = objection(wanted)) return fail(std::move(*why));
    Stream& now = streams_[name];
    if (known == nullptr) {
        now.settings.name = name;
        now.of_protocol = true;
    }
    now.brought = !wanted.tracks.empty();
    run(now, wanted, false);
    return {};
}

void Mesh::withdraw(const std::string& name) {
    const auto found = streams_.find(name);
    if (found == streams_.end() || !found->second.brought) return;
    Stream& now = found->second;
    now.brought = false;
    run(now, now.settings, false);
    if (now.of_protocol) streams_.erase(found);
}

}  // namespace penstock::mesh
