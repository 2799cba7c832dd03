#pragma once
// What versions of Linux can do.
#include <charconv>
#include <string_view>
#include <utility>

namespace penstock {

using KernelVersion = std::pair<unsigned, unsigned>;

// Of what `uname -r` says: "6.1.0-18-amd64". {0, 0}: nothing that is known.
inline KernelVersion kernel_version(std::string_view release) {
    KernelVersion version{};
    const char* end = release.data() + release.size();
    const auto [dot, error] = std::from_chars(release.data(), end, version.first);
    if (error == std::errc{} && dot != end) std::from_chars(dot + 1, end, version.second);
    return version;
}

// UDP segmentation of what comes by a packet socket.
inline constexpr KernelVersion kSegmentsPackets{6, 2};

}  // namespace penstock
