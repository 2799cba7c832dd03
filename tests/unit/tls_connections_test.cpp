// TLS on real connections, over the loopback: TcpServer and TcpClient with it, and peers that misbehave.
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <optional>
#include <thread>
#include <vector>

#include "control/io/socket_address.hpp"
#include "control/io/tcp_client.hpp"
#include "control/io/tcp_server.hpp"
#include "support/certificates.hpp"

using namespace penstock;
using namespace penstock::io;
using namespace std::chrono_literals;
using penstock::test::Certificates;

namespace {

Endpoint free_address() {
    const Fd probe{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    const SocketAddress any = socket_address({*Ip::parse("127.0.0.1"), 0});
    REQUIRE(bind(probe.get(), any.get(), any.size) == 0);
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    REQUIRE(getsockname(probe.get(), reinterpret_cast<sockaddr*>(&bound), &size) == 0);
    return endpoint_of(bound);
}

Certificate loaded(const Certificates& files, const std::string& name) {
    auto certificate = load_certificate(files.path(name + ".pem"), files.path(name + ".key"));
    REQUIRE(certificate.has_value());
    return std::move(*certificate);
}

struct Stage {
    explicit Stage(Duration patience = 10s) : tls_(prepared(), patience) {
        auto opened = TcpServer::open(
            loop, {},
            {.connected =
                 [this](auto id, const Endpoint&, const Endpoint&) {
                     last = id;
                     return true;
                 },
             .received =
                 [this](auto id, std::span<const std::byte> bytes) {
                     const std::string_view text{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
                     at_server += text;
                     if (echo) server->send(id, std::string(text));
                 },
             .disconnected = [this](auto) { gone++; }});
        REQUIRE(opened.has_value());
        server = std::move(*opened);
        REQUIRE(server->listen(at, &tls_).has_value());
        auto t = trusted(files.path("authority.pem"));
        REQUIRE(t.has_value());
        trust = *t;
    }
    Certificate prepared() {
        files.issue("node", "127.0.0.1");
        return loaded(files, "node");
    }
    bool until(auto condition) {
        const auto look = loop.every(1ms, [this] { loop.stop(); });
        for (const Instant deadline = Clock::now() + 20s; !condition() && Clock::now() < deadline;) {
            loop.run();
        }
        return condition();
    }
    // A peer without TLS of its own.
    Fd raw() const {
        Fd fd{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        const SocketAddress to = socket_address(at);
        REQUIRE(connect(fd.get(), to.get(), to.size) == 0);
        return fd;
    }
    uint64_t count(Handshake how) const { return tls_.handshakes(how); }

    Certificates files;
    ServerTls tls_;
    EventLoop loop;
    const Endpoint at = free_address();
    std::unique_ptr<TcpServer> server;
    std::shared_ptr<const Credentials> trust;
    TcpServer::Id last = 0;
    std::string at_server;
    bool echo = false;
    int gone = 0;
};

struct Client {
    explicit Client(Stage& s)
        : tcp(s.loop, {.connected = [this](const Endpoint&, const Endpoint&) { up = true; },
                       .received =
                           [this](std::span<const std::byte> bytes) {
                               got.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
                           },
                       .disconnected = [this](std::string_view text) { why = text; }}) {
        tcp.connect("127.0.0.1", s.at.port, s.trust);
    }
    bool up = false;
    std::string got;
    std::optional<std::string> why;
    TcpClient tcp;
};

std::string numbered(size_t size) {
    std::string text;
    for (size_t i = 0; text.size() < size; i++) text += std::to_string(i) + '\n';
    return text;
}

}  // namespace

TEST_CASE("TLS connections: what one says the other hears, large and in order, and the end of it") {
    Stage s;
    s.echo = true;
    Client client(s);
    REQUIRE(s.until([&] { return client.up; }));
    CHECK(s.until([&] { return s.count(Handshake::done) == 1; }));
    std::string said;
    for (int i = 0; i < 30; i++) {
        const std::string part = numbered(50'000);
        client.tcp.send(part);
        said += part;
        REQUIRE(s.until([&] { return client.got.size() == said.size(); }));
    }
    CHECK((s.at_server == said && client.got == said));
    s.server->send(s.last, numbered(200'000));
    s.server->close(s.last);  // when it is out
    REQUIRE(s.until([&] { return client.why.has_value(); }));
    CHECK(client.got == said + numbered(200'000));
    CHECK(*client.why == "it closed the connection");
    CHECK_FALSE(client.tcp.refused_by_tls());
    CHECK(s.gone == 1);
}

TEST_CASE("TLS connections: another thread writes while this one reads") {
    Stage s;
    Client client(s);
    REQUIRE(s.until([&] { return client.up && s.count(Handshake::done) == 1; }));
    s.server->send(s.last, "first\n");
    auto handed = s.server->hand_over(s.last);
    REQUIRE(handed.has_value());
    const std::string words = numbered(4'000'000);
    std::thread writer([sink = handed->sink, &words] {
        const auto wait = [&] {
            pollfd ready{sink->descriptor(), POLLOUT, 0};
            poll(&ready, 1, 100);
        };
        for (size_t at = 0; at < words.size();) {
            // Two parts, as a ring has them.
            const size_t n = std::min<size_t>(words.size() - at, 60'000), first = n / 3;
            char* const begin = const_cast<char*>(&words[at]);
            const std::array parts{iovec{begin, first}, iovec{begin + first, n - first}};
            const ssize_t taken = sink->write(parts);
            if (taken < 0 && taken != -EAGAIN) return;
            if (taken == -EAGAIN) wait();
            at += taken > 0 ? static_cast<size_t>(taken) : 0;
        }
        while (sink->write({}) == -EAGAIN) wait();
    });
    std::string said;
    const bool all = s.until([&] {
        client.tcp.send("report\n");
        said += "report\n";
        return client.got.size() >= words.size() + 6;
    });
    writer.join();
    CHECK(all);
    CHECK((client.got == "first\n" + words));
    CHECK(s.until([&] { return s.at_server == said; }));
    s.server->close(s.last);
    s.server->written(s.last);
    handed.reset();
    CHECK(s.until([&] { return client.why.has_value(); }));
}

TEST_CASE("TLS connections: who does not get on with the handshake is let go, and counted") {
    Stage s(100ms);
    const Fd silent = s.raw();
    CHECK(s.until([&] { return s.gone == 1; }));
    CHECK(s.count(Handshake::timeout) == 1);
    Client hello(s);
    std::array<char, 64> half{};
    const Fd slow = s.raw();
    REQUIRE(send(slow.get(), "\x16\x03\x01\x02\x00\x01", 6, MSG_NOSIGNAL) == 6);
    CHECK(s.until([&] { return s.count(Handshake::timeout) == 2 && hello.up; }));
    CHECK(recv(slow.get(), half.data(), half.size(), 0) == 0);
    const Fd plain = s.raw();
    REQUIRE(send(plain.get(), "OPTIONS * RTSP/1.0\r\n\r\n", 22, MSG_NOSIGNAL) == 22);
    CHECK(s.until([&] { return s.count(Handshake::not_tls) == 1; }));
    {
        const Fd leaving = s.raw();
        REQUIRE(send(leaving.get(), "\x16\x03\x01", 3, MSG_NOSIGNAL) == 3);
    }
    CHECK(s.until([&] { return s.count(Handshake::closed) == 1; }));
    CHECK(s.gone == 4);
    s.echo = true;
    hello.tcp.send("later than the deadline, which is the handshake's alone");
    CHECK(s.until([&] { return !hello.got.empty(); }));
    CHECK(s.at_server == hello.got);
}

TEST_CASE("TLS connections: a new certificate is for new ones; the others go on") {
    Stage s;
    s.echo = true;
    Client before(s);
    REQUIRE(s.until([&] { return before.up; }));
    s.files.issue("moved", "elsewhere.example");
    s.tls_.show(loaded(s.files, "moved"));
    Client after(s);
    REQUIRE(s.until([&] { return after.why.has_value(); }));
    CHECK(after.tcp.refused_by_tls());
    CHECK(after.why->starts_with("TLS with 127.0.0.1:"));
    CHECK(after.why->find("name") != std::string::npos);
    CHECK(s.until([&] { return s.count(Handshake::refused) == 1; }));
    before.tcp.send("still here");
    CHECK(s.until([&] { return before.got == "still here"; }));
}
