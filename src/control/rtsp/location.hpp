#pragma once
// Where a camera's stream is: an rtsp:// URL taken apart, and the URLs of its tracks as its description tells them.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace penstock::rtsp {

struct Location {
    std::string host;  // a name or an address, IPv6 without its brackets
    uint16_t port = 554;
    std::string url;             // as it goes into requests: without user and password
    std::string user, password;  // decoded; both empty: none
    bool operator==(const Location&) const = default;
};

inline constexpr size_t kLongestUrl = 2048;

// "rtsp://user:pass@10.0.0.7:554/stream1". The error never repeats the text: a password may be in it.
Result<Location> location_of(std::string_view url);

// What `relative`, of an a=control, a Content-Base or a Location header, stands for where `base` is the URL of the
// whole (RFC 2326 appendix C.1.1).
std::string resolve(std::string_view base, std::string_view relative);

}  // namespace penstock::rtsp
