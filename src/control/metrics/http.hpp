#pragma once
// A small HTTP server inside the control thread's loop: GET and HEAD of a few paths. The protocol is libmicrohttpd's
// work.
#include <functional>
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
    using Answer = std::function<Response(std::string_view path)>;
    static Result<std::unique_ptr<HttpServer>> open(io::EventLoop& loop, const Endpoint& listen, Answer answer);
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    Response answer(std::string_view path) const { return answer_(path); }

private:
    HttpServer() = default;
    Answer answer_;
    MHD_Daemon* daemon_ = nullptr;
    io::EventLoop::Watch watch_;
    io::EventLoop::Timer timer_;
};

}  // namespace penstock::metrics
