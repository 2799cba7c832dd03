#include "control/rtsp/url.hpp"

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

}  // namespace penstock::rtsp
