// Any WWW-Authenticate or Authorization header: what was understood is understood the same when it is written.
#include "control/rtsp/digest.hpp"
#include "expect.hpp"

using namespace penstock::rtsp;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto challenge = parse_challenge(text)) EXPECT(parse_challenge(write(*challenge)) == challenge);
    if (auto given = parse_credentials(text)) {
        EXPECT(!proves(*given, "PLAY", "secret") || given->response == response_to(*given, "PLAY", "secret"));
        given->response = response_to(*given, "PLAY", "secret");
        EXPECT(proves(*given, "PLAY", "secret"));
    }
    return 0;
}
