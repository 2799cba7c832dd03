#pragma once
// What control knows of a data-plane port: what compile() needs to choose next hops and copy or share. Values only.
#include <cstdint>
#include <string>
#include <vector>

#include "base/address.hpp"

namespace penstock::flow {

enum class Driver : uint8_t { pci, af_xdp, af_packet, vhost, tap, pcap, ring, null };

struct PortInfo {
    uint16_t index = 0;  // position in the configuration; what Leg::tx_port and Flow::rx_port mean
    std::string name;
    Driver driver = Driver::null;
    std::string netdev;                // the kernel twin (the interface itself, or the TAP made for it); empty: none
    Mac mac;                           // our own address on the wire
    uint16_t mtu = 1500;               // bytes of IP
    bool multi_segment = false;        // the driver sends chained mbufs; otherwise a shared payload must be copied
    bool partial_checksums = false;    // packets may arrive with a UDP checksum that a NIC was expected to finish
    uint32_t trains_from = 0;          // receivers of a track that make it worth while to segment; 0: it cannot
    std::vector<uint16_t> rx_workers;  // who polls its queues
    std::vector<Prefix> addresses;     // our own: what the twin is given; without one, what we know them by
    Mac peer_mac;                      // ports without a twin: where unicast legs are sent
};

// Its netdev is the kernel's own, by whose sockets packets pass: it goes, comes and changes with that.
inline bool lives_on_netdev(const PortInfo& port) {
    return port.driver == Driver::af_xdp || port.driver == Driver::af_packet;
}

}  // namespace penstock::flow
