#include "control/rtsp/url.hpp"

namespace penstock::rtsp {

std::string_view base_of(std::string_view url) {
    url = url.substr(0, url.find_first_of("?#"));
    while (url.ends_with('/')) url.remove_suffix(1);  // GStreamer, VLC: Content-Base with its slash, as aggregate URL
    return url;
}

std::optional<Target> target_of(std::string_view url) {
    url = base_of(url);
    if (const size_t scheme = url.find("://"); scheme != std::string_view::npos) {
        url.remove_prefix(scheme + 3);
        const size_t path = url.find('/');
        if (path == std::string_view::npos) return std::nullopt;
        url.remove_prefix(path);
    }
    if (!url.starts_with('/')) return std::nullopt;  // a path alone, without scheme and host, is understood
    url.remove_prefix(1);
    const size_t slash = url.find('/');
    Target target{std::string(url.substr(0, slash)), {}};
    if (slash != std::string_view::npos) target.track = url.substr(slash + 1);
    if (target.stream.empty() || target.track.find('/') != std::string::npos) return std::nullopt;
    return target;
}

}  // namespace penstock::rtsp
