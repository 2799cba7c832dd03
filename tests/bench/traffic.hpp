#pragma once
// The packets of the benchmark and the model that they are for: flow i is the UDP port of address() and port().
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include "base/address.hpp"
#include "control/mesh/mesh.hpp"

namespace penstock::bench {

inline constexpr size_t kHeaders = 14 + 20 + 8;  // Ethernet, IPv4, UDP
inline constexpr size_t kRtp = 12;

Ip address_of(uint32_t flow);     // where flow i arrives
uint16_t port_of(uint32_t flow);  // even
Endpoint receiver_of(uint32_t flow, uint32_t leg);
flow::LegPlan plan_of(uint32_t flow, uint32_t leg);

// What is done to the packets of a stream on their way: nothing beyond a new header; a TTL and a DSCP of our own; ST
// 2022-1 repair made for them, 10 x 10 with rows and columns, or arriving with them; two paths, of which one suffices.
enum class Kind : uint8_t { plain, rewrite, fec_encode, fec_decode, merge, kept };  // kept: to be sent again
// Where flow i arrives: address_of() and port_of(), but for its second path, and where it needs ports for repair.
Endpoint arrival_of(uint32_t flow, Kind kind, unsigned path = 0);

// The stream of a flow, named by its number, with `fanout` outputs.
config::Stream stream_of(uint32_t flow, uint32_t fanout, Kind kind = Kind::plain);
// Answers what the model asks of the kernel: all have their next hop on port 1.
void answer(mesh::Mesh& mesh);

// `flows` tracks with `fanout` outputs each, all with their next hop on port 1.
std::unique_ptr<mesh::Mesh> make_mesh(uint32_t flows, uint32_t fanout, bool multi_segment, Kind kind = Kind::plain,
                                      uint16_t workers = 1);

// Headers of a frame that goes to `to`, whose `payload` bytes of UDP payload are zero but for the RTP header: kHeaders
// + kRtp bytes.
void write_frame(std::byte* frame, uint16_t payload, const Endpoint& to, uint32_t ssrc, uint16_t sequence);

// A source for each of the flows; a packet of a random one, with its next sequence number.
class Traffic {
public:
    explicit Traffic(uint32_t flows) : next_(flows) {}
    // Headers of a frame whose `payload` bytes of UDP payload are zero but for the RTP header: kHeaders + kRtp bytes.
    void write_next(std::byte* frame, uint16_t payload);

private:
    std::vector<uint16_t> next_;  // sequence numbers
    std::minstd_rand random_{1};
};

}  // namespace penstock::bench
