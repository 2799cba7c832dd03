// The real model is changed, compiled and published, and a port goes and comes back, while a worker forwards: what
// control does at run time, all in one process, for TSan and ASan.
#include <catch2/catch.hpp>

#include <thread>

#include "dataplane/modelled.hpp"
#include "flow/publisher.hpp"
#include "support/random.hpp"

using namespace penstock;
using namespace penstock::test;

namespace {

config::Stream stream(const std::string& name, const char* source, const std::vector<uint16_t>& receivers) {
    config::Stream s;
    s.name = name;
    config::Track track;
    track.media = "video";
    track.clock_rate = 90000;
    track.sources.emplace_back().rtp = endpoint(source);
    for (const uint16_t port : receivers)
        track.outputs.emplace_back().rtp = endpoint("10.0.1.20:" + std::to_string(port));
    s.tracks.push_back(std::move(track));
    return s;
}

}  // namespace

TEST_CASE("the model changes under traffic: what is not touched gets every packet", "[race]") {
    constexpr unsigned kChanges = 1500;
    Modelled modelled;
    auto& [lab, mesh] = modelled;
    modelled.put(stream("untouched", "10.0.0.1:20000", {6000}));

    std::atomic<bool> stop{false};
    std::atomic<uint64_t> untouched{0}, others{0}, sent{0};
    std::thread worker([&] {
        uint16_t sequence = 0;
        while (!stop.load()) {
            for (unsigned i = 0; i < 4; i++, sequence++) {
                lab.arrive(packet().payload(rtp_packet({.sequence = sequence})).build());
                lab.arrive(packet().udp(5000, 21000).payload(rtp_packet({.sequence = sequence})).build());
            }
            sent += 4;
            while (lab.turn()) {
            }
            for (const Sent& out : lab.sent(1)) (at16(out.frame, 36) == 6000 ? untouched : others)++;
        }
    });
    Random random;
    uint64_t read = 0;
    for (unsigned i = 0; i < kChanges; i++) {
        std::vector<uint16_t> receivers;
        for (unsigned n = random.below<unsigned>(6); n > 0; n--)
            receivers.push_back(static_cast<uint16_t>(7000 + 2 * n));
        if (i % 7 == 6) {
            mesh.remove("churned");
        } else {
            const auto put = mesh.put(stream("churned", "10.0.0.1:21000", receivers));
            if (!put) FAIL(put.error().text);
        }
        if (i % 50 == 0) {  // the devices change and the MAC with them; lan and its queue stay in use
            flow::PortInfo wan = lan_and_wan()[1];
            wan.mac.bytes[5] = std::byte(i);
            mesh.set_port(wan);
            lab.port_up(1, true);
        }
        modelled.publish();
        for (const mesh::Track* track : mesh.tracks()) {  // as a scrape does
            for (const mesh::Path& path : track->paths) read += path.state->reception.counters().packets.read();
            for (const mesh::Output& output : track->outputs) read += output.state->packets.read();
        }
        while (lab.published().reclaim() > flow::Publisher::kMaxPending) std::this_thread::yield();
        lab.port_sets().reclaim();
    }
    while (lab.published().reclaim() + lab.port_sets().reclaim() != 0) std::this_thread::yield();
    stop = true;
    worker.join();
    CHECK(untouched == sent);
    CHECK(others > 0);
    CHECK(read > 0);
}
