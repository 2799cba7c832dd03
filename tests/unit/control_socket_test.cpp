// The control socket against clients that behave and such that do not. It needs no privileges: a UNIX socket in a
// directory of its own.
#include "control/io/control_socket.hpp"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

using namespace penstock;
using namespace penstock::io;
using namespace std::chrono_literals;

namespace {

struct Directory {
    Directory() {
        std::string name = (std::filesystem::temp_directory_path() / "penstock-socket-XXXXXX").string();
        REQUIRE(mkdtemp(name.data()) != nullptr);
        path = name;
    }
    ~Directory() { std::filesystem::remove_all(path); }
    std::string file(const char* name) const { return (path / name).string(); }
    std::filesystem::path path;
};

// With sanitizers, on a busy machine, 80 MB of replies take their time.
constexpr timeval kPatience{60, 0};

struct Client {
    explicit Client(const std::string& path) : fd{socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
        connected = connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    }
    void say(const std::string& text) const {
        REQUIRE(send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
    }
    // What was heard, up to `size` bytes or the other's end.
    std::string hear(size_t size) const {
        std::string text(size, '\0');
        size_t got = 0;
        while (got < size) {
            const ssize_t n = recv(fd.get(), &text[got], size - got, 0);
            if (n <= 0) break;
            got += static_cast<size_t>(n);
        }
        text.resize(got);
        return text;
    }
    bool asks(const std::string& line, const std::string& reply) const {
        say(line);
        return hear(reply.size()) == reply;
    }
    bool was_dropped() const {
        char byte = 0;
        const ssize_t n = recv(fd.get(), &byte, 1, 0);
        return n == 0 || (n < 0 && errno == ECONNRESET);
    }
    Fd fd;
    bool connected = false;
};

constexpr size_t kBig = size_t{8} << 20;  // more than a socket buffers

// "big": kBig bytes; "refuse": an error; "stop": the end; otherwise what was asked.
struct Server {
    explicit Server(const std::string& at) : path(at) {
        auto opened = ControlSocket::open(loop, path, [this](std::string_view line) -> ControlSocket::Reply {
            if (line == "stop") loop.stop();
            if (line == "big") return {true, std::string(kBig, 'x')};
            if (line == "refuse") return {false, "no\n"};
            return {true, std::string(line) + "\n"};
        });
        INFO((opened ? "" : opened.error().text));
        REQUIRE(opened);
        socket = std::move(*opened);
        thread = std::thread([this] { loop.run(); });
    }
    ~Server() { stop(); }
    void stop() {
        if (!thread.joinable()) return;
        const Client last(path);
        last.say("stop\n");
        thread.join();
        socket.reset();
    }
    const std::string path;
    EventLoop loop;
    std::unique_ptr<ControlSocket> socket;
    std::thread thread;
};

std::string refusal(const std::string& path) {
    EventLoop loop;
    const auto opened = ControlSocket::open(loop, path, [](std::string_view) { return ControlSocket::Reply{}; });
    REQUIRE_FALSE(opened);
    return opened.error().text;
}

}  // namespace

TEST_CASE("a line in, a reply out", "[socket]") {
    const Directory directory;
    Server server(directory.file("cli.sock"));
    const Client client(server.path);
    CHECK(client.asks("hello there\n", "ok 12\nhello there\n"));
    CHECK(client.asks("refuse\r\n", "error 3\nno\n"));
    CHECK(client.asks("\n", "ok 1\n\n"));
    // Requests that come together are answered in their order, one that comes in pieces when it is whole.
    CHECK(client.asks("a\nb\nrefuse\nc\n", "ok 2\na\nok 2\nb\nerror 3\nno\nok 2\nc\n"));
    client.say("in pie");
    client.say("ces");
    CHECK(client.asks("\n", "ok 10\nin pieces\n"));
    // Who has said everything still hears the reply.
    client.say("last\n");
    shutdown(client.fd.get(), SHUT_WR);
    CHECK(client.hear(100) == "ok 5\nlast\n");
}

TEST_CASE("the socket is for owner and group, and goes with the server", "[socket]") {
    const Directory directory;
    const std::string path = directory.file("made/for/it/cli.sock");
    {
        Server server(path);
        struct stat made {};
        REQUIRE(stat(path.c_str(), &made) == 0);
        CHECK(S_ISSOCK(made.st_mode));
        CHECK((made.st_mode & 0777) == 0660);
    }
    CHECK_FALSE(std::filesystem::exists(path));
    // Another's file in its place is not ours to remove.
    {
        Server server(path);
        server.stop();
        EventLoop loop;
        auto opened = ControlSocket::open(loop, path, [](std::string_view) { return ControlSocket::Reply{}; });
        REQUIRE(opened);
        std::filesystem::remove(path);
        std::ofstream(path) << "another's";
        opened->reset();
    }
    CHECK(std::filesystem::exists(path));
}

TEST_CASE("a socket that nobody serves is replaced, one that is served is not", "[socket]") {
    const Directory directory;
    const std::string path = directory.file("cli.sock");
    {
        const Fd killed{socket(AF_UNIX, SOCK_STREAM, 0)};
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        REQUIRE(bind(killed.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        REQUIRE(listen(killed.get(), 1) == 0);
    }
    REQUIRE(std::filesystem::exists(path));
    Server server(path);
    CHECK(Client(path).asks("hi\n", "ok 3\nhi\n"));
    CHECK_THAT(refusal(path), Catch::Contains(path) && Catch::Contains("another penstock serves it"));
    CHECK(Client(path).asks("still\n", "ok 6\nstill\n"));

    // A file that is no socket was put there by somebody: it stays.
    const std::string file = directory.file("notes.txt");
    std::ofstream(file) << "precious";
    CHECK_THAT(refusal(file), Catch::Contains("cannot be made"));
    CHECK(std::filesystem::file_size(file) == 8);
    CHECK_THAT(refusal(std::string(108, 'x')), Catch::Contains("1-107 characters"));
    CHECK_THAT(refusal(""), Catch::Contains("1-107 characters"));
}

TEST_CASE("many clients at once", "[socket]") {
    const Directory directory;
    Server server(directory.file("cli.sock"));
    std::vector<Client> clients;
    for (int i = 0; i < 200; i++) {
        clients.emplace_back(server.path);
        REQUIRE(clients.back().connected);
    }
    for (const Client& client : clients) client.say("text one\n");
    for (const Client& client : clients) REQUIRE(client.hear(14) == "ok 9\ntext one\n");
}

TEST_CASE("clients that never read hold nobody up", "[socket]") {
    const Directory directory;
    Server server(directory.file("cli.sock"));
    std::vector<Client> deaf;
    for (int i = 0; i < 5; i++) {
        deaf.emplace_back(server.path);
        deaf.back().say("big\nbig\nbig\n");
    }
    const Client client(server.path);
    CHECK(client.asks("hi\n", "ok 3\nhi\n"));
    // One of them reads after all: it gets the whole of everything it asked for.
    const std::string head = "ok " + std::to_string(kBig) + "\n";
    const std::string all = deaf[0].hear(3 * (head.size() + kBig));
    CHECK(all.size() == 3 * (head.size() + kBig));
    for (int i = 0; i < 3; i++) CHECK(all.compare(i * (head.size() + kBig), head.size(), head) == 0);
    CHECK(deaf[0].asks("x\n", "ok 2\nx\n"));
}

TEST_CASE("unread replies are bounded in sum", "[socket]") {
    const Directory directory;
    Server server(directory.file("cli.sock"));
    constexpr size_t kEnough = ControlSocket::kMaxUnsent / kBig + 3;
    std::vector<Client> deaf;
    for (size_t i = 0; i < kEnough; i++) {
        deaf.emplace_back(server.path);
        deaf.back().say("big\n");
    }
    const Client client(server.path);
    const std::string refused = "error ";
    client.say("hi\n");
    CHECK(client.hear(refused.size()) == refused);
    deaf.clear();  // they vanish: there is room again
    for (const auto deadline = std::chrono::steady_clock::now() + 60s;;) {
        REQUIRE(std::chrono::steady_clock::now() < deadline);
        const Client next(server.path);
        next.say("hi\n");
        if (next.hear(5) == "ok 3\n") break;
    }
}

TEST_CASE("clients that vanish in the middle take nothing along", "[socket]") {
    const Directory directory;
    Server server(directory.file("cli.sock"));
    const Client stays(server.path);
    for (int i = 0; i < 50; i++) {
        const Client client(server.path);
        client.say(i % 2 == 0 ? "half a li" : "big\nhalf");
        if (i % 4 == 1) client.hear(1000);
    }
    CHECK(stays.asks("hi\n", "ok 3\nhi\n"));
}

TEST_CASE("a line without end is not collected for ever", "[socket]") {
    const Directory directory;
    Server server(directory.file("cli.sock"));
    const std::string longest(ControlSocket::kLongestLine, 'x');
    const Client fine(server.path);
    CHECK(fine.asks(longest + "\n", "ok " + std::to_string(longest.size() + 1) + "\n" + longest + "\n"));
    const Client endless(server.path);
    const std::string much = longest + longest;
    if (send(endless.fd.get(), much.data(), much.size(), MSG_NOSIGNAL) > 0) CHECK(endless.was_dropped());
    CHECK(fine.asks("hi\n", "ok 3\nhi\n"));
}

TEST_CASE("without descriptors clients wait, and control does not spin", "[socket]") {
    const Directory directory;
    Server server(directory.file("cli.sock"));
    Client early(server.path);
    REQUIRE(early.asks("hi\n", "ok 3\nhi\n"));
    rlimit before{};
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    Client late(server.path);
    REQUIRE(late.asks("hi\n", "ok 3\nhi\n"));
    const Fd spare{socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    rlimit none = before;
    none.rlim_cur = static_cast<rlim_t>(spare.get());  // descriptors below are in use, and no new ones are given
    REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    server.path.copy(address.sun_path, sizeof address.sun_path - 1);
    const bool connected = connect(spare.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    const bool served = early.asks("still\n", "ok 6\nstill\n");
    timespec spent{}, later{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    const timespec while_waiting{0, 300'000'000};
    nanosleep(&while_waiting, nullptr);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &later);
    setrlimit(RLIMIT_NOFILE, &before);
    CHECK(connected);
    CHECK(served);
    CHECK(static_cast<double>(later.tv_sec - spent.tv_sec) + static_cast<double>(later.tv_nsec - spent.tv_nsec) * 1e-9 <
          0.15);
    setsockopt(spare.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    REQUIRE(send(spare.get(), "hi\n", 3, MSG_NOSIGNAL) == 3);
    char reply[8] = {};
    CHECK(recv(spare.get(), reply, 8, MSG_WAITALL) == 8);  // its turn has come
    CHECK(std::string(reply, 8) == "ok 3\nhi\n");
}
