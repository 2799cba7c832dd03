// Any bytes from a camera, in chunks that the first byte chooses: the client says and does the same as when they
// come at once.
#include <algorithm>
#include <string>

#include "expect.hpp"
#include "support/rtsp_watcher.hpp"

using namespace penstock;

namespace {

std::string told(std::string_view bytes, size_t chunk, rtsp::Way way) {
    test::RtspWatcher watcher(way);
    for (size_t at = 0; at < bytes.size(); at += chunk) watcher.hear(bytes.substr(at, chunk));
    return watcher.told;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 3) return 0;
    const auto way = static_cast<rtsp::Way>(data[0] % 3);
    const size_t chunk = data[1] % 64 + 1u;
    const std::string_view bytes(reinterpret_cast<const char*>(data + 2), size - 2);
    EXPECT(told(bytes, chunk, way) == told(bytes, bytes.size(), way));
    return 0;
}
