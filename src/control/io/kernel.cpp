#include "control/io/kernel.hpp"

#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace penstock::io {
namespace {

constexpr int kDumpAttempts = 10;

// A message under construction. The few fixed-size attributes of a request fit by far.
template <class Header>
class Request {
public:
    Request(uint16_t type, int flags) : message_(mnl_nlmsg_put_header(buffer_.data())) {
        message_->nlmsg_type = type;
        message_->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
        header_ = static_cast<Header*>(mnl_nlmsg_put_extra_header(message_, sizeof(Header)));
    }
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;
    Header* operator->() { return header_; }
    nlmsghdr& message() { return *message_; }
    void put(uint16_t type, const Ip& ip) { mnl_attr_put(message_, type, ip.wire().size(), ip.wire().data()); }
    void put(uint16_t type, const Mac& mac) { mnl_attr_put(message_, type, mac.bytes.size(), mac.bytes.data()); }
    void put(uint16_t type, uint32_t value) { mnl_attr_put_u32(message_, type, value); }

private:
    alignas(nlmsghdr) std::array<std::byte, 256> buffer_;
    nlmsghdr* message_;
    Header* header_;
};

uint8_t family(const Ip& ip) { return ip.is_v4() ? AF_INET : AF_INET6; }

}  // namespace

Result<Kernel> Kernel::open() {
    auto requests = NetlinkRequests::open();
    if (!requests) return std::unexpected(requests.error());
    return Kernel{std::move(*requests)};
}

Result<KernelView> Kernel::view() {
    int error = 0;
    for (int attempt = 0; attempt < kDumpAttempts; attempt++) {
        KernelView view;
        const auto dump = [&]<class Header>(uint16_t type, Header) {
            Request<Header> request{type, NLM_F_DUMP};
            return requests_.ask(request.message(), [&](const nlmsghdr& message) { view.apply(message); });
        };
        error = dump(RTM_GETLINK, ifinfomsg{});
        if (error == 0) error = dump(RTM_GETADDR, ifaddrmsg{});
        if (error == 0) error = dump(RTM_GETNEIGH, ndmsg{});
        if (error == 0) return view;
        if (error != EINTR) break;
    }
    return fail(fmt::format("cannot list the kernel's links, addresses and neighbours: {}", std::strerror(error)));
}

RouteAnswer Kernel::route(const Ip& to, int by) {
    Request<rtmsg> request{RTM_GETROUTE, 0};
    request->rtm_family = family(to);
    request->rtm_dst_len = static_cast<uint8_t>(to.wire().size() * 8);
    request.put(RTA_DST, to);
    if (by != 0) request.put(RTA_OIF, static_cast<uint32_t>(by));
    std::optional<Route> route;
    const int error = requests_.ask(request.message(), [&](const nlmsghdr& message) {
        if (message.nlmsg_type == RTM_NEWROUTE) route = parse_route(message);
    });
    if (error != 0) return std::unexpected(error);
    if (!route) return std::unexpected(EBADMSG);
    return *route;
}

// Asked of the kernel itself: what our view has of it may be older than what an operator wrote down a moment ago.
bool Kernel::is_permanent(const NeighbourKey& key) {
    Request<ndmsg> request{RTM_GETNEIGH, 0};
    request->ndm_family = family(key.ip);
    request->ndm_ifindex = key.index;
    request.put(NDA_DST, key.ip);
    bool permanent = false;
    requests_.ask(request.message(), [&](const nlmsghdr& message) {
        if (message.nlmsg_type != RTM_NEWNEIGH) return;
        const auto found = parse_neighbour(message);
        permanent = found && found->permanent();
    });
    return permanent;
}

int Kernel::use(const NeighbourKey& neighbour) {
    if (is_permanent(neighbour)) return 0;
    Request<ndmsg> request{RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_ACK};
    request->ndm_family = family(neighbour.ip);
    request->ndm_ifindex = neighbour.index;
    request->ndm_flags = NTF_USE;
    request.put(NDA_DST, neighbour.ip);
    return requests_.ask(request.message(), [](const nlmsghdr&) {});
}

int Kernel::write(const Neighbour& permanent) {
    Request<ndmsg> request{RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK};
    request->ndm_family = family(permanent.key.ip);
    request->ndm_ifindex = permanent.key.index;
    request->ndm_state = NUD_PERMANENT;
    request.put(NDA_DST, permanent.key.ip);
    if (permanent.mac) request.put(NDA_LLADDR, *permanent.mac);
    return requests_.ask(request.message(), [](const nlmsghdr&) {});
}

int Kernel::give(const std::string& netdev, const Prefix& own) {
    Request<ifaddrmsg> request{RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK};
    request->ifa_family = family(own.ip);
    request->ifa_prefixlen = own.length;
    request->ifa_index = if_nametoindex(netdev.c_str());
    request.put(IFA_LOCAL, own.ip);
    request.put(IFA_ADDRESS, own.ip);
    return requests_.ask(request.message(), [](const nlmsghdr&) {});
}

}  // namespace penstock::io
