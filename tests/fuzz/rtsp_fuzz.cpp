// Any bytes on an RTSP connection, in chunks that the first byte chooses: memory stays bounded, what was parsed can be
// written and parsed again, and the server says the same whatever the chunks.
#include <algorithm>
#include <string>

#include "control/rtsp/limits.hpp"
#include "control/rtsp/parser.hpp"
#include "expect.hpp"
#include "support/rtsp_stage.hpp"

using namespace penstock;
using namespace penstock::rtsp;

namespace {

void parse(std::span<const std::byte> bytes, size_t chunk) {
    Parser parser;
    while (!bytes.empty()) {
        const size_t size = std::min(chunk, bytes.size());
        parser.receive(bytes.first(size));
        bytes = bytes.subspan(size);
        for (;;) {
            const auto message = parser.next();
            if (!message || !*message) break;
            const std::string text = std::visit([](const auto& m) { return write(m); }, **message);
            Parser again;
            again.receive(std::as_bytes(std::span(text)));
            const auto second = again.next();
            EXPECT(second && *second);
            EXPECT(std::visit([](const auto& m) { return write(m); }, **second) == text);
        }
        EXPECT(parser.waiting() <= kLongestHead + kLongestBody + chunk);
    }
}

std::string said(const ServerSettings& settings, std::span<const std::byte> bytes, size_t chunk) {
    test::RtspStage stage(settings);
    stage.connect(1);
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    for (size_t at = 0; at < text.size(); at += chunk) stage.say(1, text.substr(at, chunk));
    // Whom nobody knows gets nothing done.
    for (const std::string& done : stage.done) EXPECT(settings.access.users.empty() || done.starts_with("blocked"));
    return stage.said;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2) return 0;
    const size_t chunk = data[0] % 64 + 1u;
    const auto bytes = input(data + 1, size - 1);
    parse(bytes, chunk);
    const ServerSettings open = test::RtspStage::with_publishers();
    ServerSettings closed = open;
    closed.access.users = {{"eve", "", std::string(32, '0'), ""}};
    for (const ServerSettings& settings : {open, closed})
        EXPECT(said(settings, bytes, chunk) == said(settings, bytes, bytes.size()));
    return 0;
}
