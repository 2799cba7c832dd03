#pragma once
// A real model and worker, a source whose groups of pictures begin when the test says so, and viewers that come.
#include <catch2/catch.hpp>

#include <algorithm>
#include <map>

#include "base/wire.hpp"
#include "dataplane/modelled.hpp"

namespace penstock::test {

inline config::Stream camera(unsigned outputs, const std::string& encoding = "H264/90000") {
    config::Track track = video_track(encoding);
    for (unsigned i = 0; i < outputs; i++)
        track.outputs.emplace_back().rtp = endpoint("10.0.1.20:" + std::to_string(6000 + 2 * i));
    return camera_of(std::move(track));
}

// Where they differ first, in few words; empty: nowhere. Catch would print them whole.
inline std::string difference(const std::vector<Bytes>& got, const std::vector<Bytes>& wanted) {
    const auto [g, w] = std::ranges::mismatch(got, wanted);
    if (g == got.end() && w == wanted.end()) return "";
    const auto number = [](auto at, const auto& of) { return at == of.end() ? "end" : std::to_string(at16(*at, 2)); };
    return "packet " + std::to_string(g - got.begin()) + " of " + std::to_string(got.size()) + " is " + number(g, got) +
           ", wanted of " + std::to_string(wanted.size()) + ": " + number(w, wanted);
}

// A sender report and SDES of that source.
inline Bytes report_of(uint32_t ssrc, uint32_t timestamp) {
    Bytes p = sender_report();
    for (const size_t at : {size_t{4}, size_t{32}}) wire::store32(&p[at], ssrc);
    wire::store32(&p[16], timestamp);
    return p;
}

struct LateStage : Modelled {
    uint16_t sequence = 65500;
    uint32_t timestamp = 0xffffff00;
    uint32_t ssrc = 0x5eed5eed;
    std::vector<Bytes> arrived;
    std::map<unsigned, std::vector<Bytes>> got;  // by port of the receiver
    std::map<uint64_t, unsigned> ports;          // by viewer
    unsigned next_port = 30000;

    explicit LateStage(size_t history = size_t{1} << 20, const config::Stream& stream = camera(1), unsigned workers = 1)
        : Modelled({.workers = workers}) {
        mesh.keep_history(history);
        put(stream);
    }
    void turn() {
        lab.turn();
        for (const Dissected& copy : out(kOut))
            if (copy.payload.size() > 12) got[copy.to_port].push_back(copy.payload);
    }
    Bytes packet_of(const char* begin, size_t size) {
        Bytes p = rtp_packet({.sequence = sequence++, .timestamp = timestamp, .ssrc = ssrc, .size = 12});
        append(p, hex(begin));
        append(p, numbered(size, sequence));
        return p;
    }
    void arrive(const Bytes& p) {
        arrived.push_back(p);
        lab.arrive(packet().payload(p).build(), kIn);
    }
    void picture(bool key, unsigned packets = 4, size_t size = 200) {
        timestamp += 3000;
        if (key) arrive(packet_of("67 42c01e", 10));
        arrive(packet_of(key ? "7c 85" : "7c 81", size));
        for (unsigned i = 1; i < packets; i++) arrive(packet_of(key ? "7c 05" : "7c 01", size));
        turn();
    }
    uint64_t add(std::optional<rtp::RtxStream> rtx = {}) {
        next_port += 2;
        const auto viewer =
            mesh.add_viewer({.stream = "camera",
                             .track = "video",
                             .agreed = {{*Ip::parse("10.0.1.1"), static_cast<uint16_t>(next_port - 9000)}, 5001},
                             .to = {*Ip::parse("10.0.1.30"), static_cast<uint16_t>(next_port)},
                             .rtx = rtx});
        REQUIRE(viewer);
        ports[*viewer] = next_port;
        return *viewer;
    }
    uint64_t play(std::optional<rtp::RtxStream> rtx = {}) {
        const uint64_t viewer = add(rtx);
        mesh.play(viewer, true);
        publish();
        return viewer;
    }
    std::vector<Bytes>& of(uint64_t viewer) { return got[ports[viewer]]; }
    bool live(uint64_t viewer) {
        const auto& join = mesh.viewer(viewer)->join;
        return !join || join->live();
    }
    template <class Condition>
    void until(Condition condition) {
        for (const auto end = Steady::now() + std::chrono::seconds(20); !condition();) {
            REQUIRE(Steady::now() < end);
            turn();
        }
    }
    std::vector<Bytes> since(size_t first) const { return {arrived.begin() + static_cast<long>(first), arrived.end()}; }
};

}  // namespace penstock::test
