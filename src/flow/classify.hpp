#pragma once
// What is this frame? One pass over Ethernet, 802.1Q, IP and UDP; pure, so that it can be fuzzed byte by byte.
#include <cstddef>
#include <cstdint>
#include <span>

#include "flow/drop.hpp"
#include "flow/key.hpp"

namespace penstock::flow {

enum class Verdict : uint8_t {
    media,   // a UDP datagram: key, offsets and sizes are valid
    kernel,  // not ours by its nature (ARP, TCP, ICMP ...): the kernel twin's, or `drop` where there is none
    drop,
};

struct Classified {
    uint64_t hash = 0;  // of key
    Key key;
    uint16_t l3_offset = 0;       // of the IP header
    uint16_t payload_offset = 0;  // of the UDP payload
    uint16_t payload_size = 0;    // bytes; Ethernet padding excluded
    uint16_t udp_checksum = 0;    // as received; 0: none
    Verdict verdict = Verdict::drop;
    Drop drop = Drop::runt;
    uint8_t ttl = 0;
    uint8_t tos = 0;  // DSCP and ECN
    bool v4 = true;

    // The frame had a tag that the NIC took off: `tci` as it was in it.
    void restore_vlan(uint16_t tci) noexcept {
        key.vlan = tci & 0x0fff;
        hash = flow::hash(key);
    }
};

// A first fragment is dropped as `fragment` with a valid key, so that a port with a kernel twin can give the kernel its
// own.
Classified classify(std::span<const std::byte> frame) noexcept;

// The sender's address of a frame that was classified as media.
Ip sender_of(std::span<const std::byte> frame, const Classified& in) noexcept;

}  // namespace penstock::flow
