// Any WWW-Authenticate or Authorization header: what was understood is understood the same when it is written; and none
// of them proves anything where nobody can.
#include "control/rtsp/access.hpp"
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
    if (const auto basic = parse_basic(text)) {
        const auto again = parse_basic(write(*basic));
        EXPECT(again && again->user == basic->user && again->password == basic->password);
    }
    penstock::config::Access settings;
    settings.basic = true;
    settings.users = {{"eve", "", std::string(32, '0'), std::string(64, '0')}};  // of no password
    const Access access(settings);
    Request request{.method = "PLAY", .url = "rtsp://h/x", .version = {}, .headers = {}, .body = {}};
    request.headers.add("Authorization", text);
    Nonce nonce{.word = "n", .made = {}, .count = 0};
    const Asker asker = access.asker(request, nonce, {});
    EXPECT(asker.proof == Proof::wrong || asker.proof == Proof::stale);
    EXPECT(asker.user.empty() || asker.user == Access::named_by(request));
    return 0;
}
