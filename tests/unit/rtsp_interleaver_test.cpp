// Media over TCP without sockets: what viewers get, byte for byte, whatever their connections take at a time.
#include <catch2/catch.hpp>

#include <cerrno>
#include <cstring>
#include <map>
#include <random>

#include "base/wire.hpp"
#include "control/rtsp/interleaver.hpp"

using namespace penstock;
using namespace penstock::rtsp;
using namespace std::chrono_literals;

namespace {

// Takes at most `most` bytes a call, and so many in all as there is room for.
struct Sink final : ByteSink {
    size_t most = SIZE_MAX, room = SIZE_MAX;
    bool gone = false, holds = false, held = false;  // holds: what it takes does not leave, as with TLS
    std::string got;

    ssize_t write(std::span<const iovec> parts) noexcept override {
        if (gone) return -EPIPE;
        if (held) return -EAGAIN;
        if (parts.empty()) return 0;
        size_t left = std::min(most, room), taken = 0;
        if (left == 0) return -EAGAIN;
        for (const iovec& part : parts) {
            const size_t n = std::min(left, part.iov_len);
            got.append(static_cast<const char*>(part.iov_base), n);
            left -= n;
            taken += n;
        }
        room -= taken;
        held = holds;
        return static_cast<ssize_t>(taken);
    }
    int descriptor() const noexcept override { return -1; }

    // Frames as "channel:number", words as they are; "torn" at the end if a frame is not complete.
    std::vector<std::string> parts() const {
        std::vector<std::string> all;
        for (size_t at = 0; at < got.size();) {
            if (got[at] != '$') {
                const size_t end = std::min(got.find('\n', at), got.size() - 1);
                all.push_back(got.substr(at, end - at));
                at = end + 1;
                continue;
            }
            const auto byte = [&](size_t i) { return static_cast<unsigned char>(got[at + i]); };
            if (got.size() - at < 4 || got.size() - at < 4u + byte(2) * 256u + byte(3))
                return all.push_back("torn"), all;
            const size_t size = byte(2) * 256u + byte(3);
            uint32_t number = 0;
            if (size >= 16) number = wire::load32(reinterpret_cast<const std::byte*>(&got[at + 16]));
            for (size_t i = 20; i < 4 + size; i++)
                if (byte(i) != (number & 0xff)) return all.push_back("wrong bytes"), all;
            all.push_back(std::to_string(byte(1)) + ":" + std::to_string(number));
            at += 4 + size;
        }
        return all;
    }
};

// RTP whose payload is H.264: a key frame (IDR) or another slice; the rest tells its number.
std::vector<std::byte> packet(uint32_t number, size_t size = 200, bool key = false) {
    std::vector<std::byte> p(size, static_cast<std::byte>(number & 0xff));
    p[0] = std::byte{0x80};
    p[1] = std::byte{0x80 | 96};  // each a picture of its own
    wire::store16(&p[2], static_cast<uint16_t>(number));
    wire::store32(&p[4], number * 3600);
    wire::store32(&p[8], 0x5eed);
    // The number in the four bytes of payload: type, a first macroblock of 0, two bytes of ours would not tell enough.
    wire::store32(&p[12], (key ? 0x65800000u : 0x41800000u) | number);
    return p;
}
std::string told(uint8_t channel, uint32_t number, bool key = false) {
    return std::to_string(channel) + ":" + std::to_string((key ? 0x65800000u : 0x41800000u) | number);
}

constexpr FrameRing::Limits kSmall{.smallest = 4096, .largest = 4096, .hold = 0s};
constexpr FrameRing::Limits kLarge{.smallest = 4096, .largest = 1 << 20, .hold = 0s};

struct Stage {
    explicit Stage(FrameRing::Limits limits = kSmall) : interleaver(limits) {}
    Interleaver interleaver;
    Instant now{};
    std::map<ConnectionId, std::shared_ptr<Sink>> sinks;
    std::map<SessionId, Interleaver::Leg> legs;

    Sink& connect(ConnectionId id) {
        sinks[id] = std::make_shared<Sink>();
        interleaver.adopt(id, sinks[id], "");
        return *sinks[id];
    }
    void prepare(SessionId id, Lane lane = {.feed = 1, .rtp = 0, .rtcp = 1, .codec = rtp::Codec::h264, .video = true}) {
        legs[id] = std::make_shared<flow::LegState>();
        interleaver.prepare(now, {.session = id, .connection = id, .lanes = {{lane, legs[id]}}});
    }
    void play(SessionId id) {
        prepare(id);
        interleaver.begin(id);
        interleaver.send(id, "PLAY\n");
    }
    void media(uint32_t number, bool key = false, size_t size = 200) {
        interleaver.take(now, 1, false, packet(number, size, key));
        interleaver.flush(now += 1ms);
    }
    std::vector<Interleaver::First> firsts() {
        std::vector<Interleaver::First> all;
        while (const auto event = interleaver.poll())
            if (const auto* first = std::get_if<Interleaver::First>(&*event)) all.push_back(*first);
        return all;
    }
};

using Parts = std::vector<std::string>;

}  // namespace

TEST_CASE("frames follow the answer, words go between them, and none comes after an end", "[interleaver]") {
    Stage s;
    Sink& sink = s.connect(1);
    s.prepare(1);
    s.media(1);
    CHECK(sink.got.empty());
    const auto firsts = s.firsts();
    REQUIRE(firsts.size() == 1);
    CHECK(firsts[0].sequence == 1);
    CHECK(firsts[0].timestamp == 3600);
    s.interleaver.begin(1);
    s.media(2);
    CHECK(sink.got.empty());
    s.interleaver.send(1, "PLAY\n");
    s.interleaver.flush(s.now);
    s.media(3);
    s.interleaver.send(1, "PARAMETER\n");
    s.media(4);
    s.interleaver.halt(1);
    s.interleaver.send(1, "PAUSE\n");
    s.media(5);
    CHECK(sink.parts() == Parts{"PLAY", told(0, 1), told(0, 2), told(0, 3), "PARAMETER", told(0, 4), "PAUSE"});
    CHECK(s.legs[1]->packets.read() == 4);
    CHECK_FALSE(s.interleaver.busy());
    s.interleaver.leave(1);
    CHECK(s.interleaver.counters().renditions.read() == 0);
    s.media(6);
    CHECK(s.interleaver.counters().unwanted.read() == 2);  // the fifth and the sixth
}

TEST_CASE("one who comes late begins with the last key frame, unless packets may be missing since", "[interleaver]") {
    Stage s;
    s.connect(1);
    s.play(1);
    for (uint32_t n = 1; n < 6; n++) s.media(n, n == 3);
    Sink& late = s.connect(2);
    s.play(2);
    s.media(6);
    CHECK(late.parts() == Parts{"PLAY", told(0, 3, true), told(0, 4), told(0, 5), told(0, 6)});
    s.interleaver.halt(1);
    s.interleaver.halt(2);  // nobody plays: the workers divert nothing
    Sink& later = s.connect(3);
    s.play(3);
    s.media(99);
    CHECK(later.parts() == Parts{"PLAY", told(0, 99)});
}

TEST_CASE("who does not read loses whole packets and goes on with a key frame; nobody else notices", "[interleaver]") {
    Stage s;
    Sink &slow = s.connect(1), &quick = s.connect(2);
    s.play(1);
    s.play(2);
    s.media(1, true);
    slow.room = 300;  // one and a part of the next
    for (uint32_t n = 2; n < 60; n++) s.media(n, n == 50);
    CHECK(s.legs[1]->drop(flow::Drop::too_slow).read() > 0);
    slow.room = SIZE_MAX;
    s.interleaver.writable(s.now, 1);
    s.media(60);
    const Parts all = slow.parts();
    REQUIRE(all.size() == 15);  // PLAY, 1, 2, 3 whose rest was kept, 50 to 60
    CHECK(all[3] == told(0, 3));
    CHECK(all[4] == told(0, 50, true));
    CHECK(all.back() == told(0, 60));
    CHECK(s.legs[1]->drop(flow::Drop::too_slow).read() == 46);
    CHECK(s.legs[1]->packets.read() + 46 == 60);
    CHECK(quick.parts().size() == 61);
}

TEST_CASE("the same channels are one rendition, others another one", "[interleaver]") {
    Stage s;
    for (SessionId id = 1; id <= 3; id++) s.connect(id);
    s.prepare(1);
    s.prepare(2);
    CHECK(s.interleaver.counters().renditions.read() == 1);
    s.prepare(3, {.feed = 1, .rtp = 7, .rtcp = 8, .codec = rtp::Codec::h264, .video = true});
    CHECK(s.interleaver.counters().renditions.read() == 2);
    s.interleaver.begin(3);
    s.interleaver.send(3, "PLAY\n");
    s.media(1);
    CHECK(s.sinks[3]->parts() == Parts{"PLAY", told(7, 1)});
    s.interleaver.forget(3);
    CHECK(s.interleaver.counters().renditions.read() == 1);
    CHECK(s.interleaver.counters().connections.read() == 2);
}

TEST_CASE("the same pictures on other channels begin with the same key frame", "[interleaver]") {
    Stage s(kLarge);
    for (SessionId id = 1; id <= 3; id++) s.connect(id);
    s.play(1);
    for (uint32_t n = 1; n < 40; n++) s.media(n, n == 3, n == 10 ? 1400 : 200);
    s.firsts();
    s.prepare(2, {.feed = 1, .rtp = 7, .rtcp = 8, .codec = rtp::Codec::h264, .video = true});
    const auto firsts = s.firsts();
    REQUIRE(firsts.size() == 1);
    CHECK(firsts[0].sequence == 3);
    s.interleaver.begin(2);
    s.interleaver.send(2, "PLAY\n");
    s.media(40);
    Parts expected{"PLAY"};
    for (uint32_t n = 3; n <= 40; n++) expected.push_back(told(7, n, n == 3));
    CHECK(s.sinks[2]->parts() == expected);

    s.interleaver.halt(2);  // its ring is not kept up; the other one's is
    s.media(41);
    s.prepare(2, {.feed = 1, .rtp = 7, .rtcp = 8, .codec = rtp::Codec::h264, .video = true});
    CHECK(s.firsts().at(0).sequence == 3);
    const Lane live{.feed = 1, .rtp = 9, .rtcp = 10, .codec = rtp::Codec::h264, .video = true};
    s.interleaver.prepare(s.now,
                          {.session = 3, .connection = 3, .lanes = {{live, s.legs[2]}}, .from_key_frame = false});
    s.media(42);
    CHECK(s.firsts().at(0).sequence == 42);
}

TEST_CASE("one of two tracks goes, and of the other nothing is lost that was not counted", "[interleaver]") {
    const bool in_time = GENERATE(true, false);
    Stage s(in_time ? kLarge : kSmall);
    Sink& sink = s.connect(1);
    const Lane video{.feed = 1, .rtp = 0, .rtcp = 1, .codec = rtp::Codec::h264, .video = true};
    const Lane audio{.feed = 2, .rtp = 2, .rtcp = 3, .codec = rtp::Codec::other, .video = false};
    const Interleaver::Leg leg = std::make_shared<flow::LegState>();
    const Interleaver::Leg other = std::make_shared<flow::LegState>();
    s.interleaver.prepare(s.now, {.session = 1, .connection = 1, .lanes = {{video, leg}, {audio, other}}});
    s.interleaver.begin(1);
    s.interleaver.send(1, "PLAY\n");
    s.media(1, true);
    sink.room = 250;  // of the second it is cut off
    for (uint32_t n = 2; n <= 40; n++) {
        s.interleaver.take(s.now, 2, false, packet(1000 + n, 100));
        s.media(n);
    }
    s.interleaver.prepare(s.now, {.session = 1, .connection = 1, .lanes = {{video, leg}}, .from_key_frame = false});
    s.interleaver.begin(1);
    s.interleaver.send(1, "TEARDOWN\n");
    sink.room = SIZE_MAX;
    s.interleaver.writable(s.now, 1);
    s.media(41);
    const Parts all = sink.parts();
    CHECK(all.back() == told(0, 41));
    CHECK(all[all.size() - 2] == "TEARDOWN");
    const auto of_video = std::ranges::count_if(all, [](const std::string& part) { return part.starts_with("0:"); });
    const uint64_t lost = leg->drop(flow::Drop::too_slow).read();
    CHECK((lost == 0) == in_time);
    CHECK(static_cast<uint64_t>(of_video) + lost == 41);
    CHECK(leg->packets.read() == static_cast<uint64_t>(of_video));
    CHECK(s.interleaver.counters().renditions.read() == 1);
}

TEST_CASE("a connection that breaks or that lets words pile up is told, one that closes when all is out",
          "[interleaver]") {
    Stage s;
    Sink &broken = s.connect(1), &closing = s.connect(2), &deaf = s.connect(3);
    s.play(1);
    broken.gone = true;
    s.media(1);
    closing.room = 2;
    s.interleaver.send(2, "TEARDOWN\n");
    s.interleaver.close(2);
    deaf.room = 0;
    for (size_t i = 0; i <= Interleaver::kMostUnsent / 1000; i++) s.interleaver.send(3, std::string(1000, 'x'));
    std::map<ConnectionId, char> told;
    const auto look = [&] {
        while (const auto event = s.interleaver.poll()) {
            if (const auto* b = std::get_if<Interleaver::Broken>(&*event)) told[b->connection] = 'b';
            if (const auto* f = std::get_if<Interleaver::Flushed>(&*event)) told[f->connection] = 'f';
        }
    };
    look();
    CHECK(told == std::map<ConnectionId, char>{{1, 'b'}, {3, 'b'}});
    closing.room = SIZE_MAX;
    s.interleaver.writable(s.now, 2);
    look();
    CHECK(told.at(2) == 'f');
    CHECK(closing.got == "TEARDOWN\n");
}

TEST_CASE("what TLS took and still holds is not out yet: nothing is written behind it, and the end waits",
          "[interleaver]") {
    Stage s;
    Sink& sink = s.connect(1);
    s.play(1);
    s.media(1, true);
    sink.holds = true;
    s.media(2);
    const size_t before = sink.got.size();
    s.media(3);
    CHECK(sink.got.size() == before);
    s.interleaver.send(1, "TEARDOWN\n");
    s.interleaver.close(1);
    const auto flushed = [&] {
        bool any = false;
        while (const auto event = s.interleaver.poll()) any |= std::holds_alternative<Interleaver::Flushed>(*event);
        return any;
    };
    CHECK_FALSE(flushed());
    sink.held = false;
    s.interleaver.writable(s.now, 1);  // takes the words
    CHECK(sink.got.ends_with("TEARDOWN\n"));
    CHECK_FALSE(flushed());
    sink.held = sink.holds = false;
    s.interleaver.writable(s.now, 1);
    CHECK(flushed());
}

TEST_CASE("whatever sizes connections take, each viewer gets whole frames in order, counted or lost", "[interleaver]") {
    std::mt19937 random(Catch::rngSeed());
    const auto up_to = [&](size_t most) { return std::uniform_int_distribution<size_t>(0, most)(random); };
    for (int round = 0; round < 60; round++) {
        Stage s;
        for (ConnectionId id = 1; id <= 3; id++) {
            Sink& sink = s.connect(id);
            sink.most = id == 1 ? 1 : 1 + up_to(700);
            s.play(id);
        }
        const uint32_t packets = 150;
        for (uint32_t n = 1; n <= packets; n++) {
            s.media(n, up_to(9) == 0, 20 + up_to(600));
            for (ConnectionId id = 1; id <= 3; id++) {
                if (up_to(3) == 0) s.interleaver.send(id, "WORDS\n");
                s.sinks[id]->room = up_to(2) == 0 ? up_to(900) : s.sinks[id]->room;
                if (s.sinks[id]->room != 0) s.interleaver.writable(s.now, id);
            }
        }
        for (ConnectionId id = 1; id <= 3; id++) {
            s.sinks[id]->room = SIZE_MAX;
            s.interleaver.writable(s.now, id);
        }
        s.media(packets + 1, true);
        for (ConnectionId id = 1; id <= 3; id++) {
            uint32_t last = 0;
            size_t frames = 0;
            for (const std::string& part : s.sinks[id]->parts()) {
                if (part == "PLAY" || part == "WORDS") continue;
                REQUIRE(part.starts_with("0:"));
                const uint32_t number = static_cast<uint32_t>(std::stoul(part.substr(2))) & 0x7fffff;
                REQUIRE(number > last);
                last = number;
                frames++;
            }
            CHECK(frames == s.legs[id]->packets.read());
            CHECK(frames + s.legs[id]->drop(flow::Drop::too_slow).read() == packets + 1);
        }
    }
}
