#pragma once
// The model: which streams there are, by which paths their tracks arrive and to whom they go. Pure: changes in, tables
// out. Control owns the one Mesh; the states in it are written by workers and read here.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "control/config/config.hpp"
#include "flow/next_hop.hpp"
#include "flow/port.hpp"
#include "flow/state.hpp"
#include "flow/table.hpp"

namespace penstock::mesh {

struct Path {
    std::string name;  // "1", or "2" for the second one of a live-live track
    config::Source source;
    std::shared_ptr<flow::PathState> state;
};

struct Output {
    std::string name;  // "10.0.1.20:6000"
    config::Output to;
    flow::Destination destination;
    std::shared_ptr<flow::LegState> rtp, rtcp;
};

struct Track {
    std::string stream;
    std::string name;  // "video", or "video-2" for the second video track of a stream
    config::Track config;
    uint16_t owner = 0;  // the worker
    std::vector<Path> paths;
    std::vector<Output> outputs;
    std::shared_ptr<flow::MergeState> merge;  // two paths only
    std::vector<flow::FlowPtr> flows;         // as in the last table
    bool dirty = false;                       // they differ from what the model says by now
};

class Mesh {
public:
    Mesh(std::vector<flow::PortInfo> ports, flow::PortRange media);

    void add(const config::Stream& stream);

    // Whom copies go to, each once; control asks the kernel for the way to them.
    std::vector<flow::Destination> destinations() const;
    void resolve(const flow::Destination& destination, const flow::Resolution& answer);
    const flow::Resolution& resolution(const flow::Destination& destination) const;  // must be one of destinations()

    // The table of all changes since the last call; null when there are none.
    std::unique_ptr<const flow::Table> compile();

    const std::vector<std::unique_ptr<Track>>& tracks() const noexcept { return tracks_; }
    // The keys that arrive on a port: what has to be steered there.
    std::vector<flow::Key> keys(uint16_t port) const;
    std::optional<uint16_t> port_index(const std::optional<std::string>& name) const;

private:
    struct Way {
        flow::Resolution answer{.hop = {}, .why_not = "not looked up yet"};
        std::vector<Track*> users;
    };
    struct Renditions {
        std::shared_ptr<const flow::Rendition> rtp, rtcp;
    };

    uint16_t choose_owner(const config::Track& track) const;
    void touch(Track& track);
    Renditions renditions_of(const Track& track) const;
    std::vector<flow::FlowPtr> flows_of(const Track& track) const;

    std::vector<flow::PortInfo> ports_;
    std::vector<std::unique_ptr<Track>> tracks_;
    std::map<flow::Destination, Way> ways_;
    std::vector<Track*> dirty_;
    std::vector<size_t> owned_;  // tracks by worker
    flow::Table current_;        // what was compiled last; shares its shards with the published one
    bool compiled_ = false;
};

}  // namespace penstock::mesh
