// io::TcpServer on loopback: clients that behave, that are refused, that do not read, and more of them than there are
// descriptors.
#include "control/io/tcp_server.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <ctime>
#include <vector>

using namespace penstock;
using namespace penstock::io;
using namespace std::chrono_literals;

namespace {

class Client {
public:
    explicit Client(uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        const sockaddr_in to{
            .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
        REQUIRE(connect(fd_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
        fcntl(fd_.get(), F_SETFL, O_NONBLOCK);
    }
    void say(std::string_view text) {
        REQUIRE(send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
    }
    // What came until now; `closed` tells whether the other end ended it.
    const std::string& heard() {
        char buffer[65536];
        for (;;) {
            const ssize_t size = recv(fd_.get(), buffer, sizeof buffer, 0);
            if (size > 0) {
                heard_.append(buffer, static_cast<size_t>(size));
                continue;
            }
            closed_ |= size == 0 || errno != EAGAIN;
            return heard_;
        }
    }
    bool closed() {
        heard();
        return closed_;
    }

private:
    Fd fd_;
    std::string heard_;
    bool closed_ = false;
};

// A server that says back what it hears.
struct Echo {
    explicit Echo(size_t most = 1000) {
        // A free port: the server is told which, so it is looked for.
        for (port = 20000 + static_cast<uint16_t>(getpid() % 10000); !server; port++) {
            auto opened =
                TcpServer::open(loop, {{*Ip::parse("127.0.0.1"), port}},
                                {.connected =
                                     [this, most](auto, const Endpoint& from, const Endpoint& to) {
                                         CHECK(from.ip == to.ip);
                                         asked++;
                                         if (open >= most) return false;
                                         open++;
                                         return true;
                                     },
                                 .received =
                                     [this](auto id, std::span<const std::byte> bytes) {
                                         last = id;
                                         server->send(id, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
                                     },
                                 .disconnected = [this](auto) { open--; }});
            if (!opened) continue;
            server = std::move(*opened);
            break;
        }
    }
    // Turns until the condition holds; false: it did not within five seconds.
    template <class Condition>
    bool until(Condition condition) {
        const Instant deadline = Clock::now() + 5s;
        const auto look = loop.every(1ms, [&] {
            if (condition() || Clock::now() > deadline) loop.stop();
        });
        loop.run();
        return condition();
    }

    EventLoop loop;
    std::unique_ptr<TcpServer> server;
    uint16_t port = 0;
    size_t open = 0, asked = 0;
    TcpServer::Id last = 0;
};

Duration used() {  // of processor time
    timespec time{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

TEST_CASE("who does not read what it is sent is known before anything has to wait", "[tcp]") {
    Echo echo;
    Client client(echo.port);
    client.say("1");
    REQUIRE(echo.until([&] { return client.heard() == "1"; }));
    CHECK(echo.server->keeps_up(echo.last));
    constexpr size_t kPiece = 1000, kFar = 64 << 20;
    size_t sent = 1;
    for (; echo.server->keeps_up(echo.last) && sent < kFar; sent += kPiece)
        echo.server->send(echo.last, std::string(kPiece, 'x'));
    CHECK(sent < kFar);
    CHECK_FALSE(client.closed());  // and it is still there, and heard
    client.say("2");
    CHECK(echo.until([&] { return client.heard().size() == sent + 1; }));
    CHECK(echo.until([&] { return echo.server->keeps_up(echo.last); }));
    CHECK_FALSE(echo.server->keeps_up(echo.last + 1));
}

TEST_CASE("what is said comes back, and the end is noticed at both ends", "[tcp]") {
    Echo echo;
    Client one(echo.port);
    {
        Client two(echo.port);
        one.say("one");
        two.say("two");
        CHECK(echo.until([&] { return one.heard() == "one" && two.heard() == "two"; }));
        CHECK(echo.open == 2);
    }
    CHECK(echo.until([&] { return echo.open == 1; }));
    one.say("more");
    CHECK(echo.until([&] { return one.heard() == "onemore"; }));
    echo.server->send(echo.last, "the last words");
    echo.server->close(echo.last);
    echo.server->send(echo.last, "too late");
    CHECK(echo.until([&] { return one.closed() && echo.open == 0; }));
    CHECK(one.heard() == "onemorethe last words");
    echo.server->send(echo.last, "to nobody");
    echo.server->close(echo.last);
}

TEST_CASE("who is refused is closed at once, and a flood of them holds up nobody", "[tcp]") {
    Echo echo(2);
    Client first(echo.port);
    first.say("a");
    CHECK(echo.until([&] { return first.heard() == "a"; }));
    std::vector<std::unique_ptr<Client>> flood;
    for (int i = 0; i < 300; i++) flood.push_back(std::make_unique<Client>(echo.port));
    first.say("b");
    CHECK(echo.until([&] { return echo.asked == 301; }));
    CHECK(first.heard() == "ab");
    CHECK(echo.open == 2);
    size_t closed = 0;
    CHECK(echo.until([&] {
        closed = 0;
        for (const auto& client : flood) closed += client->closed();
        return closed == 299;
    }));
    flood.clear();
    CHECK(echo.until([&] { return echo.open == 1; }));
    Client later(echo.port);
    later.say("c");
    CHECK(echo.until([&] { return later.heard() == "c"; }));
}

TEST_CASE("one that does not read is let go, and costs no more than it may", "[tcp]") {
    Echo echo;
    Client deaf(echo.port);
    deaf.say("x");
    CHECK(echo.until([&] { return deaf.heard() == "x"; }));
    const TcpServer::Id id = echo.last;
    Client other(echo.port);
    CHECK(echo.until([&] { return echo.open == 2; }));
    // What the kernel takes, and what it does not, until it is too much.
    for (int i = 0; i < 200 && echo.open == 2; i++) echo.server->send(id, std::string(100'000, 'x'));
    CHECK(echo.until([&] { return echo.open == 1; }));
    other.say("y");
    CHECK(echo.until([&] { return other.heard() == "y"; }));
}

TEST_CASE("without descriptors clients wait, and the loop does not spin", "[tcp]") {
    Echo echo;
    Client one(echo.port);
    one.say("one");
    CHECK(echo.until([&] { return one.heard() == "one"; }));
    Client two(echo.port);  // in the kernel's queue
    two.say("two");
    rlimit before{};
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    const int next = dup(0);
    close(next);
    const rlimit none{static_cast<rlim_t>(next), before.rlim_max};
    REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
    const Instant end = Clock::now() + 300ms;
    const Duration before_it = used();
    echo.until([&] { return Clock::now() > end; });
    CHECK(used() - before_it < 150ms);
    one.say("more");
    CHECK(echo.until([&] { return one.heard() == "onemore"; }));  // those that are there go on
    CHECK(echo.asked == 1);
    REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(echo.until([&] { return two.heard() == "two"; }));
}

TEST_CASE("a port that is taken, and one that takes privileges, are told", "[tcp]") {
    Echo echo;
    const auto again = TcpServer::open(echo.loop, {{*Ip::parse("127.0.0.1"), echo.port}}, {});
    REQUIRE_FALSE(again);
    CHECK_THAT(again.error().text, Catch::Contains("another program listens there"));
    const auto elsewhere = TcpServer::open(echo.loop, {{*Ip::parse("192.0.2.1"), 554}}, {});
    REQUIRE_FALSE(elsewhere);
    CHECK_THAT(elsewhere.error().text, Catch::Contains("192.0.2.1:554"));
}
