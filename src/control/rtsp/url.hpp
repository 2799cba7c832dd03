#pragma once
// What a request's URL names: a stream, and perhaps one of its tracks.
#include <optional>
#include <string>
#include <string_view>

namespace penstock::rtsp {

struct Target {
    std::string stream;
    std::string track;  // empty: the stream as a whole
    bool operator==(const Target&) const = default;
};

// "rtsp://node:554/camera-1/video?token=5" -> {camera-1, video}. Nothing when it names no stream.
std::optional<Target> target_of(std::string_view url);
// The first part of its path, whatever follows: a publisher's tracks may have names with slashes. Empty: none.
std::string_view stream_of(std::string_view url);
// The URL to which track names are appended: without query and trailing slashes.
std::string_view base_of(std::string_view url);
// What `relative`, of a camera's a=control, Content-Base or Location, stands for where `base` is the URL of the whole
// (RFC 2326 appendix C.1.1).
std::string resolve(std::string_view base, std::string_view relative);

}  // namespace penstock::rtsp
