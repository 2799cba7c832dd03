#include "control/rtsp/url.hpp"

#include <algorithm>

namespace penstock::rtsp {
namespace {

// Without the first slash. Empty: there is none.
std::string_view path_of(std::string_view url) {
    url = base_of(url);
    if (const size_t scheme = url.find("://"); scheme != std::string_view::npos) {
        url.remove_prefix(scheme + 3);
        const size_t path = url.find('/');
        if (path == std::string_view::npos) return {};
        url.remove_prefix(path);
    }
    if (!url.starts_with('/')) return {};  // a path alone, without scheme and host, is understood
    return url.substr(1);
}

// "rtsp://host:port" of an absolute URL.
std::string_view root_of(std::string_view url) {
    const size_t scheme = url.find("://");
    if (scheme == std::string_view::npos) return {};
    return url.substr(0, std::min(url.find_first_of("/?", scheme + 3), url.size()));
}

}  // namespace

std::string_view base_of(std::string_view url) {
    url = url.substr(0, url.find_first_of("?#"));
    while (url.ends_with('/')) url.remove_suffix(1);  // GStreamer, VLC: Content-Base with its slash, as aggregate URL
    return url;
}

std::string_view stream_of(std::string_view url) {
    const std::string_view path = path_of(url);
    return path.substr(0, path.find('/'));
}

std::optional<Target> target_of(std::string_view url) {
    const std::string_view path = path_of(url);
    const size_t slash = path.find('/');
    Target target{std::string(path.substr(0, slash)), {}};
    if (slash != std::string_view::npos) target.track = path.substr(slash + 1);
    if (target.stream.empty() || target.track.find('/') != std::string::npos) return std::nullopt;
    return target;
}

std::string resolve(std::string_view base, std::string_view relative) {
    if (relative.empty() || relative == "*") return std::string(base);
    if (relative.find("://") != std::string_view::npos) return std::string(relative);
    if (relative.starts_with('/')) return std::string(root_of(base)) + std::string(relative);
    // Not as RFC 3986 has it, which would drop what follows the last slash. Dahua, Hikvision: the base ends with a
    // query
    // ("...?channel=1&subtype=0"), and the track is what is written behind all of it.
    std::string url(base);
    if (!url.ends_with('/') && !relative.starts_with('?')) url += '/';
    return url + std::string(relative);
}

}  // namespace penstock::rtsp
