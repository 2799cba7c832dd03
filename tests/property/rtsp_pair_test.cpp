// Our client at our server, on a virtual clock: with latency, any chunking, and connections that break or cannot be
// made. However bad the network was, once it is well the stream plays, and in the end nothing is left of it.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "control/rtsp/pull.hpp"
#include "control/rtsp/server.hpp"
#include "support/random.hpp"
#include "support/rtsp_watcher.hpp"

using namespace penstock;
using namespace penstock::test;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view kSdp =
    "v=0\r\no=- 0 0 IN IP4 10.0.0.7\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    "a=control:video\r\nm=audio 0 RTP/AVP 0\r\na=control:audio\r\n";

struct Weather {
    double refuse = 0;       // of connections
    double cut = 0;          // of chunks, the connection with them
    double silent = 0;       // of a fifth of a second, no media
    double stall = 0;        // of the server's answers to SETUP and PLAY: never given
    Duration latency = 0ms;  // at most, one way
};

class Net {
public:
    Net(Random& random, bool password)
        : server(settings(password), [this] { return random_.word(); }),
          pull({location(password), rtsp::Reach::udp, "test"}, [this] { return random_.word(); }),
          random_(random) {}

    rtsp::Server server;
    rtsp::Pull pull;
    Instant now{};
    Weather weather;

    void start() {
        pull.start(now);
        drain();
    }
    void stop() {
        pull.stop(now);
        drain();
    }
    // Lets time go by; never may the client stay where it is for ever.
    void pass(Duration time) {
        const Instant end = now + time;
        while (now < end) {
            const Instant tick = now - now.time_since_epoch() % 200ms + 200ms;
            const Instant next = std::min({end, tick, events_.empty() ? end : events_.begin()->first});
            now = std::max(now, next);
            while (!events_.empty() && events_.begin()->first <= now) {
                auto event = std::move(events_.begin()->second);
                events_.erase(events_.begin());
                event();
                drain();
            }
            if (now == tick) {
                if (pull.playing() && !random_.chance(weather.silent)) pull.media(now);
                pull.expire(now);
                server.expire(now);
                drain();
                const auto state = pull.facts().state;
                if (state != "playing" && state != "idle")
                    REQUIRE(now - pull.facts().since <= rtsp::kLongestPause + 1s);
            }
        }
    }
    size_t playing() const {
        size_t n = 0;
        for (const auto& [id, session] : server.sessions()) n += session.state == rtsp::State::playing;
        return n;
    }

private:
    static rtsp::ServerSettings settings(bool password) {
        rtsp::ServerSettings s;
        s.software = "test";
        s.access.realm = "node";
        s.session_timeout = 10s;
        if (password) s.access.users = {{"u", "p", {}, {}}};
        return s;
    }
    static rtsp::Location location(bool password) {
        return {"10.0.0.7", 554, "rtsp://10.0.0.7/cam", password ? "u" : "", password ? "p" : ""};
    }

    Duration way() { return Duration(random_.below<int64_t>(static_cast<uint64_t>(weather.latency.count()) + 1)); }
    // Behind all that is on its way already: TCP keeps the order.
    void later(Instant& behind, std::function<void()> what) {
        behind = std::max(behind, now + way());
        events_.emplace(behind, std::move(what));
    }
    void to_server(std::string bytes) {
        const uint64_t c = connection_;
        later(up_, [this, c, bytes = std::move(bytes)] {
            cut(
                bytes, [&](std::string_view part) { server.receive(now, c, std::as_bytes(std::span(part))); }, c);
        });
    }
    void to_client(uint64_t c, std::string bytes) {
        later(down_, [this, c, bytes = std::move(bytes)] {
            cut(
                bytes,
                [&](std::string_view part) {
                    if (c != connection_) return;
                    pull.receive(now, std::as_bytes(std::span(part)));
                    drain();
                },
                c);
        });
    }
    void cut(std::string_view bytes, auto give, uint64_t c) {
        while (!bytes.empty()) {
            const size_t size = std::min<size_t>(bytes.size(), 1 + random_.below<size_t>(200));
            if (random_.chance(weather.cut)) return broken(c);
            give(bytes.substr(0, size));
            bytes.remove_prefix(size);
        }
    }
    void broken(uint64_t c) {
        server.disconnected(c);
        if (c != connection_) return;
        connection_ = 0;
        pull.disconnected(now, "reset");
        drain();
    }
    void drain() {
        while (auto output = pull.poll(now)) std::visit([this](auto& o) { on(o); }, *output);
        while (auto output = server.poll()) std::visit([this](auto& o) { on(o); }, *output);
    }

    void on(const rtsp::client::Connect&) {
        const uint64_t c = ++connections_;
        connection_ = c;
        up_ = down_ = now;
        later(down_, [this, c] {
            if (c != connection_) return;
            if (random_.chance(weather.refuse) ||
                !server.connected(now, c, {{*Ip::parse("10.0.1.1"), 40000}, {*Ip::parse("10.0.0.7"), 554}})) {
                connection_ = 0;
                return pull.disconnected(now, "refused");
            }
            pull.connected(now, *Ip::parse("10.0.0.7"));
        });
    }
    void on(const rtsp::client::Send& s) { to_server(s.bytes); }
    void on(const rtsp::client::Close&) {
        const uint64_t c = std::exchange(connection_, 0);
        if (c != 0) later(up_, [this, c] { server.disconnected(c); });
    }
    void on(const rtsp::client::Described&) {
        pull.set_up(now, {{0, rtsp::Pair{5000, 5001}}, {1, rtsp::Pair{5002, 5003}}});
    }
    void on(const rtsp::client::Granted& g) {
        CHECK(g.tracks.size() == 2);
        pull.play(now);
    }
    void on(const rtsp::client::Playing&) {}
    void on(const rtsp::client::Received&) { FAIL("over UDP there are no channels"); }
    void on(const rtsp::client::Over&) {}

    void on(const rtsp::Send& s) { to_client(s.to, s.bytes); }
    void on(const rtsp::Close& c) {
        later(down_, [this, c] { broken(c.connection); });
    }
    void on(const rtsp::Describe& d) { server.answer(now, d.ticket, rtsp::Described{std::string(kSdp)}); }
    void on(const rtsp::Setup& s) {
        if (random_.chance(weather.stall)) return;
        rtsp::Transport granted;
        granted.client_port = s.wanted.client_port;
        granted.server_port = rtsp::Pair{20000, 20001};
        server.answer(now, s.ticket, rtsp::Granted{s.track, granted});
    }
    void on(const rtsp::Play& p) {
        if (!random_.chance(weather.stall)) server.answer(now, p.ticket, rtsp::Playing{});
    }
    void on(const auto&) {}

    Random& random_;
    std::multimap<Instant, std::function<void()>> events_;
    uint64_t connections_ = 0, connection_ = 0;  // of the client; 0: none
    Instant up_{}, down_{};
};

}  // namespace

TEST_CASE("our client and our server find each other through any weather", "[rtsp]") {
    for (uint64_t run = 0; run < 40; run++) {
        Random random(run);
        Net net(random, run % 2 == 1);
        INFO("run " << run);
        const auto of = [&](uint64_t kinds) { return static_cast<double>(run % kinds); };
        net.weather = {.refuse = 0.3 * of(3),
                       .cut = 0.02 * of(5),
                       .silent = run % 7 == 0 ? 0.999 : 0.2,
                       .stall = 0.1 * of(4),
                       .latency = std::chrono::milliseconds(40 * (run % 6))};
        net.start();
        net.pass(120s);
        net.weather = {.latency = 20ms};
        net.pass(60s);
        CHECK(net.pull.facts().state == "playing");
        CHECK(net.pull.facts().tries == 0);
        CHECK(net.playing() == 1);
        CHECK(net.server.sessions().size() == 1);  // those that were lost have timed out
        const uint64_t connects = net.pull.facts().connects;
        net.pass(60s);  // kept alive
        CHECK(net.pull.facts().connects == connects);
        net.stop();
        net.pass(5s);
        CHECK(net.pull.idle());
        CHECK(net.server.sessions().empty());
        CHECK(net.server.connections() == 0);
    }
}

TEST_CASE("what a camera says may be cut anyhow", "[rtsp]") {
    Random random;
    const auto answer = [](unsigned cseq, std::string_view more, std::string_view body = "") {
        return fmt::format("RTSP/1.0 200 OK\r\nCSeq: {}\r\n{}Content-Length: {}\r\n\r\n{}", cseq, more, body.size(),
                           body);
    };
    for (int run = 0; run < 60; run++) {
        std::string bytes = answer(1, "Public: OPTIONS\r\n") + answer(2, "Content-Base: rtsp://h/live/\r\n", kSdp) +
                            answer(3, "Session: 1\r\nTransport: RTP/AVP/TCP;interleaved=4-5\r\n") +
                            std::string("$\4\0\3abc", 7) + "OPTIONS * RTSP/1.0\r\nCSeq: 7\r\n\r\n" +
                            answer(4, "Session: 1\r\nTransport: RTP/AVP/TCP;interleaved=6-7\r\n") +
                            std::string("$\7\0\2ab", 6) + answer(5, "") + std::string("$\6\0\1x", 5);
        if (run % 2 == 1)
            for (uint32_t i = 0; i < 1 + random.below(4); i++)
                bytes[random.below(static_cast<uint32_t>(bytes.size()))] = static_cast<char>(random.below(256));
        const auto told = [&](auto next_size) {
            RtspWatcher watcher(rtsp::Way::tcp);
            for (std::string_view rest = bytes; !rest.empty();) {
                const size_t size = std::min<size_t>(rest.size(), next_size());
                watcher.hear(rest.substr(0, size));
                rest.remove_prefix(size);
            }
            return watcher.told;
        };
        const std::string whole = told([&] { return bytes.size(); });
        CHECK(told([] { return 1; }) == whole);
        for (int cut = 0; cut < 5; cut++) CHECK(told([&] { return 1 + random.below(300); }) == whole);
        if (run % 2 == 0) {
            CHECK(whole.find("playing\n") != std::string::npos);
            CHECK(whole.find("packet 0 false 3\n") != std::string::npos);
            CHECK(whole.find("packet 1 true 2\n") != std::string::npos);
            CHECK(whole.find("packet 1 false 1\n") != std::string::npos);
        }
    }
}
