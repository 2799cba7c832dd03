#pragma once
// A client whose camera is the test.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <deque>

#include "control/rtsp/pull.hpp"
#include "control/rtsp/url.hpp"

namespace penstock::test {

using namespace penstock::rtsp;
using config::location_of;
using namespace std::chrono_literals;

inline constexpr std::string_view kSdp =
    "v=0\r\no=- 0 0 IN IP4 10.0.0.7\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    "a=control:track1\r\nm=audio 0 RTP/AVP 0\r\na=control:track2\r\n";

class Talk {
public:
    explicit Talk(std::string_view url = "rtsp://u:p@10.0.0.7/live", Way way = Way::udp)
        : client({*location_of(url), way, "test"}, [this] { return ++random_; }) {
        client.start(now);
        drain();
        connect();
    }
    void connect() {
        client.connected(now, *Ip::parse("10.0.0.7"));
        drain();
    }
    // The first line of what was asked last.
    std::string asked() const { return said.substr(0, said.find(" RTSP/1.0")); }
    std::string header(std::string_view name) const {
        const size_t at = said.find(fmt::format("\r\n{}: ", name));
        if (at == std::string::npos) return "none";
        const size_t value = at + name.size() + 4;
        return said.substr(value, said.find("\r\n", value) - value);
    }
    void hear(std::string_view text) {
        client.receive(now, std::as_bytes(std::span(text)));
        drain();
    }
    void answer(int status, std::string_view headers = "", std::string_view body = "") {
        hear(fmt::format("RTSP/1.0 {} {}\r\nCSeq: {}\r\n{}{}\r\n{}", status, reason_of(status), header("CSeq"), headers,
                         body.empty() ? "" : fmt::format("Content-Length: {}\r\n", body.size()), body));
    }
    void describe(std::string_view headers = "", std::string_view sdp = kSdp) {
        answer(200, "Public: OPTIONS, GET_PARAMETER\r\n");
        answer(200, headers, sdp);
    }
    void choose(size_t tracks = 1) {
        std::vector<Wanted> all;
        for (size_t i = 0; i < tracks; i++)
            all.push_back({i, Pair{static_cast<uint16_t>(5000 + 2 * i), static_cast<uint16_t>(5001 + 2 * i)}});
        client.set_up(now, all);
        drain();
    }
    void play() {
        client.play(now);
        drain();
    }
    // Up to the answer of PLAY, one track.
    void until_playing(std::string_view session = "77;timeout=10", std::string_view transport = "RTP/AVP;unicast") {
        describe();
        choose();
        answer(200, fmt::format("Session: {}\r\nTransport: {}\r\n", session, transport));
        play();
        answer(200);
    }
    void pass(Duration time) {
        now += time;
        client.expire(now);
        drain();
    }
    std::string end() const {
        return !over ? "not over" : over->failure ? std::string(name(*over->failure)) : "stopped";
    }

    Instant now{};
    Client client;
    std::string said;  // the last
    std::vector<std::string> places;
    std::vector<client::Granted::Track> granted;
    std::vector<client::Received> frames;
    std::optional<client::Over> over;
    size_t requests = 0, closed = 0;

private:
    void drain() {
        while (auto output = client.poll()) std::visit([this](auto& o) { on(o); }, *output);
    }
    void on(const client::Connect& c) { places.push_back(fmt::format("{}:{}", c.host, c.port)); }
    void on(const client::Send& s) {
        said = s.bytes;
        requests++;
    }
    void on(const client::Close&) { closed++; }
    void on(const client::Described&) {}
    void on(const client::Granted& g) { granted = g.tracks; }
    void on(const client::Playing&) {}
    void on(client::Received& r) { frames.push_back(r); }
    void on(const client::Over& o) { over = o; }
    uint64_t random_ = 0;
};

}  // namespace penstock::test
