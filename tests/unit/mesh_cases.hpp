#pragma once
// Small models to try: three ports, and streams in few words.
#include <catch2/catch.hpp>

#include "control/mesh/mesh.hpp"
#include "support/packet_builder.hpp"

namespace penstock::test {

// lan (worker 0) and wan (workers 0 and 1) do not chain buffers, nic (worker 1) does.
inline std::vector<flow::PortInfo> ports() {
    std::vector<flow::PortInfo> all(3);
    const char* const names[] = {"lan", "wan", "nic"};
    for (uint16_t i = 0; i < 3; i++) {
        all[i].index = i;
        all[i].name = names[i];
        all[i].mac.bytes[5] = std::byte(i);
        all[i].rx_workers = i == 0   ? std::vector<uint16_t>{0}
                            : i == 1 ? std::vector<uint16_t>{0, 1}
                                     : std::vector<uint16_t>{1};
        all[i].multi_segment = i == 2;
    }
    return all;
}

inline config::Source from(const char* rtp) {
    config::Source source;
    source.rtp = endpoint(rtp);
    return source;
}
inline config::Output to(const char* rtp) {
    config::Output output;
    output.rtp = endpoint(rtp);
    return output;
}
inline config::Track track(std::vector<config::Source> sources, std::vector<config::Output> outputs,
                           const char* media = "video") {
    config::Track t;
    t.media = media;
    t.sources = std::move(sources);
    t.outputs = std::move(outputs);
    return t;
}
inline config::Stream stream(std::vector<config::Track> tracks, const char* name = "camera") {
    return {name, {}, std::move(tracks)};
}

inline void put(mesh::Mesh& mesh, const config::Stream& stream) {
    const auto done = mesh.put(stream);
    INFO((done ? "" : done.error().text));
    REQUIRE(done);
}

inline mesh::Mesh model() { return {ports(), {20000, 29999}, 2}; }
inline flow::Destination way(const char* address) { return {ip(address), std::nullopt}; }
inline flow::Resolution by(uint16_t port, const char* source = "10.0.1.1") {
    return {flow::NextHop{.port = port, .mac = mac("02:00:00:00:00:20"), .source = ip(source), .mtu = 1400}, ""};
}

inline const flow::Flow* arriving(const flow::Table& table, const char* at, const char* sender = "10.9.9.9",
                                  uint16_t rx = 0, uint16_t vlan = 0) {
    const Endpoint end = endpoint(at);
    return table.find({end.ip, end.port, vlan}, ip(sender), rx);
}

inline unsigned udp_port(const flow::Leg& leg, bool destination) {
    return at16(leg.header(), leg.header_size - (destination ? 6u : 8u));
}
// Of the leg by which RTCP goes alongside.
inline unsigned rtcp_port(const flow::Leg& leg, bool destination) {
    std::array<std::byte, flow::kMaxHeader> room;
    return udp_port(flow::rtcp_leg(leg, room), destination);
}
inline const flow::Flow* arriving_rtcp(const flow::Table& table, const char* at, const char* sender = "10.9.9.9",
                                       uint16_t rx = 0, uint16_t vlan = 0) {
    const Endpoint end = endpoint(at);
    return table.match_rtcp({end.ip, end.port, vlan}, rx, [&] { return ip(sender); });
}

}  // namespace penstock::test
