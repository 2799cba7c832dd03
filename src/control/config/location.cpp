#include "control/config/location.hpp"

#include <algorithm>

#include "base/address.hpp"
#include "base/text.hpp"

namespace penstock::config {
namespace {

constexpr std::string_view kPlain = "rtsp://", kTls = "rtsps://";
constexpr uint16_t kTlsPort = 322;

// %40 -> @, which a password must be able to hold.
std::optional<std::string> decoded(std::string_view text) {
    std::string out;
    for (size_t i = 0; i < text.size(); i++) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        const auto byte = i + 2 < text.size() ? number<uint8_t>(text.substr(i + 1, 2), 16) : std::nullopt;
        if (!byte || *byte < ' ' || *byte == 0x7f) return std::nullopt;
        out += static_cast<char>(*byte);
        i += 2;
    }
    return out;
}

bool begins_with(std::string_view url, std::string_view scheme) {
    return std::ranges::equal(url.substr(0, scheme.size()), scheme,
                              [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + ('a' - 'A') : a) == b; });
}

bool is_host(std::string_view text) {
    return !text.empty() && text.size() <= 253 && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
               c == '_';
    });
}

}  // namespace

Result<Location> location_of(std::string_view url) {
    if (url.size() > kLongestUrl) return fail("the URL is too long");
    if (!std::ranges::all_of(url, [](char c) { return c > ' ' && c <= '~'; }))
        return fail("the URL has characters that must be written as %XX");
    const bool tls = begins_with(url, kTls);
    if (!tls && !begins_with(url, kPlain)) return fail("the URL does not begin with rtsp:// or rtsps://");
    const std::string_view scheme = tls ? kTls : kPlain, rest = url.substr(scheme.size());
    const size_t path = std::min(rest.find_first_of("/?"), rest.size());
    // An operator writes a password as it is: the last @ before the path ends it.
    std::string_view authority = rest.substr(0, path);
    Location l;
    l.tls = tls;
    if (tls) l.port = kTlsPort;
    if (const size_t at = authority.rfind('@'); at != std::string_view::npos) {
        const std::string_view both = authority.substr(0, at);
        const size_t colon = both.find(':');
        auto user = decoded(both.substr(0, colon));
        auto password = decoded(colon == std::string_view::npos ? "" : both.substr(colon + 1));
        if (!user || !password) return fail("user or password has a % that is not followed by two hexadecimal digits");
        if (user->empty()) return fail("there is no user before the @");
        l.user = std::move(*user);
        l.password = std::move(*password);
        authority.remove_prefix(at + 1);
    }
    std::string_view port;
    if (authority.starts_with('[')) {
        const size_t end = authority.find(']');
        const auto ip = end == std::string_view::npos ? std::nullopt : Ip::parse(authority.substr(1, end - 1));
        if (!ip || ip->is_v4()) return fail("what stands in [] is no IPv6 address");
        l.host = authority.substr(1, end - 1);
        port = authority.substr(end + 1);
    } else {
        l.host = authority.substr(0, authority.find(':'));
        port = authority.substr(l.host.size());
        if (!is_host(l.host)) return fail("the URL names no host");
    }
    if (!port.empty()) {
        const auto n = number<uint16_t>(port.substr(1));
        if (!port.starts_with(':') || !n || *n == 0) return fail("the port of the URL is no number from 1 to 65535");
        l.port = *n;
    }
    l.url = std::string(scheme) + std::string(authority) + std::string(rest.substr(path));
    return l;
}

std::string shown(const Location& location) {
    const std::string_view url = location.url;
    const size_t end = std::min(url.find('?'), url.find("user="));
    return end >= url.size() ? location.url : std::string(url.substr(0, end)) + "...";
}

}  // namespace penstock::config
