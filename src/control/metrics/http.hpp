#pragma once
// A small HTTP server inside the control thread's loop: GET and HEAD of a few paths. The protocol is libmicrohttpd's
// work; that slow or dead readers hold neither memory nor connections for long is ours.
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/address.hpp"
#include "base/result.hpp"
#include "control/io/event_loop.hpp"

struct MHD_Daemon;

namespace penstock::metrics {

struct Response {
    unsigned status = 200;
    std::string content_type = "text/plain; charset=utf-8";
    std::string body;
};

class HttpServer {
public:
    // A reader that has not taken its whole answer by then is let go, however slowly it reads on.
    static constexpr Duration kPatience = std::chrono::seconds(10);
    // Answers on their way together; beyond it only small ones (which readiness probes want) are given out.
    static constexpr size_t kUnread = size_t{64} << 20;
    static constexpr size_t kSmall = 4096;

    using Answer = std::function<Response(std::string_view path)>;
    static Result<std::unique_ptr<HttpServer>> open(io::EventLoop& loop, const Endpoint& listen, Answer answer);
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

private:
    struct Protocol;  // what libmicrohttpd calls
    struct Body;      // an answer on its way

    HttpServer(io::EventLoop& loop, Answer answer) : loop_(loop), answer_(std::move(answer)) {}
    void run();
    void let_go();

    io::EventLoop& loop_;
    Answer answer_;
    MHD_Daemon* daemon_ = nullptr;
    std::map<int, Instant> since_;  // by socket: when it connected, asked or had its answer last
    size_t unread_ = 0;             // bytes of answers on their way
    io::EventLoop::Watch watch_;
    io::EventLoop::Timer timer_, again_;
};

}  // namespace penstock::metrics
