#include "traffic.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>

#include "base/wire.hpp"

namespace penstock::bench {
namespace {

constexpr uint32_t kPortsAnAddress = 5000;
constexpr uint16_t kFirstPort = 20000, kLastPort = 29999;

Ip ip_at(uint32_t base, uint32_t n) {
    std::array<std::byte, 4> bytes;
    wire::store32(bytes.data(), base + n);
    return Ip::v4(bytes);
}

const Mac kOurs = *Mac::parse("02:00:00:00:00:01");
const flow::NextHop kHop{1, *Mac::parse("02:00:00:00:00:02"), ip_at(0x0a400001, 0), 1500};

}  // namespace

Ip address_of(uint32_t flow) { return ip_at(0x0a400001, flow / kPortsAnAddress); }
uint16_t port_of(uint32_t flow) { return static_cast<uint16_t>(kFirstPort + flow % kPortsAnAddress * 2); }
Endpoint receiver_of(uint32_t flow, uint32_t leg) {
    return {ip_at(0x0a800001, leg), static_cast<uint16_t>(6000 + flow % 20000 * 2)};
}

flow::LegPlan plan_of(uint32_t flow, uint32_t leg) {
    flow::LegPlan plan;
    plan.hop = kHop;
    plan.from = kOurs;
    plan.from_port = port_of(flow);
    plan.to = receiver_of(flow, leg);
    return plan;
}

Endpoint arrival_of(uint32_t flow, Kind kind, unsigned path) {
    if (kind == Kind::fec_decode) return {ip_at(0x0a400001, flow), kFirstPort};
    return {path == 0 ? address_of(flow) : ip_at(0x0a600001, flow / kPortsAnAddress), port_of(flow)};
}

config::Stream stream_of(uint32_t flow, uint32_t fanout, Kind kind) {
    config::Track track;
    track.media = "video";
    track.payload_type = 96;
    track.sources.emplace_back().rtp = arrival_of(flow, kind);
    if (kind == Kind::fec_decode) track.sources.front().fec.emplace();
    if (kind == Kind::kept) track.feedback = config::Feedback{.retransmit = 64};  // packets
    if (kind == Kind::merge) track.sources.emplace_back().rtp = arrival_of(flow, kind, 1);
    for (uint32_t leg = 0; leg < fanout; leg++) {
        config::Output& output = track.outputs.emplace_back();
        output.rtp = receiver_of(flow, leg);
        if (kind == Kind::rewrite) output.ttl = 16, output.dscp = 34;
        if (kind == Kind::fec_encode) output.fec.emplace();
    }
    config::Stream stream;
    stream.name = std::to_string(flow);
    stream.tracks.push_back(std::move(track));
    return stream;
}

void answer(mesh::Mesh& mesh) {
    for (const flow::Destination& to : mesh.take_destinations().wanted) mesh.resolve(to, {kHop, {}});
}

std::unique_ptr<mesh::Mesh> make_mesh(uint32_t flows, uint32_t fanout, bool multi_segment, Kind kind,
                                      uint16_t workers) {
    flow::PortInfo in, out;
    in.name = "in";
    for (uint16_t worker = 0; worker < workers; worker++) in.rx_workers.push_back(worker);
    out.index = kHop.port;
    out.name = "out";
    out.mac = kOurs;
    out.multi_segment = multi_segment;
    auto mesh = std::make_unique<mesh::Mesh>(std::vector{in, out}, flow::PortRange{kFirstPort, kLastPort}, workers);
    for (uint32_t f = 0; f < flows; f++)
        if (!mesh->put(stream_of(f, fanout, kind))) std::abort();  // no two flows share an address and port
    answer(*mesh);
    mesh->take_sources();  // as penstock does
    mesh->take_keys();
    return mesh;
}

void write_frame(std::byte* frame, uint16_t payload, const Endpoint& to, uint32_t ssrc, uint16_t sequence) {
    const auto udp_size = static_cast<uint16_t>(payload + 8);
    std::byte* ip = frame + 14;
    std::byte* udp = ip + 20;
    std::byte* rtp = udp + 8;
    std::fill_n(frame, kHeaders + kRtp, std::byte{0});
    frame[0] = frame[6] = std::byte{2};
    wire::store16(frame + 12, 0x0800);
    ip[0] = std::byte{0x45};
    wire::store16(ip + 2, static_cast<uint16_t>(udp_size + 20));
    ip[8] = std::byte{64};
    ip[9] = std::byte{17};
    wire::store32(ip + 12, 0x0a000001);
    std::ranges::copy(to.ip.wire(), ip + 16);
    wire::store16(ip + 10, static_cast<uint16_t>(~wire::sum16({ip, 20})));
    wire::store16(udp, 5000);
    wire::store16(udp + 2, to.port);
    wire::store16(udp + 4, udp_size);
    wire::store16(rtp, 0x8060);
    wire::store16(rtp + 2, sequence);
    wire::store32(rtp + 4, sequence * 3000u);
    wire::store32(rtp + 8, ssrc);
    const uint64_t sum = uint64_t{17} + udp_size + wire::sum16({ip + 12, 8}) + wire::sum16({udp, 8 + kRtp});
    wire::store16(udp + 6, static_cast<uint16_t>(~wire::fold(sum)));
}

void Traffic::write_next(std::byte* frame, uint16_t payload) {
    const auto flow = static_cast<uint32_t>(random_() % next_.size());
    write_frame(frame, payload, {address_of(flow), port_of(flow)}, flow, next_[flow]++);
}

}  // namespace penstock::bench
