#pragma once
// RTSP 1.0 messages as values (RFC 2326 sections 4 to 7), and interleaved frames (section 10.12).
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace penstock::rtsp {

// Names compare without case; the order is kept.
class Headers {
public:
    void add(std::string_view name, std::string_view value) { all_.emplace_back(name, value); }
    std::optional<std::string_view> get(std::string_view name) const;  // the first of that name
    void append_to_last(std::string_view more);                        // a folded line
    bool empty() const noexcept { return all_.empty(); }
    size_t size() const noexcept { return all_.size(); }
    auto begin() const noexcept { return all_.begin(); }
    auto end() const noexcept { return all_.end(); }
    bool operator==(const Headers&) const = default;

private:
    std::vector<std::pair<std::string, std::string>> all_;
};

struct Version {
    unsigned major = 1, minor = 0;
    bool operator==(const Version&) const = default;
};

struct Request {
    std::string method;
    std::string url;
    Version version;
    Headers headers;
    std::string body;
    bool operator==(const Request&) const = default;
};

struct Response {
    int status = 200;
    std::string reason;  // empty: the usual words for the status are written
    Version version;
    Headers headers;
    std::string body;
    bool operator==(const Response&) const = default;
};

// '$', channel, length in two bytes, payload.
struct Frame {
    uint8_t channel = 0;
    std::vector<std::byte> payload;
    bool operator==(const Frame&) const = default;
};

using Message = std::variant<Request, Response, Frame>;

// Bytes for the wire. Content-Length is written when there is a body, whatever the headers say of it.
std::string write(const Request& request);
std::string write(const Response& response);
std::string write(const Frame& frame);  // of at most 65535 bytes

std::string_view reason_of(int status);  // "Not Found"

}  // namespace penstock::rtsp
