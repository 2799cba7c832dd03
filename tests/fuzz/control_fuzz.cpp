// Any bytes, in any pieces, on the control socket: each complete line gets one reply, in order, framed as documented.
// Through the real socket, since the framing is what is left of it without.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>

#include "control/io/control_socket.hpp"
#include "expect.hpp"

using namespace penstock;

namespace {

struct Server {
    std::string path = "/tmp/penstock-control-fuzz-" + std::to_string(getpid());
    io::EventLoop loop;
    std::unique_ptr<io::ControlSocket> socket =
        io::ControlSocket::open(loop, path, [](std::string_view line) {
            return io::ControlSocket::Reply{line.size() % 2 == 0, std::string(line)};
        }).value();

    void turn() {
        const auto end = loop.at(Clock::now(), [this] { loop.stop(); });
        loop.run();
    }
};

std::string expected(std::string_view bytes) {
    std::string all;
    for (size_t newline; (newline = bytes.find('\n')) != std::string_view::npos; bytes.remove_prefix(newline + 1)) {
        std::string_view line = bytes.substr(0, newline);
        if (line.ends_with('\r')) line.remove_suffix(1);
        all += (line.size() % 2 == 0 ? "ok " : "error ") + std::to_string(line.size()) + "\n" + std::string(line);
    }
    return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static Server server;
    if (size < 1 || size > io::ControlSocket::kLongestLine) return 0;
    const size_t piece = data[0] + size_t{1};
    const std::string_view bytes{reinterpret_cast<const char*>(data) + 1, size - 1};

    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    server.path.copy(address.sun_path, server.path.size());
    const io::Fd client{socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)};
    EXPECT(connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    server.turn();
    for (size_t sent = 0; sent < bytes.size();) {
        const auto part = bytes.substr(sent, piece);
        const ssize_t n = send(client.get(), part.data(), part.size(), MSG_NOSIGNAL);
        EXPECT(n > 0);
        sent += static_cast<size_t>(n);
        server.turn();
    }
    shutdown(client.get(), SHUT_WR);
    std::string got;
    std::array<char, 4096> buffer;
    for (;;) {
        server.turn();
        const ssize_t n = recv(client.get(), buffer.data(), buffer.size(), 0);
        if (n == 0) break;
        if (n > 0) got.append(buffer.data(), static_cast<size_t>(n));
    }
    EXPECT(got == expected(bytes));
    return 0;
}
