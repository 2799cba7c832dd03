#pragma once
// A client whose control takes whatever it is offered at once, and keeps what it said and was given as one text.
#include <fmt/format.h>

#include <string>

#include "control/rtsp/client.hpp"

namespace penstock::test {

class RtspWatcher {
public:
    explicit RtspWatcher(rtsp::Way way)
        : client({{"h", 554, "rtsp://h/live", "u", "p"}, way, "test"}, [this] { return ++random_; }) {
        client.start(now);
        client.connected(now, *Ip::parse("10.0.0.7"));
        drain();
    }
    // Nothing is heard on a connection that was closed.
    void hear(std::string_view bytes) {
        if (closed) return;
        client.receive(now, std::as_bytes(std::span(bytes)));
        drain();
    }

    Instant now{};
    rtsp::Client client;
    std::string told;
    bool closed = false;

private:
    void drain() {
        while (auto output = client.poll()) std::visit([this](auto& o) { on(o); }, *output);
    }
    void on(const rtsp::client::Connect& c) { told += fmt::format("connect {}:{}\n", c.host, c.port); }
    void on(const rtsp::client::Send& s) { told += s.bytes; }
    void on(const rtsp::client::Close&) { closed = true; }
    void on(const rtsp::client::Described& d) {
        std::vector<rtsp::Wanted> all;
        for (size_t m = 0; m < d.description.media.size() && m < rtsp::kMostPulledTracks; m++)
            all.push_back({m, rtsp::Pair{static_cast<uint16_t>(5000 + 2 * m), static_cast<uint16_t>(5001 + 2 * m)}});
        client.set_up(now, std::move(all));
    }
    void on(const rtsp::client::Granted& g) {
        for (const auto& track : g.tracks) told += fmt::format("track {} {}\n", track.media, write(track.transport));
        client.play(now);
    }
    void on(const rtsp::client::Playing&) { told += "playing\n"; }
    void on(const rtsp::client::Received& r) {
        told += fmt::format("packet {} {} {}\n", r.media, r.rtcp, r.packet.size());
    }
    void on(const rtsp::client::Over& o) {
        told += fmt::format("over {} {}\n", o.failure ? name(*o.failure) : "stopped", o.why);
    }

    uint64_t random_ = 0;
};

}  // namespace penstock::test
