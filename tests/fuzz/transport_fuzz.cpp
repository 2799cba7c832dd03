// Any Transport header: what was understood is understood the same when it is written.
#include "control/rtsp/transport.hpp"
#include "control/rtsp/url.hpp"
#include "expect.hpp"

using namespace penstock::rtsp;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto target = target_of(text)) EXPECT(!target->stream.empty());
    const auto all = parse_transport(text);
    if (!all) return 0;
    EXPECT(!all->empty());
    for (const Transport& t : *all) static_cast<void>(write(t));
    return 0;
}
