#include "control/io/messages.hpp"

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace penstock::io {
namespace {

std::span<const std::byte> payload_of(const nlattr& attribute) {
    return {static_cast<const std::byte*>(mnl_attr_get_payload(&attribute)), mnl_attr_get_payload_len(&attribute)};
}

// The attributes of a message by type, each within `bytes`.
class Attributes {
public:
    explicit Attributes(std::span<const std::byte> bytes) {
        // Not mnl_attr_for_each(): it trusts the message's length rounded up, up to 3 bytes past its end.
        const std::byte* const end = bytes.data() + bytes.size();
        auto* attribute = reinterpret_cast<const nlattr*>(bytes.data());
        const auto left = [&] { return static_cast<int>(end - reinterpret_cast<const std::byte*>(attribute)); };
        for (; mnl_attr_ok(attribute, left()); attribute = mnl_attr_next(attribute)) {
            const uint16_t type = mnl_attr_get_type(attribute);
            if (type < by_type_.size()) by_type_[type] = attribute;
        }
    }

    std::optional<uint32_t> u32(uint16_t type) const {
        const nlattr* attribute = by_type_[type];
        if (attribute == nullptr || mnl_attr_validate(attribute, MNL_TYPE_U32) < 0) return std::nullopt;
        return mnl_attr_get_u32(attribute);
    }
    std::optional<std::string> text(uint16_t type) const {
        const nlattr* attribute = by_type_[type];
        if (attribute == nullptr || mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) < 0) return std::nullopt;
        return mnl_attr_get_str(attribute);
    }
    std::optional<Ip> ip(uint16_t type) const {
        return by_type_[type] == nullptr ? std::nullopt : ip_of(payload_of(*by_type_[type]));
    }
    std::optional<Mac> mac(uint16_t type) const {
        if (by_type_[type] == nullptr) return std::nullopt;
        const auto bytes = payload_of(*by_type_[type]);
        Mac mac;
        if (bytes.size() != mac.bytes.size()) return std::nullopt;  // not Ethernet
        std::ranges::copy(bytes, mac.bytes.begin());
        return mac;
    }
    // The gateway of another family (IPv4 routes by IPv6 neighbours): struct rtvia, a family and an address.
    std::optional<Ip> via(uint16_t type) const {
        if (by_type_[type] == nullptr) return std::nullopt;
        const auto bytes = payload_of(*by_type_[type]);
        if (bytes.size() < sizeof(rtvia)) return std::nullopt;
        return ip_of(bytes.subspan(sizeof(rtvia)));
    }
    std::optional<Attributes> nested(uint16_t type) const {
        return by_type_[type] == nullptr ? std::nullopt : std::optional{Attributes{payload_of(*by_type_[type])}};
    }

private:
    static std::optional<Ip> ip_of(std::span<const std::byte> bytes) {
        if (bytes.size() == 4) return Ip::v4(bytes.first<4>());
        if (bytes.size() == 16) return Ip::v6(bytes.first<16>());
        return std::nullopt;
    }

    std::array<const nlattr*, 64> by_type_{};  // those used here are all below IFLA_MAX
};
static_assert(IFLA_MTU < 64 && IFLA_ADDRESS < 64 && IFA_FLAGS < 64 && NDA_LLADDR < 64 && RTA_VIA < 64 && RTAX_MTU < 64);

// The fixed part of a message and what follows it.
template <class Header>
struct Parts {
    Header header;
    Attributes attributes;
};

template <class Header>
std::optional<Parts<Header>> parts_of(const nlmsghdr& message) {
    if (message.nlmsg_len < NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(Header))) return std::nullopt;
    const std::span bytes{reinterpret_cast<const std::byte*>(&message) + NLMSG_HDRLEN,
                          message.nlmsg_len - NLMSG_HDRLEN};
    Header header;
    std::memcpy(&header, bytes.data(), sizeof header);
    return Parts<Header>{header, Attributes{bytes.subspan(NLMSG_ALIGN(sizeof(Header)))}};
}

bool is_ip(int family) { return family == AF_INET || family == AF_INET6; }

}  // namespace

bool Neighbour::usable() const noexcept {
    constexpr uint16_t kUsable = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP;
    return mac && (state & kUsable) != 0;
}

bool Neighbour::permanent() const noexcept { return state == NUD_PERMANENT; }

std::optional<Link> parse_link(const nlmsghdr& message) {
    const auto parts = parts_of<ifinfomsg>(message);
    // AF_BRIDGE: a port joined or left a bridge; RTM_DELLINK then does not mean that the interface is gone.
    if (!parts || parts->header.ifi_family != AF_UNSPEC || parts->header.ifi_index <= 0) return std::nullopt;
    const auto& [header, attributes] = *parts;
    auto name = attributes.text(IFLA_IFNAME);
    if (!name) return std::nullopt;
    return Link{.index = header.ifi_index,
                .name = std::move(*name),
                .up = (header.ifi_flags & IFF_UP) != 0,
                .carrier = (header.ifi_flags & IFF_RUNNING) != 0,
                .mtu = attributes.u32(IFLA_MTU).value_or(0),
                .mac = attributes.mac(IFLA_ADDRESS).value_or(Mac{})};
}

std::optional<Address> parse_address(const nlmsghdr& message) {
    const auto parts = parts_of<ifaddrmsg>(message);
    if (!parts || !is_ip(parts->header.ifa_family)) return std::nullopt;
    const auto& [header, attributes] = *parts;
    // On point-to-point links IFA_ADDRESS is the other end.
    auto ip = attributes.ip(IFA_LOCAL);
    if (!ip) ip = attributes.ip(IFA_ADDRESS);
    if (!ip) return std::nullopt;
    const uint32_t flags = attributes.u32(IFA_FLAGS).value_or(header.ifa_flags);
    const bool tentative = (flags & IFA_F_TENTATIVE) != 0 && (flags & IFA_F_OPTIMISTIC) == 0;
    return Address{.index = static_cast<int>(header.ifa_index),
                   .ip = *ip,
                   .prefix_length = header.ifa_prefixlen,
                   .scope = header.ifa_scope,
                   .usable = !tentative && (flags & IFA_F_DADFAILED) == 0};
}

std::optional<Neighbour> parse_neighbour(const nlmsghdr& message) {
    const auto parts = parts_of<ndmsg>(message);
    if (!parts || !is_ip(parts->header.ndm_family)) return std::nullopt;
    const auto& [header, attributes] = *parts;
    const auto ip = attributes.ip(NDA_DST);
    // NTF_PROXY: an address for which the kernel answers in another's name, no neighbour.
    if (!ip || (header.ndm_flags & NTF_PROXY) != 0) return std::nullopt;
    return Neighbour{{header.ndm_ifindex, *ip}, header.ndm_state, attributes.mac(NDA_LLADDR)};
}

std::optional<Route> parse_route(const nlmsghdr& message) {
    const auto parts = parts_of<rtmsg>(message);
    if (!parts || !is_ip(parts->header.rtm_family)) return std::nullopt;
    const auto& [header, attributes] = *parts;
    Route route{.type = header.rtm_type,
                .index = static_cast<int>(attributes.u32(RTA_OIF).value_or(0)),
                .gateway = attributes.ip(RTA_GATEWAY),
                .source = attributes.ip(RTA_PREFSRC),
                .mtu = std::nullopt,
                .cloned = (header.rtm_flags & RTM_F_CLONED) != 0};
    if (!route.gateway) route.gateway = attributes.via(RTA_VIA);
    if (const auto metrics = attributes.nested(RTA_METRICS)) route.mtu = metrics->u32(RTAX_MTU);
    if (route.mtu == 0u) route.mtu.reset();
    return route;
}

int parse_error(const nlmsghdr& message) {
    int error = 0;  // NLMSG_DONE of old kernels has none
    if (message.nlmsg_len >= NLMSG_HDRLEN + sizeof error)
        std::memcpy(&error, reinterpret_cast<const std::byte*>(&message) + NLMSG_HDRLEN, sizeof error);
    else if (message.nlmsg_type == NLMSG_ERROR)
        return EBADMSG;
    return -std::clamp(error, -4095, 0);  // the range of the kernel's errors
}

void for_each_message(std::span<const std::byte> bytes, const std::function<void(const nlmsghdr&)>& each) {
    // Not mnl_nlmsg_ok(): it takes a length of 2 GiB and more for a negative number, which fits everywhere.
    while (bytes.size() >= sizeof(nlmsghdr)) {
        const auto& message = *reinterpret_cast<const nlmsghdr*>(bytes.data());
        if (message.nlmsg_len < sizeof message || message.nlmsg_len > bytes.size()) return;
        each(message);
        bytes = bytes.subspan(std::min<size_t>(NLMSG_ALIGN(message.nlmsg_len), bytes.size()));
    }
}

}  // namespace penstock::io
