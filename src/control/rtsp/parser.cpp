#include "control/rtsp/parser.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "control/rtsp/limits.hpp"

namespace penstock::rtsp {
namespace {

bool is_token(std::string_view text) {  // RFC 2326 section 15.1
    if (text.empty()) return false;
    for (const char c : text)
        if (c <= ' ' || c > '~' || std::string_view("()<>@,;:\\\"/[]?={}").find(c) != std::string_view::npos)
            return false;
    return true;
}

bool is_url(std::string_view text) {
    for (const char c : text)
        if (c <= ' ' || c == 0x7f) return false;
    return !text.empty();
}

std::optional<Version> version_of(std::string_view text) {
    if (!text.starts_with("RTSP/")) return std::nullopt;
    text.remove_prefix(5);
    const size_t dot = text.find('.');
    if (dot == std::string_view::npos) return std::nullopt;
    const auto major = number<unsigned>(text.substr(0, dot)), minor = number<unsigned>(text.substr(dot + 1));
    if (!major || !minor) return std::nullopt;
    return Version{*major, *minor};
}

// Takes the first line off `text`, without its end. Clients that end lines with LF alone are understood, too.
std::string_view take_line(std::string_view& text) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

std::unexpected<Malformed> malformed(int status, std::string_view why, const Headers& headers = {}) {
    return std::unexpected(Malformed{status, why, std::string(headers.get("CSeq").value_or(""))});
}

std::expected<Headers, Malformed> headers_of(std::string_view text) {
    Headers headers;
    const auto printable = [](std::string_view value) {
        return std::ranges::all_of(value, [](char c) { return static_cast<unsigned char>(c) >= ' ' || c == '\t'; });
    };
    while (!text.empty()) {
        const std::string_view line = take_line(text);
        if (!printable(line)) return malformed(400, "a control character in a header", headers);
        if (line.starts_with(' ') || line.starts_with('\t')) {  // folded: RFC 2326 section 4.2, as in HTTP/1.1
            if (headers.empty()) return malformed(400, "the first header is folded");
            headers.append_to_last(trimmed(line));
            continue;
        }
        const size_t colon = line.find(':');
        if (colon == std::string_view::npos || !is_token(line.substr(0, colon)))
            return malformed(400, "a header is no NAME: VALUE", headers);
        if (headers.size() == kMostHeaders) return malformed(400, "too many headers", headers);
        headers.add(line.substr(0, colon), trimmed(line.substr(colon + 1)));
    }
    return headers;
}

std::expected<size_t, Malformed> body_size(const Headers& headers) {
    std::optional<size_t> size;
    for (const auto& [name, value] : headers) {
        if (!same_name(name, "Content-Length")) continue;
        const auto n = number<size_t>(value);
        if (!n && value.find_first_not_of("0123456789") != std::string::npos)
            return malformed(400, "Content-Length is no number", headers);
        if (!n || *n > kLongestBody) return malformed(413, "the body is too long", headers);
        if (size && *size != *n) return malformed(400, "two Content-Length that differ", headers);
        size = n;
    }
    return size.value_or(0);
}

std::expected<Message, Malformed> start_of(std::string_view line, const Headers& headers) {
    const size_t first = line.find(' ');
    if (first == std::string_view::npos) return malformed(400, "the first line has one word", headers);
    if (const auto version = version_of(line.substr(0, first))) {
        const std::string_view rest = line.substr(first + 1);
        const auto status = number<int>(rest.substr(0, rest.find(' ')));
        if (!status || *status < 100 || *status > 999) return malformed(400, "the status is none", headers);
        Response response{.status = *status, .reason = {}, .version = *version, .headers = {}, .body = {}};
        if (const size_t blank = rest.find(' '); blank != std::string_view::npos)
            response.reason = rest.substr(blank + 1);
        return response;
    }
    const size_t last = line.rfind(' ');
    const std::string_view method = line.substr(0, first);
    const auto version = version_of(line.substr(last + 1));
    if (!version) return malformed(400, "the first line does not end with RTSP/1.0", headers);
    if (last == first || !is_token(method) || !is_url(line.substr(first + 1, last - first - 1)))
        return malformed(400, "the first line is no METHOD URL RTSP/1.0", headers);
    return Request{.method = std::string(method),
                   .url = std::string(line.substr(first + 1, last - first - 1)),
                   .version = *version,
                   .headers = {},
                   .body = {}};
}

}  // namespace

void Parser::receive(std::span<const std::byte> bytes) {
    if (wrong_) return;
    if (taken_ == bytes_.size()) {
        bytes_.clear();
        taken_ = 0;
    } else if (taken_ > kLongestHead && taken_ > bytes_.size() / 2) {
        bytes_.erase(0, taken_);
        taken_ = 0;
    }
    bytes_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::expected<std::optional<Message>, Malformed> Parser::next() {
    if (wrong_) return std::unexpected(*wrong_);
    // Empty lines between messages: players send them to keep the connection open.
    while (searched_ == 0 && (rest().starts_with('\r') || rest().starts_with('\n'))) taken_++;
    if (rest().empty()) return std::nullopt;
    auto message = rest().front() == '$' ? take_frame() : take_text();
    if (!message) {
        wrong_ = message.error();
        bytes_ = {};
        taken_ = searched_ = 0;
    }
    return message;
}

std::expected<std::optional<Message>, Malformed> Parser::take_frame() {
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(rest()[i]); };
    if (rest().size() < 4) return std::nullopt;
    const size_t size = size_t{byte(2)} << 8 | byte(3);
    if (rest().size() < 4 + size) return std::nullopt;
    Frame frame{byte(1), {}};
    const auto payload = std::as_bytes(std::span(rest().substr(4, size)));
    frame.payload.assign(payload.begin(), payload.end());
    taken_ += 4 + size;
    return frame;
}

// Start line and headers with the empty line that ends them, once they are complete.
std::optional<std::string_view> Parser::head() {
    const std::string_view text = rest();
    for (size_t at = searched_; (at = text.find('\n', at)) != std::string_view::npos; at++) {
        const std::string_view after = text.substr(at + 1);
        if (after.starts_with('\n')) return text.substr(0, at + 2);
        if (after.starts_with("\r\n")) return text.substr(0, at + 3);
    }
    // The last two bytes may begin an end: they are looked at again.
    searched_ = text.size() > 2 ? text.size() - 2 : 0;
    return std::nullopt;
}

std::expected<std::optional<Message>, Malformed> Parser::take_text() {
    if (rest().size() < needed_) return std::nullopt;
    const size_t unread = searched_;
    const auto whole = head();
    const std::string_view seen = whole.value_or(rest()).substr(0, kLongestHead);
    // Noise would wait for an end that never comes.
    if (unread < seen.size() && seen.find('\0', unread) != std::string_view::npos)
        return malformed(400, "a NUL before the end of the headers");
    if (whole.value_or(rest()).size() > kLongestHead) return malformed(400, "the headers are too long");
    if (!whole) return std::nullopt;
    std::string_view text = *whole;
    const std::string_view start = take_line(text);
    text = text.substr(0, text.rfind('\n'));  // without the empty line that ends them
    if (text.ends_with('\r')) text.remove_suffix(1);
    auto headers = headers_of(text);
    if (!headers) return std::unexpected(headers.error());
    auto message = start_of(start, *headers);
    if (!message) return std::unexpected(message.error());
    const auto size = body_size(*headers);
    if (!size) return std::unexpected(size.error());
    if (rest().size() < whole->size() + *size) {
        needed_ = whole->size() + *size;
        return std::nullopt;
    }
    std::visit(
        [&](auto& m) {
            if constexpr (requires { m.headers; }) {
                m.headers = std::move(*headers);
                m.body = rest().substr(whole->size(), *size);
            }
        },
        *message);
    taken_ += whole->size() + *size;
    searched_ = needed_ = 0;
    return std::optional<Message>(std::move(*message));
}

}  // namespace penstock::rtsp
