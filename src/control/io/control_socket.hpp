#pragma once
// The UNIX socket on which operators talk to a running forwarder: a line in, a reply out, any number of clients.
// A client that does not read, or vanishes, costs a bounded amount of memory and nobody's time.
//
// A request is one line, `text COMMAND` or `json COMMAND`; a reply is `ok SIZE` or `error SIZE`, a newline, and SIZE
// bytes.
#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "control/io/event_loop.hpp"
#include "control/io/fd.hpp"

namespace penstock::io {

class ControlSocket {
public:
    static constexpr size_t kLongestLine = 16 * 1024;
    // The most that are connected at once; fewer where the process may have few descriptors, of which clients get half.
    // One more is let in for the one that has been silent longest: clients that hang do not keep operators out.
    static constexpr size_t kMaxClients = 1024;
    static constexpr size_t kMaxUnsent = size_t{64} << 20;  // bytes of replies that clients have not read, in sum

    struct Reply {
        bool ok = true;
        std::string body;
    };
    using Answer = std::function<Reply(std::string_view line)>;

    // Makes the socket, readable and writable for owner and group, and its directory if that is missing. A socket file
    // that a killed penstock left is replaced; one that is in use is an error.
    static Result<std::unique_ptr<ControlSocket>> open(EventLoop& loop, const std::string& path, Answer answer);
    ~ControlSocket();
    ControlSocket(const ControlSocket&) = delete;
    ControlSocket& operator=(const ControlSocket&) = delete;

private:
    struct Client {
        Fd fd;
        EventLoop::Watch watch;  // for readable or, while a reply waits, for writable: then it is not heard
        uint64_t heard = 0;      // when, in the order of all that was heard
        std::string in, out;
        size_t sent = 0;  // of out
    };

    ControlSocket(EventLoop& loop, Answer answer) : loop_(loop), answer_(std::move(answer)) {}
    void listen_again();
    void make_room();
    void accept();
    void on_readable(int fd);
    void serve(int fd);
    void end(int fd);
    Reply reply_to(std::string_view line);

    EventLoop& loop_;
    const Answer answer_;
    std::string path_;
    ino_t inode_ = 0;  // of the socket file: another's is not ours to remove
    Fd fd_;
    EventLoop::Watch watch_;
    EventLoop::Timer retry_;
    std::map<int, Client> clients_;
    size_t max_clients_ = kMaxClients;
    uint64_t heard_ = 0;
    size_t unsent_ = 0;
};

}  // namespace penstock::io
