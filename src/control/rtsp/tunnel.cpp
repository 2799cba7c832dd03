#include "control/rtsp/tunnel.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"

namespace penstock::rtsp {
namespace {

constexpr std::string_view kGet = "GET ", kPost = "POST ";
constexpr char kTlsHandshake = 0x16;  // the first byte of a ClientHello (RFC 8446 section 5.1)

std::string_view text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Where the head ends: behind an empty line. `from`: before it there is no end.
std::optional<size_t> end_of_head(std::string_view text, size_t from) {
    for (size_t at = from; (at = text.find('\n', at)) != std::string_view::npos; at++) {
        if (text.substr(at + 1).starts_with('\n')) return at + 2;
        if (text.substr(at + 1).starts_with("\r\n")) return at + 3;
    }
    return std::nullopt;
}

std::string_view take_line(std::string_view& text) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

// Of the session; empty: none. Two that differ are none.
std::string_view cookie_of(std::string_view headers) {
    std::string_view cookie;
    while (!headers.empty()) {
        const std::string_view line = take_line(headers);
        const size_t colon = line.find(':');
        if (colon == std::string_view::npos || !same_name(line.substr(0, colon), "x-sessioncookie")) continue;
        const std::string_view value = trimmed(line.substr(colon + 1));
        if (!cookie.empty() && value != cookie) return {};
        cookie = value;
    }
    return cookie;
}

bool is_cookie(std::string_view text) {
    return !text.empty() && text.size() <= kLongestCookie &&
           std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

std::string_view words_of(int status) {
    switch (status) {
        case 404: return "this port speaks RTSP, and RTSP tunnelled in HTTP: play rtsp:// with the name of a stream";
        case 408: return "the request did not end";
        case 409: return "another connection has this x-sessioncookie";
        case 503: return "too many GETs of this address wait for their POST";
        default: return "this is no HTTP";
    }
}

}  // namespace

void Tunnels::connected(Instant now, ConnectionId id, const Ip& remote) {
    Connection& c = connections_[id];
    c.id = id;
    c.remote = remote;
    c.since = now;
}

void Tunnels::receive(Instant now, ConnectionId id, std::span<const std::byte> bytes) {
    const auto found = connections_.find(id);
    if (found == connections_.end() || bytes.empty()) return;
    Connection& c = found->second;
    switch (c.kind) {
        case Kind::rtsp: return outputs_.push_back(Bytes{id, bytes});
        case Kind::post: return take_body(c, text_of(bytes));
        case Kind::http: return take_head(now, c, text_of(bytes));
        case Kind::unknown: return classify(now, c, bytes);
        case Kind::get:  // what a client says behind its GET means nothing
        case Kind::closing: return;
    }
}

// GET and POST are no methods of RTSP. What may yet become one of them is held: four bytes at most.
void Tunnels::classify(Instant now, Connection& c, std::span<const std::byte> bytes) {
    if (c.head.empty()) c.since = now;
    const size_t held = c.head.size();
    std::string_view text = text_of(bytes);
    if (held != 0) {
        scratch_ = std::exchange(c.head, {});
        scratch_ += text;
        text = scratch_;
    }
    if (text.front() == kTlsHandshake) {
        counters_.tls++;
        return close(c);
    }
    if (text.starts_with(kGet) || text.starts_with(kPost)) {
        c.kind = Kind::http;
        return take_head(now, c, text);
    }
    if (kGet.starts_with(text) || kPost.starts_with(text)) {
        c.head = text;
        return;
    }
    c.kind = Kind::rtsp;
    outputs_.push_back(Bytes{c.id, std::as_bytes(std::span(text))});
}

void Tunnels::take_head(Instant now, Connection& c, std::string_view text) {
    const size_t had = c.head.size();
    c.head += text.substr(0, kLongestHttpHead + 1 - had);
    const auto end = end_of_head(c.head, had > 2 ? had - 2 : 0);
    if (!end) {
        if (c.head.size() > kLongestHttpHead) refuse(c, 400, "malformed");
        return;
    }
    const std::string head = std::exchange(c.head, {}).substr(0, *end);
    request(now, c, head, text.substr(*end - had));
}

void Tunnels::request(Instant now, Connection& c, std::string_view head, std::string_view rest) {
    const std::string_view line = take_line(head);
    const size_t version = line.rfind(' ');
    if (!line.substr(version + 1).starts_with("HTTP/1.")) return refuse(c, 400, "malformed");
    const std::string_view cookie = cookie_of(head);
    if (cookie.empty()) return refuse(c, 404, "no_tunnel");
    if (!is_cookie(cookie)) return refuse(c, 400, "cookie");
    line.starts_with(kGet) ? get(now, c, std::string(cookie)) : post(c, std::string(cookie), rest);
}

void Tunnels::get(Instant now, Connection& c, std::string cookie) {
    size_t waiting = 0;
    const Ip network = counted_as(c.remote);  // the first of those that are counted together
    for (auto it = gets_.lower_bound({network, {}}); it != gets_.end() && counted_as(it->first.first) == network; ++it)
        waiting += connections_.at(it->second).other == 0;
    if (waiting >= kMostUnjoined) return refuse(c, 503, "address_full");
    if (!gets_.try_emplace({c.remote, cookie}, c.id).second) return refuse(c, 409, "cookie_taken");
    c.kind = Kind::get;
    c.cookie = std::move(cookie);
    c.since = now;
    // No proxy on the way may keep what is sent.
    outputs_.push_back(Send{c.id, fmt::format("HTTP/1.0 200 OK\r\n"
                                              "Server: {}\r\n"
                                              "Connection: close\r\n"
                                              "Cache-Control: no-store\r\n"
                                              "Pragma: no-cache\r\n"
                                              "Content-Type: application/x-rtsp-tunnelled\r\n\r\n",
                                              software_)});
}

// A POST is not answered: clients do not read there.
void Tunnels::post(Connection& c, const std::string& cookie, std::string_view rest) {
    const auto found = gets_.find({c.remote, cookie});
    if (found == gets_.end()) return refuse(c, 404, "no_get");
    Connection& of = connections_.at(found->second);
    // QuickTime opens another one when Content-Length is used up, and may do so before the first is closed.
    if (of.other != 0) {
        Connection& former = connections_.at(of.other);
        former.other = 0;
        close(former);
    }
    if (!std::exchange(of.joined, true)) counters_.tunnels++;
    of.other = c.id;
    c.kind = Kind::post;
    c.other = of.id;
    base64_decode_init(&c.decoder);
    outputs_.push_back(Joined{c.id});
    take_body(c, rest);
}

// Clients encode each request by itself: one that ends with = is followed by the next.
void Tunnels::take_body(Connection& c, std::string_view text) {
    std::string decoded;
    decoded.reserve(BASE64_DECODE_LENGTH(text.size()));
    bool wrong = false;
    for (const char symbol : text) {
        uint8_t byte = 0;
        const int count = base64_decode_single(&c.decoder, &byte, symbol);
        wrong = count < 0;
        if (wrong) break;
        if (count == 1) decoded += static_cast<char>(byte);
        if (c.decoder.padding != 0 && c.decoder.bits == 0) base64_decode_init(&c.decoder);
    }
    scratch_ = std::move(decoded);
    if (!scratch_.empty()) outputs_.push_back(Bytes{c.other, std::as_bytes(std::span(scratch_))});
    if (!wrong) return;
    counters_.refused["base64"]++;
    close(connections_.at(c.other));
}

void Tunnels::refuse(Connection& c, int status, std::string_view why) {
    counters_.refused[why]++;
    const std::string_view words = words_of(status);
    outputs_.push_back(
        Send{c.id, fmt::format("HTTP/1.0 {} {}\r\nServer: {}\r\nConnection: close\r\nContent-Type: text/plain\r\n"
                               "Content-Length: {}\r\n\r\n{}\n",
                               status, reason_of(status), software_, words.size() + 1, words)});
    close(c);
}

// Of a GET, and with it its POST: neither is anything without the other.
void Tunnels::close(Connection& c) {
    if (c.kind == Kind::closing) return;
    if (c.kind == Kind::get) gets_.erase({c.remote, c.cookie});
    c.kind = Kind::closing;
    c.head = {};
    outputs_.push_back(Close{c.id});
    if (const ConnectionId other = std::exchange(c.other, 0); other != 0) {
        connections_.at(other).other = 0;
        close(connections_.at(other));
    }
}

void Tunnels::disconnected(Instant now, ConnectionId id) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    Connection& c = found->second;
    if (c.kind == Kind::get) gets_.erase({c.remote, c.cookie});
    if (c.other != 0) {
        Connection& other = connections_.at(c.other);
        other.other = 0;
        other.since = now;  // a GET waits for another POST
        if (c.kind == Kind::get) close(other);
    }
    connections_.erase(found);
}

void Tunnels::expire(Instant now) {
    for (auto& [id, c] : connections_) {
        if (c.kind == Kind::http && now - c.since >= kMessageTime) refuse(c, 408, "slow");
        if (c.kind == Kind::get && c.other == 0 && now - c.since >= kJoinTime) {
            counters_.refused["unjoined"]++;
            close(c);
        }
    }
}

std::optional<Tunnels::Output> Tunnels::poll() {
    if (outputs_.empty()) return std::nullopt;
    Output next = std::move(outputs_.front());
    outputs_.pop_front();
    return next;
}

size_t Tunnels::open() const noexcept {
    return static_cast<size_t>(
        std::ranges::count_if(gets_, [&](const auto& get) { return connections_.at(get.second).other != 0; }));
}

}  // namespace penstock::rtsp
