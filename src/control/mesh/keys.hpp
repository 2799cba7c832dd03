#pragma once
// The keys under which the model finds sources and outputs again: of RTP, of RTCP and of repair.
#include <vector>

#include "control/config/config.hpp"
#include "flow/key.hpp"

namespace penstock::mesh {

inline flow::Key key_of(const config::Source& source) { return {source.rtp.ip, source.rtp.port, source.vlan}; }
inline flow::Key key_of(const config::Output& output) { return {output.rtp.ip, output.rtp.port, output.vlan}; }
// Of whose RTCP it may be: a key that is not RTP's own.
inline flow::Key port_before(flow::Key key) {
    key.port--;
    return key;
}
inline flow::Key further(flow::Key key, uint16_t ports) {
    key.port = static_cast<uint16_t>(key.port + ports);
    return key;
}
// Of RTP, and of what goes with it.
template <class Entry>
std::vector<flow::Key> keys_of(const Entry& entry) {
    std::vector<flow::Key> keys{key_of(entry)};
    for (const uint16_t ports : config::further_ports(entry)) keys.push_back(further(keys.front(), ports));
    return keys;
}
// Those under which the model notes it: RTCP, which nearly all have on the next port, is found by that of RTP.
template <class Entry>
std::vector<flow::Key> noted_keys_of(const Entry& entry) {
    std::vector<flow::Key> keys{key_of(entry)};
    for (const uint16_t ports : config::repair_ports(entry)) keys.push_back(further(keys.front(), ports));
    return keys;
}

}  // namespace penstock::mesh
