// Any chunking of the same bytes, byte by byte too, gives the same outputs: of well-formed conversations and of noise.
#include <algorithm>
#include <catch2/catch.hpp>

#include "support/random.hpp"
#include "support/rtsp_clients.hpp"
#include "support/rtsp_stage.hpp"

using namespace penstock;
using namespace penstock::test;

namespace {

struct Outcome {
    std::string said;
    std::vector<std::string> done;
    std::vector<rtsp::ConnectionId> closed;
    bool operator==(const Outcome&) const = default;
};

Outcome outcome(std::string_view bytes, auto next_size) {
    RtspStage stage(RtspStage::with_publishers());
    stage.connect(1);
    while (!bytes.empty()) {
        const size_t size = std::min<size_t>(bytes.size(), next_size());
        stage.say(1, bytes.substr(0, size));
        bytes.remove_prefix(size);
    }
    return {stage.said, stage.done, stage.closed};
}

// All that clients say, as one stream, a publisher first or not: the first token of a stage is known beforehand.
std::string conversation(Random& random) {
    std::string all;
    for (int part = 0; part < 6; part++) {
        const bool publishes = random.below(part == 0 ? 2 : 6) == 0;
        const auto& scripts = publishes ? publisher_scripts() : client_scripts();
        for (const Exchange& exchange : scripts[random.below(static_cast<uint32_t>(scripts.size()))].exchanges) {
            std::string text(exchange.request);
            if (const size_t at = text.find("SESSION"); at != std::string::npos)
                text.replace(at, 7, "00000000000000010000000000000002");
            all += text;
        }
        if (random.below(3) == 0) all += std::string("$\1\0\5frame", 9);
        if (random.below(3) == 0) all += "\r\n";
        if (random.below(3) == 0)
            all += "SET_PARAMETER rtsp://h/cam RTSP/1.0\r\nCSeq: 9\r\nContent-Length: 7\r\n\r\n$$\r\n\r\nx";
    }
    return all;
}

}  // namespace

TEST_CASE("any chunking gives the same outputs", "[rtsp]") {
    Random random;
    bool pushed = false;
    for (int run = 0; run < 60; run++) {
        std::string bytes = conversation(random);
        if (run % 2 == 1)  // somewhere it becomes noise
            for (uint32_t i = 0; i < 1 + random.below(4); i++)
                bytes[random.below(static_cast<uint32_t>(bytes.size()))] = static_cast<char>(random.below(256));
        const Outcome whole = outcome(bytes, [&] { return bytes.size(); });
        pushed |= std::ranges::find(whole.done, "media 1 video rtp media") != whole.done.end();
        CHECK(outcome(bytes, [] { return 1; }) == whole);
        for (int cut = 0; cut < 5; cut++) CHECK(outcome(bytes, [&] { return 1 + random.below(300); }) == whole);
        if (run % 2 == 0) CHECK(whole.closed.empty());
    }
    CHECK(pushed);
}
