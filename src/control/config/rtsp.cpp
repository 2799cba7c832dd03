// The rtsp section.
#include <fmt/format.h>

#include <algorithm>

#include "control/config/port_names.hpp"
#include "control/config/settings.hpp"

namespace penstock::config {
namespace {

// ":554" is every address of this node, IPv4 and IPv6.
std::optional<Endpoint> listener(std::string_view text) {
    const bool any = text.starts_with(':') && !text.starts_with("::");
    const auto endpoint = Endpoint::parse(any ? "[::]" + std::string(text) : std::string(text));
    if (!endpoint || endpoint->port == 0 || endpoint->ip.is_multicast()) return std::nullopt;
    return endpoint;
}

std::optional<std::chrono::seconds> timeout(std::string_view text) {
    const bool minutes = text.ends_with('m');
    if (!minutes && !text.ends_with('s')) return std::nullopt;
    const auto n = decimal(text.substr(0, text.size() - 1));
    const uint64_t seconds = n && *n <= 3600 ? *n * (minutes ? 60 : 1) : 0;
    if (seconds < 5 || seconds > 3600) return std::nullopt;
    return std::chrono::seconds(seconds);
}

constexpr std::string_view kHistoryAllowed = "off, or an amount of memory from 64K to 256M such as 4M";

std::optional<size_t> history(std::string_view text) {
    if (text == "off") return 0;
    const unsigned shift = text.ends_with('K') ? 10 : text.ends_with('M') ? 20 : 0;
    const auto n = shift != 0 ? decimal(text.substr(0, text.size() - 1)) : std::nullopt;
    if (!n || *n > size_t{1} << 20) return std::nullopt;
    const size_t bytes = static_cast<size_t>(*n) << shift;
    if (bytes < size_t{64} << 10 || bytes > size_t{256} << 20) return std::nullopt;
    return bytes;
}

void read_listeners(const Value& list, std::vector<Endpoint>& into, const std::vector<Endpoint>& taken = {}) {
    list.each([&](const Value& entry) {
        const auto at = entry.parsed(":PORT, ADDRESS:PORT or [ADDRESS]:PORT such as :554", listener);
        if (!at) return;
        if (std::ranges::find(into, *at) != into.end() || std::ranges::find(taken, *at) != taken.end())
            return entry.problem(fmt::format("{} stands twice", at->text()));
        into.push_back(*at);
    });
}

Tls read_tls(const Value& value, const std::vector<Endpoint>& taken) {
    static constexpr std::string_view kKeys[] = {"listen", "certificate", "key"};
    const Map map{value, kKeys};
    Tls tls;
    read_listeners(map["listen"], tls.listen, taken);
    if (!map["listen"]) tls.listen = {*listener(":322")};
    const Value certificate = map.required("certificate"), key = map.required("key");
    tls.certificate = read_path(certificate, kLongestPath);
    tls.key = read_path(key, kLongestPath);
    tls.certificate_at = certificate.at();
    tls.key_at = key.at();
    return tls;
}

Publish read_publish(const Value& value) {
    static constexpr std::string_view kKeys[] = {"takeover"};
    Publish publish;
    const Map map{value, kKeys};
    publish.takeover = map["takeover"].boolean().value_or(publish.takeover);
    return publish;
}

// What routers keep for themselves (RFC 5771 section 4), and where receivers have to name a sender (RFC 4607), is left
// out.
std::optional<Prefix> network_of_groups(std::string_view text) {
    static const Prefix kLocal = *Prefix::parse("224.0.0.0/24"), kSsm = *Prefix::parse("232.0.0.0/8");
    const auto groups = Prefix::parse(text);
    if (!groups || !groups->ip.is_multicast() || groups->length < (groups->ip.is_v4() ? 16 : 112)) return std::nullopt;
    for (const Prefix& kept : {kLocal, kSsm})
        if (kept.contains(groups->ip) || groups->contains(kept.ip)) return std::nullopt;
    return groups;
}

Multicast read_multicast(const Value& value, const PortNames& ports) {
    static constexpr std::string_view kKeys[] = {"groups", "ttl", "port"};
    Multicast multicast;
    const Map map{value, kKeys};
    const Value groups = map.required("groups");
    multicast.groups = groups
                           .parsed(
                               "a multicast network of 16 bits at most, such as 239.10.0.0/24 or ff15::10:0/112, "
                               "and not in 224.0.0.0/24 or 232.0.0.0/8",
                               network_of_groups)
                           .value_or(multicast.groups);
    multicast.ttl = map["ttl"].number<uint8_t>(1, 255).value_or(multicast.ttl);
    multicast.port = ports.read(map["port"]);
    if (groups) ports.want_for_group(multicast.groups.ip, groups, map);
    return multicast;
}

}  // namespace

Rtsp read_rtsp(const Value& value, const std::vector<Port>& ports, const Files& files) {
    static constexpr std::string_view kKeys[] = {"listen",   "tls",  "session_timeout", "per_address", "publish",
                                                 "realm",    "auth", "users",           "rules",       "late_join",
                                                 "multicast"};
    static constexpr std::string_view kPerAddress[] = {"connections", "sessions", "requests", "streams", "failures"};
    Rtsp rtsp;
    const Map map{value, kKeys};
    read_listeners(map["listen"], rtsp.listen);
    if (const Value tls = map["tls"]) rtsp.tls = read_tls(tls, rtsp.listen);
    rtsp.session_timeout =
        map["session_timeout"].parsed("a time from 5s to 60m such as 60s", timeout).value_or(rtsp.session_timeout);
    rtsp.late_join = map["late_join"].parsed(kHistoryAllowed, history).value_or(rtsp.late_join);
    const Map limits{map["per_address"], kPerAddress};
    rtsp.connections_per_address =
        limits["connections"].number<size_t>(1, 65535).value_or(rtsp.connections_per_address);
    rtsp.sessions_per_address = limits["sessions"].number<size_t>(1, 65535).value_or(rtsp.sessions_per_address);
    rtsp.requests_per_address = limits["requests"].number<unsigned>(1, 100'000).value_or(rtsp.requests_per_address);
    rtsp.streams_per_address = limits["streams"].number<size_t>(1, 65535).value_or(rtsp.streams_per_address);
    rtsp.failures_per_address = limits["failures"].number<unsigned>(1, 65535).value_or(rtsp.failures_per_address);
    if (const Value publish = map["publish"]) rtsp.publish = read_publish(publish);
    if (const Value multicast = map["multicast"]) rtsp.multicast = read_multicast(multicast, PortNames{ports});
    rtsp.access = read_access(map, files);
    return rtsp;
}

Rtsp taken_over(Rtsp running, const Rtsp& next) {
    running.session_timeout = next.session_timeout;
    running.connections_per_address = next.connections_per_address;
    running.sessions_per_address = next.sessions_per_address;
    running.requests_per_address = next.requests_per_address;
    running.streams_per_address = next.streams_per_address;
    running.failures_per_address = next.failures_per_address;
    running.publish = next.publish;
    running.access = next.access;
    return running;
}

}  // namespace penstock::config
