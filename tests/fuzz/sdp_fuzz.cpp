// Any text: what was read and can be written reads as the same again.
#include "control/sdp/description.hpp"
#include "control/sdp/groups.hpp"
#include "expect.hpp"

using namespace penstock;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const auto d = sdp::parse({reinterpret_cast<const char*>(data), size});
    if (!d) return 0;
    for (const sdp::Media& m : d->media)
        for (const std::string& format : m.formats) static_cast<void>(m.rtpmap(format));
    const auto originals = sdp::originals(*d);
    EXPECT(originals.size() == d->media.size());
    for (size_t m = 0; m < originals.size(); m++)  // a copy is of an original
        EXPECT(!originals[m] || (*originals[m] < originals.size() && *originals[m] != m && !originals[*originals[m]]));
    const auto repaired = sdp::repaired(*d);
    EXPECT(repaired.size() == d->media.size());
    for (size_t m = 0; m < repaired.size(); m++)  // repair is of media
        EXPECT(!repaired[m] || (*repaired[m] < repaired.size() && *repaired[m] != m && !repaired[*repaired[m]]));
    for (const sdp::Media& m : d->media) static_cast<void>(sdp::duplicated(m));
    const auto text = sdp::write(*d);
    if (!text) return 0;
    const auto again = sdp::parse(*text);
    EXPECT(again);
    const auto twice = sdp::write(*again);
    EXPECT(twice && *twice == *text);
    return 0;
}
