#include "control/io/lookup.hpp"

#include <fmt/format.h>
#include <netdb.h>
#include <sys/eventfd.h>

#include <thread>

#include "control/io/socket_address.hpp"

namespace penstock::io {

struct Lookup::Shared {
    Fd event;
    Result<std::vector<Endpoint>> found;  // written by the thread before the event, read by control after it
};

namespace {

Result<std::vector<Endpoint>> look_up(const std::string& host, uint16_t port) {
    addrinfo hints{}, *all = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    if (const int error = getaddrinfo(host.c_str(), nullptr, &hints, &all); error != 0)
        return fail(fmt::format("{}: {}", host, gai_strerror(error)));
    std::vector<Endpoint> found;
    for (const addrinfo* a = all; a != nullptr; a = a->ai_next) {
        if (a->ai_family != AF_INET && a->ai_family != AF_INET6) continue;
        sockaddr_storage storage{};
        std::memcpy(&storage, a->ai_addr, a->ai_addrlen);
        found.push_back({endpoint_of(storage).ip, port});
    }
    freeaddrinfo(all);
    if (found.empty()) return fail(fmt::format("{} has no address", host));
    return found;
}

}  // namespace

Lookup::Lookup(EventLoop& loop, const std::string& host, uint16_t port, Done done)
    : shared_(new Shared{Fd{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)}, {}}) {
    watch_ = loop.watch(shared_->event.get(), [this, done = std::move(done)] {
        watch_ = {};
        done(std::move(shared_->found));
    });
    std::thread([shared = shared_, host, port] {
        shared->found = look_up(host, port);
        const uint64_t one = 1;
        while (write(shared->event.get(), &one, sizeof one) < 0 && errno == EINTR) {
        }
    }).detach();
}

}  // namespace penstock::io
