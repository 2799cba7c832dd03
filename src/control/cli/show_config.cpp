// What a file would say to have what there is now.
#include <utility>

#include "control/cli/show.hpp"
#include "control/config/differences.hpp"

namespace penstock::cli {
namespace {

using Row = std::vector<Cell>;

Cell optional_text(const std::string& text) { return text.empty() ? Cell{} : Cell{text}; }

Cell ssrc_of(const config::Source& source) {
    if (!source.ssrc) return {};
    return *source.ssrc == config::kOtherSsrc ? Cell{std::string("other")} : Cell{std::to_string(*source.ssrc)};
}

}  // namespace

Report show_config(const mesh::Mesh& mesh) {
    Section s{"settings",
              "",
              {{"stream", "stream"},
               {"track", "track"},
               {"media", ""},
               {"payload_type", "pt"},
               {"encoding", "encoding"},
               {"fmtp", ""},
               {"kind", "kind"},
               {"rtp", "rtp"},
               {"sender", "from"},
               {"port", "port"},
               {"vlan", "vlan"},
               {"ttl", "ttl"},
               {"dscp", "dscp"},
               {"rtcp_mux", "rtcp-mux"},
               {"fec", "fec"},
               {"ssrc", ""}},
              {}};
    const auto number = [](const auto& optional) { return optional ? Cell{uint64_t{*optional}} : Cell{}; };
    const auto vlan = [](uint16_t id) { return id == 0 ? Cell{} : Cell{uint64_t{id}}; };
    const auto add = [&](const std::string& stream, const std::string& name, const config::Track& track) {
        const auto row = [&](std::string kind, const Endpoint& rtp) {
            return Row{stream,
                       name,
                       track.media,
                       number(track.payload_type),
                       optional_text(track.encoding),
                       optional_text(track.fmtp),
                       std::move(kind),
                       rtp.text()};
        };
        for (const config::Source& source : track.sources) {
            Row r = row("source", source.rtp);
            r.insert(r.end(), {source.from ? Cell{source.from->text()} : Cell{},
                               source.port ? Cell{*source.port} : Cell{}, vlan(source.vlan), Cell{}, Cell{}, Cell{},
                               source.fec ? Cell{text(source.fec->carriage)} : Cell{}, ssrc_of(source)});
            s.rows.push_back(std::move(r));
        }
        for (const config::Output& output : track.outputs) {
            Row r = row("output", output.rtp);
            r.insert(r.end(), {Cell{}, output.port ? Cell{*output.port} : Cell{}, vlan(output.vlan), number(output.ttl),
                               number(output.dscp), Cell{output.rtcp_mux},
                               output.fec ? Cell{text(output.fec->code)} : Cell{}, Cell{}});
            s.rows.push_back(std::move(r));
        }
    };
    for (const auto& [name, stream] : mesh.streams()) {
        const config::Stream configured = stream.configured();  // tracks of a protocol are no configuration
        const auto names = config::track_names(configured);
        for (size_t t = 0; t < names.size(); t++) add(name, names[t], configured.tracks[t]);
    }
    Section pulls{"pulls",
                  "from cameras",
                  {{"stream", "stream"}, {"url", "rtsp"}, {"transport", "transport"}, {"start", "start"}},
                  {}};
    static constexpr std::string_view kReaches[] = {"auto", "udp", "tcp", "multicast"};
    for (const auto& [name, stream] : mesh.streams())
        if (const auto& pull = stream.settings.rtsp)
            pulls.rows.push_back(Row{name, shown(pull->location),
                                     std::string(kReaches[static_cast<size_t>(pull->reach)]),
                                     std::string(pull->on_demand ? "on_demand" : "always")});
    return {{std::move(s), state_of(mesh), std::move(pulls)}};
}

}  // namespace penstock::cli
