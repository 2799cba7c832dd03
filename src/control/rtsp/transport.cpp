#include "control/rtsp/transport.hpp"

#include <fmt/format.h>

#include "base/text.hpp"

#include "control/rtsp/limits.hpp"
#include "control/rtsp/message.hpp"

namespace penstock::rtsp {
namespace {

// Takes what stands before the next `separator` that is not within quotes.
std::string_view take(std::string_view& text, char separator) {
    bool quoted = false;
    size_t end = 0;
    for (; end < text.size() && (quoted || text[end] != separator); end++)
        if (text[end] == '"') quoted = !quoted;
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(end == text.size() ? end : end + 1);
    return trimmed(part);
}

std::string_view unquoted(std::string_view text) {
    if (text.size() >= 2 && text.front() == '"' && text.back() == '"') return text.substr(1, text.size() - 2);
    return text;
}

// Hikvision: the RTP port alone. RTCP is the next one.
std::optional<Pair> pair_of(std::string_view text, uint16_t most) {
    const size_t dash = text.find('-');
    const auto first = number<uint16_t>(text.substr(0, dash));
    if (!first || *first > most) return std::nullopt;
    if (dash == std::string_view::npos) {
        if (*first == most) return std::nullopt;
        return Pair{*first, static_cast<uint16_t>(*first + 1)};
    }
    const auto second = number<uint16_t>(text.substr(dash + 1));
    if (!second || *second > most || *second < *first) return std::nullopt;
    return Pair{*first, *second};
}

bool take_parameter(Transport& t, std::string_view name, std::string_view value) {
    const auto ports = [&](std::optional<Pair>& into) {
        into = pair_of(value, 65535);
        return into && into->rtp != 0;
    };
    if (same_name(name, "client_port")) return ports(t.client_port);
    if (same_name(name, "server_port")) return ports(t.server_port);
    if (same_name(name, "port")) return ports(t.port);
    if (same_name(name, "interleaved")) return (t.interleaved = pair_of(value, 255)).has_value();
    if (same_name(name, "ttl")) return (t.ttl = number<uint8_t>(value)).has_value();
    if (same_name(name, "ssrc")) {
        t.ssrc = number<uint32_t>(trimmed(value), 16);  // Dahua, Hikvision: padded with blanks
        return true;
    }
    if (same_name(name, "destination")) {
        if (!value.empty()) t.destination = value;  // without a value it asks for what is the default anyway
    } else if (same_name(name, "source")) {
        t.source = value;
    } else if (same_name(name, "mode")) {
        t.mode.clear();  // FFmpeg: mode=record, without the quotes of RFC 2326 and in small letters
        for (const char c : value) t.mode += c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c;
    } else {
        t.others.emplace_back(name, value);
    }
    return true;
}

std::optional<Transport> alternative(std::string_view text) {
    Transport t;
    std::string_view spec = take(text, ';');
    if (spec.empty()) return std::nullopt;
    t.profile = spec;
    // FFmpeg: RTP/AVP/UDP, although UDP is what RTP/AVP means.
    for (const auto& [ending, lower] : {std::pair{std::string_view("/UDP"), Lower::udp}, {"/TCP", Lower::tcp}})
        if (spec.size() > ending.size() && same_name(spec.substr(spec.size() - ending.size()), ending)) {
            t.lower = lower;
            t.profile = spec.substr(0, spec.size() - ending.size());
        }
    if (t.profile.size() < 5 || !same_name(std::string_view(t.profile).substr(0, 4), "RTP/") ||
        t.profile.find('/', 4) != std::string::npos) {
        t.profile = spec;
        t.lower = Lower::other;
    }
    // RFC 2326 takes multicast for granted; clients that name neither (with a client_port) mean unicast.
    while (!text.empty()) {
        const std::string_view parameter = take(text, ';');
        if (parameter.empty()) continue;
        const size_t equals = parameter.find('=');
        const std::string_view name = trimmed(parameter.substr(0, equals));
        const bool valued = equals != std::string_view::npos;
        if (!valued && same_name(name, "unicast")) continue;
        if (!valued && same_name(name, "multicast")) {
            t.multicast = true;
        } else if (!take_parameter(t, name, valued ? unquoted(trimmed(parameter.substr(equals + 1))) : "")) {
            return std::nullopt;
        }
    }
    return t;
}

bool plain(std::string_view text) { return text.find_first_of(";,\" \t=") == std::string_view::npos; }

}  // namespace

Result<std::vector<Transport>> parse_transport(std::string_view header) {
    std::vector<Transport> all;
    for (size_t n = 0; !header.empty(); n++) {
        if (n == kMostAlternatives) return fail(fmt::format("more than {} alternatives", kMostAlternatives));
        if (auto t = alternative(take(header, ','))) all.push_back(std::move(*t));
    }
    if (all.empty()) return fail("no transport that makes sense");
    return all;
}

std::string write(const Transport& t) {
    std::string out = t.profile;
    if (t.lower == Lower::tcp) out += "/TCP";
    out += t.multicast ? ";multicast" : ";unicast";
    const auto pair = [&](std::string_view name, const std::optional<Pair>& p) {
        if (p) out += fmt::format(";{}={}-{}", name, p->rtp, p->rtcp);
    };
    if (t.destination) out += ";destination=" + *t.destination;
    if (t.source) out += ";source=" + *t.source;
    pair("interleaved", t.interleaved);
    pair("port", t.port);
    pair("client_port", t.client_port);
    pair("server_port", t.server_port);
    if (t.ttl) out += fmt::format(";ttl={}", *t.ttl);
    if (t.ssrc) out += fmt::format(";ssrc={:08X}", *t.ssrc);
    for (const auto& [name, value] : t.others)
        out += value.empty()
                   ? ";" + name
                   : fmt::format(";{}={}{}{}", name, plain(value) ? "" : "\"", value, plain(value) ? "" : "\"");
    if (!t.mode.empty()) out += fmt::format(";mode=\"{}\"", t.mode);
    return out;
}

}  // namespace penstock::rtsp
