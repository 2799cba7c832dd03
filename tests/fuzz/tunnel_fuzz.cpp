// Four connections of two addresses that say any bytes in any order: memory is bounded, a connection that was closed
// says nothing more, RTSP goes to connections that are there, and the pieces make no difference.
//
// The input is a script: a byte that names the connection (bits 0-1) and what it does (bits 2-3: says, says, goes and
// comes again, time passes), for what is said a byte with its length, and that.
#include <algorithm>

#include "control/rtsp/limits.hpp"
#include "expect.hpp"
#include "support/tunnel_stage.hpp"

using namespace penstock;

namespace {

test::TunnelStage play(std::string_view script, size_t piece) {
    test::TunnelStage stage;
    const auto from = [](rtsp::ConnectionId id) { return id % 2 == 0 ? "10.0.1.20" : "10.0.1.21"; };
    rtsp::ConnectionId ids[4] = {4, 1, 2, 3}, next = 4;  // never 0, which means none
    for (const auto id : ids) stage.connect(id, from(id));
    while (script.size() >= 2) {
        const auto step = static_cast<uint8_t>(script[0]);
        rtsp::ConnectionId& id = ids[step & 3];
        const size_t size = std::min<size_t>(static_cast<uint8_t>(script[1]), script.size() - 2);
        script.remove_prefix(2);
        if ((step & 12) == 8) {
            stage.disconnect(id);
            id += next;
            next += 4;
            stage.connect(id, from(id));
        } else if ((step & 12) == 12) {
            stage.pass(std::chrono::seconds(size));
        } else {
            const size_t had = stage.rtsp[id].size();
            const bool was_closed = std::ranges::find(stage.closed, id) != stage.closed.end();
            stage.say_in_pieces(id, script.substr(0, size), piece);
            if (was_closed) EXPECT(stage.rtsp[id].size() == had);
            script.remove_prefix(size);
        }
    }
    for (const auto& [id, text] : stage.said) EXPECT(text.starts_with("HTTP/1.0 ") && text.size() < 2000);
    EXPECT(stage.tunnels.open() <= 4);
    return stage;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view script(reinterpret_cast<const char*>(data), size);
    const auto whole = play(script, 256), bytes = play(script, 1);
    EXPECT(whole.said == bytes.said && whole.closed == bytes.closed && whole.joined == bytes.joined);
    EXPECT(std::ranges::equal(whole.rtsp, bytes.rtsp));
    return 0;
}
