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

int socket_of(MHD_Connection* connection) {
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

}  // namespace

struct HttpServer::Body {
    HttpServer& server;
    std::string text;
};

struct HttpServer::Protocol {
    static MHD_Result respond(HttpServer& self, MHD_Connection* connection, Response with) {
        if (with.body.size() > kSmall && self.unread_ + with.body.size() > kUnread && self.unread_ != 0)
            with = {MHD_HTTP_SERVICE_UNAVAILABLE, "text/plain", "too many answers are still being read: try again\n"};
        auto body = std::make_unique<Body>(Body{self, std::move(with.body)});
        std::string& text = body->text;
        self.unread_ += text.size();
        MHD_Response* response =
            MHD_create_response_from_buffer_with_free_callback_cls(text.size(), text.data(), free_body, body.get());
        if (response == nullptr) {
            free_body(body.release());
            return MHD_NO;
        }
        body.release();  // free_body has it
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, with.content_type.c_str());
        const MHD_Result queued = MHD_queue_response(connection, with.status, response);
        MHD_destroy_response(response);
        return queued;
    }

    static void free_body(void* argument) {
        const std::unique_ptr<Body> body(static_cast<Body*>(argument));
        body->server.unread_ -= body->text.size();
    }

    static MHD_Result on_request(void* argument, MHD_Connection* connection, const char* url, const char* method,
                                 const char*, const char*, size_t* upload_size, void** seen) {
        HttpServer& self = *static_cast<HttpServer*>(argument);
        if (*upload_size != 0) {  // a body that nobody wants is read and forgotten
            *upload_size = 0;
            return MHD_YES;
        }
        if (*seen == nullptr) {  // libmicrohttpd calls once for the headers, and again when the request is complete
            *seen = argument;
            self.since_[socket_of(connection)] = Clock::now();
            return MHD_YES;
        }
        const std::string_view verb = method;
        if (verb != MHD_HTTP_METHOD_GET && verb != MHD_HTTP_METHOD_HEAD)
            return respond(self, connection, {MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", "GET and HEAD only\n"});
        return respond(self, connection, self.answer_(url));
    }

    static void on_connection(void* argument, MHD_Connection* connection, void**, MHD_ConnectionNotificationCode what) {
        HttpServer& self = *static_cast<HttpServer*>(argument);
        if (what == MHD_CONNECTION_NOTIFY_STARTED) {
            self.since_[socket_of(connection)] = Clock::now();
        } else {
            self.since_.erase(socket_of(connection));
        }
    }

    static void on_completed(void* argument, MHD_Connection* connection, void**, MHD_RequestTerminationCode) {
        HttpServer& self = *static_cast<HttpServer*>(argument);
        if (const auto since = self.since_.find(socket_of(connection)); since != self.since_.end())
            since->second = Clock::now();
    }
};

Result<std::unique_ptr<HttpServer>> HttpServer::open(io::EventLoop& loop, const Endpoint& listen, Answer answer) {
    std::unique_ptr<HttpServer> server(new HttpServer(loop, std::move(answer)));
    HttpServer* const self = server.get();
    const sockaddr_storage address = socket_address(listen);
    const unsigned flags = MHD_USE_EPOLL | (listen.ip.is_v4() ? 0u : unsigned{MHD_USE_IPv6});
    self->daemon_ = MHD_start_daemon(flags, 0, nullptr, nullptr, Protocol::on_request, self, MHD_OPTION_SOCK_ADDR,
                                     &address, MHD_OPTION_CONNECTION_LIMIT, kConnections, MHD_OPTION_NOTIFY_CONNECTION,
                                     Protocol::on_connection, self, MHD_OPTION_NOTIFY_COMPLETED, Protocol::on_completed,
                                     self, MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
    if (self->daemon_ == nullptr)
        return fail(fmt::format("metrics.listen: cannot listen on {}: {}", listen.text(), std::strerror(errno)));
    const MHD_DaemonInfo* info = MHD_get_daemon_info(self->daemon_, MHD_DAEMON_INFO_EPOLL_FD);
    self->watch_ = loop.watch(info->epoll_fd, [self] { self->run(); });
    self->timer_ = loop.every(std::chrono::seconds(1), [self] { self->let_go(); });
    return server;
}

void HttpServer::run() {
    MHD_run(daemon_);
    // Its epoll tells edges only: what can go on at once must be asked for.
    MHD_UNSIGNED_LONG_LONG milliseconds = 0;
    if (MHD_get_timeout(daemon_, &milliseconds) == MHD_YES && milliseconds == 0) {
        if (!again_)
            again_ = loop_.at(Clock::now(), [this] {
                again_ = {};
                run();
            });
    }
}

// Whoever has not asked, or not taken the answer, for too long.
void HttpServer::let_go() {
    const Instant limit = Clock::now() - kPatience;
    for (const auto& [socket, since] : since_)
        if (since < limit) shutdown(socket, SHUT_RDWR);  // libmicrohttpd sees that and closes it
    run();
}

HttpServer::~HttpServer() {
    watch_ = {};
    timer_ = {};
    again_ = {};
    if (daemon_ != nullptr) MHD_stop_daemon(daemon_);
}

}  // namespace penstock::metrics
