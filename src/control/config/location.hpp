#pragma once
// Where a camera's stream is: an rtsp:// or rtsps:// URL taken apart. Pure.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace penstock::config {

struct Location {
    std::string host;  // a name or an address, IPv6 without its brackets
    uint16_t port = 554;
    std::string url;             // as it goes into requests: without user and password
    std::string user, password;  // decoded; both empty: none
    bool tls = false;            // rtsps, whose port is 322 if none is given
    bool operator==(const Location&) const = default;
};

inline constexpr size_t kLongestUrl = 2048;

// "rtsp://user:pass@10.0.0.7:554/stream1". The error never repeats the text: a password may be in it.
Result<Location> location_of(std::string_view url);

// The URL for logs and tables: some cameras take passwords in the query ("?user=..&password=..") or instead of it
// (XM: "/user=admin_password=.."), so all behind the first "?" or "user=" is left out.
std::string shown(const Location& location);

}  // namespace penstock::config
