#include "control/metrics/http.hpp"

#include <fmt/format.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace penstock::metrics {
namespace {

constexpr unsigned kConnections = 64;
constexpr unsigned kTimeout = 10;  // seconds: a scraper that never reads is let go

MHD_Result respond(MHD_Connection* connection, const Response& with) {
    MHD_Response* response =
        MHD_create_response_from_buffer(with.body.size(), const_cast<char*>(with.body.data()), MHD_RESPMEM_MUST_COPY);
    if (response == nullptr) return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, with.content_type.c_str());
    const MHD_Result queued = MHD_queue_response(connection, with.status, response);
    MHD_destroy_response(response);
    return queued;
}

MHD_Result on_request(void* self, MHD_Connection* connection, const char* url, const char* method, const char*,
                      const char*, size_t* upload_size, void** seen) {
    if (*upload_size != 0) {  // a body that nobody wants is read and forgotten
        *upload_size = 0;
        return MHD_YES;
    }
    if (*seen == nullptr) {  // libmicrohttpd calls once for the headers, and again when the request is complete
        *seen = self;
        return MHD_YES;
    }
    const std::string_view verb = method;
    if (verb != MHD_HTTP_METHOD_GET && verb != MHD_HTTP_METHOD_HEAD)
        return respond(connection, {MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", "GET and HEAD only\n"});
    return respond(connection, static_cast<HttpServer*>(self)->answer(url));
}

sockaddr_storage socket_address(const Endpoint& endpoint) {
    sockaddr_storage storage{};
    const auto raw = endpoint.ip.wire();
    if (endpoint.ip.is_v4()) {
        sockaddr_in a{};
        a.sin_family = AF_INET;
        a.sin_port = htons(endpoint.port);
        std::memcpy(&a.sin_addr, raw.data(), raw.size());
        std::memcpy(&storage, &a, sizeof a);
    } else {
        sockaddr_in6 a{};
        a.sin6_family = AF_INET6;
        a.sin6_port = htons(endpoint.port);
        std::memcpy(&a.sin6_addr, raw.data(), raw.size());
        std::memcpy(&storage, &a, sizeof a);
    }
    return storage;
}

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::open(io::EventLoop& loop, const Endpoint& listen, Answer answer) {
    std::unique_ptr<HttpServer> server(new HttpServer);
    server->answer_ = std::move(answer);
    const sockaddr_storage address = socket_address(listen);
    const unsigned flags = MHD_USE_EPOLL | (listen.ip.is_v4() ? 0u : unsigned{MHD_USE_IPv6});
    server->daemon_ =
        MHD_start_daemon(flags, 0, nullptr, nullptr, on_request, server.get(), MHD_OPTION_SOCK_ADDR, &address,
                         MHD_OPTION_CONNECTION_LIMIT, kConnections, MHD_OPTION_CONNECTION_TIMEOUT, kTimeout,
                         MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
    if (server->daemon_ == nullptr)
        return fail(fmt::format("metrics.listen: cannot listen on {}: {}", listen.text(), std::strerror(errno)));
    const MHD_DaemonInfo* info = MHD_get_daemon_info(server->daemon_, MHD_DAEMON_INFO_EPOLL_FD);
    MHD_Daemon* daemon = server->daemon_;
    server->watch_ = loop.watch(info->epoll_fd, [daemon] { MHD_run(daemon); });
    server->timer_ = loop.every(std::chrono::seconds(1), [daemon] { MHD_run(daemon); });  // connection timeouts
    return server;
}

HttpServer::~HttpServer() {
    watch_ = {};
    timer_ = {};
    if (daemon_ != nullptr) MHD_stop_daemon(daemon_);
}

}  // namespace penstock::metrics
