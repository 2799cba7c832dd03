// The thread that writes to viewers over TCP, with real sockets: workers give packets, control asks and is told,
// viewers come and go meanwhile. Built for ThreadSanitizer, too.
#include "../../src/sender.hpp"

#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <catch2/catch.hpp>

#include <array>
#include <cerrno>
#include <deque>
#include <thread>

#include "base/wire.hpp"
#include "support/media.hpp"

using namespace penstock;
using namespace penstock::test;
using namespace std::chrono_literals;

namespace {

constexpr uint64_t kFeed = 3;

struct Sink final : ByteSink {
    explicit Sink(int of) : fd(of) {}
    ssize_t write(std::span<const iovec> parts) noexcept override {
        msghdr message{};
        message.msg_iov = const_cast<iovec*>(parts.data());
        message.msg_iovlen = parts.size();
        const ssize_t n = sendmsg(fd.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        return n < 0 ? -errno : n;
    }
    int descriptor() const noexcept override { return fd.get(); }
    const io::Fd fd;
};

// What the ring of the workers is in penstock: packets of one track, numbered, one after another.
class Source {
public:
    ~Source() {
        stopping_ = true;
        thread_.join();
    }
    size_t take(const std::function<void(const flow::Diverted&)>& visit) {
        std::deque<Bytes> batch;
        {
            const std::lock_guard lock(mutex_);
            batch.swap(waiting_);
        }
        for (const Bytes& packet : batch) visit({.feed = kFeed, .packet = packet});
        return batch.size();
    }

private:
    void run() {
        for (unsigned n = 0; !stopping_; n++) {
            {
                const std::lock_guard lock(mutex_);
                waiting_.push_back(rtp_packet({.sequence = n & 0xffff, .timestamp = n, .size = 20 + n % 1400}));
            }
            std::this_thread::sleep_for(50us);
        }
    }
    std::atomic<bool> stopping_{false};
    std::mutex mutex_;
    std::deque<Bytes> waiting_;
    std::thread thread_{[this] { run(); }};
};

class Viewer {
public:
    Viewer(Sender& sender, uint64_t id) : sender_(sender), id_(id) {
        std::array<int, 2> ends{};
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
        ours_ = io::Fd(ends[0]);
        sender.adopt(id, std::make_shared<Sink>(ends[1]), "");
    }
    ~Viewer() { sender_.forget(id_); }
    void prepare() {
        const rtsp::Lane lane{.feed = kFeed, .rtp = 0, .rtcp = 1, .codec = rtp::Codec::other, .video = false};
        rtsp::Interleaver::Plan plan{.session = id_, .connection = id_, .lanes = {{lane, leg}}, .from_key_frame = true};
        sender_.ask([plan](rtsp::Interleaver& i, Instant now) { i.prepare(now, plan); });
    }
    void begin() {
        sender_.ask([id = id_](rtsp::Interleaver& i, Instant) { i.begin(id); });
        say("PLAY\n");
    }
    void halt() {
        sender_.ask([id = id_](rtsp::Interleaver& i, Instant) { i.halt(id); });
        say("PAUSE\n");
    }
    // The numbers of the frames that come before such words.
    std::vector<uint16_t> until(std::string_view words) {
        std::vector<uint16_t> numbers;
        for (;;) {
            const std::string front = read(1);
            if (front != "$") {
                CHECK(front + read(words.size() - 1) == words);
                return numbers;
            }
            numbers.push_back(frame());
        }
    }
    uint16_t next() {
        REQUIRE(read(1) == "$");
        return frame();
    }

    rtsp::Interleaver::Leg leg = std::make_shared<flow::LegState>();

private:
    void say(const char* words) {
        sender_.ask([id = id_, words](rtsp::Interleaver& i, Instant) { i.send(id, words); });
    }
    uint16_t frame() {
        const std::string head = read(3);
        REQUIRE(head[0] == 0);
        const std::string packet = read(size_t{static_cast<uint8_t>(head[1])} * 256u + static_cast<uint8_t>(head[2]));
        return wire::load16(reinterpret_cast<const std::byte*>(&packet[2]));
    }
    std::string read(size_t size) {
        std::string bytes(size, ' ');
        for (size_t got = 0; got < size;) {
            pollfd ready{ours_.get(), POLLIN, 0};
            REQUIRE(poll(&ready, 1, 20'000) == 1);
            const ssize_t n = recv(ours_.get(), &bytes[got], size - got, 0);
            REQUIRE(n > 0);
            got += static_cast<size_t>(n);
        }
        return bytes;
    }
    Sender& sender_;
    const uint64_t id_;
    io::Fd ours_;
};

uint16_t first_of(Sender& sender, uint64_t session) {
    for (;;) {
        pollfd ready{sender.descriptor(), POLLIN, 0};
        REQUIRE(poll(&ready, 1, 20'000) == 1);
        for (const auto& event : sender.events())
            if (const auto* first = std::get_if<rtsp::Interleaver::First>(&event); first && first->session == session)
                return first->sequence;
    }
}

}  // namespace

TEST_CASE("workers, control and the thread that writes to viewers hand over to each other", "[sender]") {
    Source source;
    auto opened = Sender::open([&](const auto& visit) { return source.take(visit); });
    REQUIRE(opened);
    Sender& sender = **opened;
    for (uint64_t round = 0; round < 20; round++) {
        Viewer one(sender, 2 * round + 1), two(sender, 2 * round + 2);
        one.prepare();
        uint16_t expected = first_of(sender, 2 * round + 1);
        one.begin();
        CHECK(one.until("PLAY\n").empty());
        for (int i = 0; i < 50; i++) CHECK(one.next() == expected++);
        two.prepare();
        first_of(sender, 2 * round + 2);
        two.begin();
        CHECK(two.until("PLAY\n").empty());
        two.next();
        CHECK(sender.counters().renditions.read() == 1);
        one.halt();
        for (const uint16_t number : one.until("PAUSE\n")) CHECK(number == expected++);
        CHECK(one.leg->packets.read() >= 50);
    }  // the second one goes while it plays
}

TEST_CASE("without descriptors there is no such thread, and it says why", "[sender]") {
    rlimit before{};
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    const io::Fd next(dup(0));  // the lowest number that was free
    const rlimit none{static_cast<rlim_t>(next.get() + 1), before.rlim_max};
    REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
    const auto opened = Sender::open({});
    setrlimit(RLIMIT_NOFILE, &before);
    REQUIRE_FALSE(opened);
    CHECK(opened.error().text == "no thread to write to viewers over TCP: Too many open files");
}
