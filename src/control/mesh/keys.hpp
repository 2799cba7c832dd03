#pragma once
// The keys under which the model finds sources and outputs again: of RTP, of RTCP and of repair.
#include <vector>

#include "control/config/config.hpp"
#include "flow/key.hpp"

namespace penstock::mesh {

inline flow::Key key_of(const config::Source& source) { return {source.rtp.ip, source.rtp.port, source.vlan}; }
inline flow::Key key_of(const config::Output& output) { return {output.rtp.ip, output.rtp.port, output.vlan}; }
// Of RTP, and of what goes with it.
template <class Entry>
std::vector<flow::Key> keys_of(const Entry& entry) {
    std::vector<flow::Key> keys{key_of(entry)};
    for (const uint16_t further : config::further_ports(entry)) {
        keys.push_back(key_of(entry));
        keys.back().port = static_cast<uint16_t>(keys.back().port + further);
    }
    return keys;
}

}  // namespace penstock::mesh
