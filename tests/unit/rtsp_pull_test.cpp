// A stream that is wanted from a camera: when it is tried again, and how.
#include <algorithm>

#include "rtsp_talk.hpp"

using namespace penstock;
using namespace penstock::test;

TEST_CASE("a pull tries again, by the other way where one does not come through", "[rtsp]") {
    Instant now{};
    uint64_t random = 0;
    Pull pull({*location_of("rtsp://10.0.0.7/"), Reach::automatic, "test"}, [&] { return random; });
    const auto drain = [&] {
        std::optional<client::Over> over;
        while (auto output = pull.poll(now))
            if (auto* o = std::get_if<client::Over>(&*output)) over = *o;
        return over;
    };
    const auto pass = [&](Duration time) {
        now += time;
        pull.expire(now);
        return drain();
    };
    unsigned cseq = 0;
    const auto answer = [&](std::string_view status, std::string_view headers = "", std::string_view body = "") {
        const std::string text = fmt::format("RTSP/1.0 {}\r\nCSeq: {}\r\n{}Content-Length: {}\r\n\r\n{}", status,
                                             ++cseq, headers, body.size(), body);
        pull.receive(now, std::as_bytes(std::span(text)));
        return drain();
    };
    const auto until_setup = [&] {
        cseq = 0;
        drain();
        pull.connected(now, *Ip::parse("10.0.0.7"));
        answer("200 OK");
        answer("200 OK", "", kSdp);
        pull.set_up(now, {{0, Pair{5000, 5001}}});
        drain();
    };
    const auto until_playing = [&](std::string_view transport) {
        until_setup();
        answer("200 OK", fmt::format("Session: 1\r\nTransport: {}\r\n", transport));
        pull.play(now);
        answer("200 OK");
        pass(0s);
    };

    pull.start(now);
    // Pauses grow, and begin with half of what they may be when chance is 0.
    for (const auto wait : {250ms, 500ms, 1000ms, 2000ms, 4000ms, 8000ms, 15000ms, 15000ms}) {
        pull.disconnected(now, "refused");
        CHECK(drain()->failure == Failure::unreachable);
        CHECK(pull.facts().state == "waiting");
        pass(wait - 1ms);
        CHECK(pull.facts().state == "waiting");
        pass(1ms);
        CHECK(pull.facts().state == "connecting");
    }
    // No UDP within three seconds: TCP at once.
    until_playing("RTP/AVP;unicast");
    CHECK(pull.playing());
    pass(2999ms);
    CHECK(pull.playing());
    pass(1ms);
    CHECK(pull.facts().state == "teardown");
    CHECK(answer("200 OK")->failure == Failure::no_packets);
    pass(0s);
    CHECK(pull.facts().way == Way::tcp);
    until_playing("RTP/AVP/TCP;unicast;interleaved=0-1");
    pull.media(now);
    for (int i = 0; i < 11; i++) {
        pass(1s);
        pull.media(now);
    }
    CHECK(pull.facts().tries == 0);
    pull.disconnected(now, "reset");  // TCP is remembered, and the pauses begin anew
    CHECK(drain()->failure == Failure::closed);
    pass(250ms);
    CHECK(pull.facts().way == Way::tcp);
    until_playing("RTP/AVP/TCP;unicast;interleaved=0-1");
    pull.media(now += 1ms);
    CHECK_FALSE(pass(9999ms));
    pass(1ms);  // it stopped sending
    CHECK(answer("200 OK")->failure == Failure::no_packets);
    pass(kTcpRemembered);
    CHECK(pull.facts().way == Way::udp);
    until_setup();
    CHECK(answer("461 Unsupported Transport")->failure == Failure::transport);
    pass(0s);
    CHECK(pull.facts().way == Way::tcp);
    until_setup();
    CHECK(answer("503 Service Unavailable", "Retry-After: 60\r\n")->failure == Failure::busy);
    pass(59s);
    CHECK(pull.facts().state == "waiting");
    pass(1s);
    CHECK(pull.facts().state == "connecting");
    pull.stop(now);
    CHECK_FALSE(drain()->failure);
    CHECK(pull.idle());
}

TEST_CASE("a password that was refused is not tried for minutes, whoever wants the stream", "[rtsp]") {
    Instant now{};
    Pull pull({*location_of("rtsp://u:p@10.0.0.7/"), Reach::udp, "test"}, [] { return 0; });
    unsigned cseq = 0;
    const auto drain = [&] {
        while (pull.poll(now)) {
        }
    };
    const auto answer = [&](std::string_view text) {
        const std::string bytes = fmt::format("RTSP/1.0 {}\r\nCSeq: {}\r\n", text, ++cseq) +
                                  "WWW-Authenticate: Digest realm=\"cam\", nonce=\"n\"\r\n\r\n";
        pull.receive(now, std::as_bytes(std::span(bytes)));
        drain();
    };
    const auto refused = [&] {
        cseq = 0;
        drain();
        pull.connected(now, *Ip::parse("10.0.0.7"));
        answer("200 OK");
        answer("401 Unauthorized");  // with our proof it asks once more, and that is wrong, too
        answer("401 Unauthorized");
        CHECK(pull.facts().failure == Failure::unauthorized);
    };
    pull.start(now);
    for (const auto wait : {60s, 120s, 240s, 480s, 480s}) {
        refused();
        // A viewer that goes and another one that comes are no reason to try sooner.
        pull.stop(now);
        pull.start(now);
        drain();
        now += wait - 1ms;
        pull.expire(now);
        CHECK(pull.facts().state == "waiting");
        now += 1ms;
        pull.expire(now);
        CHECK(pull.facts().state == "connecting");
    }
    pull.disconnected(now, "refused");  // of other failures the pauses are the usual ones
    drain();
    now += 250ms;
    pull.expire(now);
    CHECK(pull.facts().state == "connecting");
}

TEST_CASE("by TLS a pull is over TCP, and no redirection leads out of it", "[rtsp]") {
    const bool stays = GENERATE(false, true);
    const Instant now{};
    Pull pull({*location_of("rtsps://10.0.0.7/"), Reach::automatic, "test"}, [] { return uint64_t{0}; });
    std::vector<client::Output> said;
    const auto drain = [&] {
        while (auto output = pull.poll(now)) said.push_back(std::move(*output));
    };
    const auto answer = [&](const std::string& text) {
        pull.receive(now, std::as_bytes(std::span(text)));
        drain();
    };
    pull.start(now);
    drain();
    CHECK(pull.facts().way == Way::tcp);
    const auto& first = std::get<client::Connect>(said.at(0));
    CHECK((first.tls && first.port == 322));
    pull.connected(now, *Ip::parse("10.0.0.7"));
    drain();
    answer("RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n");
    said.clear();
    answer(fmt::format("RTSP/1.0 302 Moved\r\nCSeq: 2\r\nLocation: {}://10.0.0.8/\r\n\r\n", stays ? "rtsps" : "rtsp"));
    CHECK(pull.facts().failure == (stays ? std::nullopt : std::optional(Failure::redirects)));
    CHECK(std::ranges::any_of(said, [](const auto& o) {
              const auto* connect = std::get_if<client::Connect>(&o);
              return connect && connect->host == "10.0.0.8" && connect->tls;
          }) == stays);
}
