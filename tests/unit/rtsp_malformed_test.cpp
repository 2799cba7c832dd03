// What is malformed, on a connection of its own each: the right 4xx or 5xx, and whether the connection goes on. A
// message after which the next one cannot be found ends it.
#include <catch2/catch.hpp>

#include "control/rtsp/limits.hpp"
#include "support/rtsp_stage.hpp"

using namespace penstock;
using namespace penstock::test;
using namespace std::string_literals;

TEST_CASE("every malformed message gets its answer", "[rtsp]") {
    constexpr bool kGoesOn = false, kCloses = true;
    struct Row {
        const char* what;
        std::string bytes;
        int status;  // 0: none
        bool closes;
    };
    const auto head = [](const std::string& more) { return "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n" + more + "\r\n"; };
    const auto setup = [](const std::string& transport) {
        return "SETUP rtsp://h/cam/video RTSP/1.0\r\nCSeq: 1\r\nTransport: " + transport + "\r\n\r\n";
    };
    const Row table[] = {
        // The first line.
        {"one word", "OPTIONS\r\n\r\n", 400, kCloses},
        {"two words", "OPTIONS *\r\n\r\n", 400, kCloses},
        {"no URL", "OPTIONS  RTSP/1.0\r\n\r\n", 400, kCloses},
        {"two URLs", "OPTIONS a b RTSP/1.0\r\n\r\n", 400, kCloses},
        {"a method that is no token", "OP(TIONS * RTSP/1.0\r\n\r\n", 400, kCloses},
        {"HTTP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400, kCloses},
        {"no number as version", "OPTIONS * RTSP/x.0\r\n\r\n", 400, kCloses},
        {"an endless version", "OPTIONS * RTSP/99999999999.0\r\n\r\n", 400, kCloses},
        {"another version", "OPTIONS * RTSP/2.0\r\nCSeq: 1\r\n\r\n", 505, kGoesOn},
        {"version 0.9", "OPTIONS * RTSP/0.9\r\nCSeq: 1\r\n\r\n", 505, kGoesOn},
        {"an unknown method", "FLY * RTSP/1.0\r\nCSeq: 1\r\n\r\n", 501, kGoesOn},
        {"a method in lower case", "options * RTSP/1.0\r\nCSeq: 1\r\n\r\n", 501, kGoesOn},
        {"a method that only servers send", "REDIRECT * RTSP/1.0\r\nCSeq: 1\r\n\r\n", 405, kGoesOn},
        // Noise.
        {"a NUL", "OPT\0"s, 400, kCloses},
        {"zeros", std::string(64, '\0'), 400, kCloses},
        {"one line without end", std::string(rtsp::kLongestHead + 1, 'A'), 400, kCloses},
        {"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01"s, 400, kCloses},
        {"an answer without a status", "RTSP/1.0 20 OK\r\n\r\n", 400, kCloses},
        {"an answer to nothing", "RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n", 0, kGoesOn},
        {"a frame of no channel", "$\0\0\1x"s, 0, kGoesOn},
        {"half a frame", "$\0\0\2x"s, 0, kGoesOn},
        {"empty lines", "\r\n\r\n\n\n", 0, kGoesOn},
        // Headers.
        {"no colon", head("no colon\r\n"), 400, kCloses},
        {"no name", head(": x\r\n"), 400, kCloses},
        {"a blank in the name", head("Content Length: 1\r\n"), 400, kCloses},
        {"the first one folded", "OPTIONS * RTSP/1.0\r\n folded: x\r\n\r\n", 400, kCloses},
        {"a control character", head("A: \x01\r\n"), 400, kCloses},
        {"a carriage return alone", head("A: x\rB: y\r\n"), 400, kCloses},
        {"too long", head("A: " + std::string(rtsp::kLongestHead, 'x') + "\r\n"), 400, kCloses},
        {"too many",
         [&] {
             std::string many;
             for (size_t i = 0; i < rtsp::kMostHeaders; i++) many += "A: b\r\n";
             return head(many);
         }(),
         400, kCloses},
        // The body.
        {"its length no number", head("Content-Length: x\r\n"), 400, kCloses},
        {"its length negative", head("Content-Length: -1\r\n"), 400, kCloses},
        {"its length signed", head("Content-Length: +1\r\n"), 400, kCloses},
        {"two lengths", head("Content-Length: 1\r\nContent-Length: 2\r\n"), 400, kCloses},
        {"too long a body", head("Content-Length: 65537\r\n"), 413, kCloses},
        {"an endless body", head("Content-Length: 99999999999999999999999\r\n"), 413, kCloses},
        {"a body that is yet to come", head("Content-Length: 5\r\n") + "ab", 0, kGoesOn},
        // What a request must have.
        {"no CSeq", "OPTIONS * RTSP/1.0\r\n\r\n", 400, kGoesOn},
        {"an empty CSeq", "OPTIONS * RTSP/1.0\r\nCSeq:\r\n\r\n", 400, kGoesOn},
        {"a negative CSeq", "OPTIONS * RTSP/1.0\r\nCSeq: -1\r\n\r\n", 400, kGoesOn},
        {"a CSeq of words", "OPTIONS * RTSP/1.0\r\nCSeq: one\r\n\r\n", 400, kGoesOn},
        {"an endless CSeq", "OPTIONS * RTSP/1.0\r\nCSeq: 12345678901\r\n\r\n", 400, kGoesOn},
        {"an option that it needs", head("Require: a.b\r\n"), 551, kGoesOn},
        {"a proxy's option", head("Proxy-Require: a.b\r\n"), 551, kGoesOn},
        {"no Transport", "SETUP rtsp://h/cam/video RTSP/1.0\r\nCSeq: 1\r\n\r\n", 400, kGoesOn},
        {"an empty Transport", setup(""), 400, kGoesOn},
        {"a port that is none", setup("RTP/AVP;unicast;client_port=x-y"), 400, kGoesOn},
        {"ports backwards", setup("RTP/AVP;unicast;client_port=9-8"), 400, kGoesOn},
        {"a channel that is none", setup("RTP/AVP/TCP;interleaved=0-256"), 400, kGoesOn},
        {"too many Transports", setup(std::string(rtsp::kMostAlternatives + 1, ',') + "RTP/AVP"), 400, kGoesOn},
        {"a Transport of another kind", setup("RAW/RAW/UDP;unicast"), 461, kGoesOn},
        {"a URL without a stream", "DESCRIBE * RTSP/1.0\r\nCSeq: 1\r\n\r\n", 404, kGoesOn},
        {"a URL with too many parts", "DESCRIBE rtsp://h/a/b/c RTSP/1.0\r\nCSeq: 1\r\n\r\n", 404, kGoesOn},
        {"another description", "DESCRIBE rtsp://h/cam RTSP/1.0\r\nCSeq: 1\r\nAccept: text/html\r\n\r\n", 406, kGoesOn},
        {"a session that is none", "PLAY rtsp://h/cam RTSP/1.0\r\nCSeq: 1\r\nSession: x\r\n\r\n", 454, kGoesOn},
        {"parameters", "SET_PARAMETER rtsp://h/cam RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 1\r\n\r\nx", 451, kGoesOn},
        {"an SDP that is none",
         "ANNOUNCE rtsp://h/live RTSP/1.0\r\nCSeq: 1\r\nContent-Type: application/sdp\r\nContent-Length: 1\r\n\r\nx",
         400, kGoesOn},
        {"another announcement",
         "ANNOUNCE rtsp://h/live RTSP/1.0\r\nCSeq: 1\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx", 415,
         kGoesOn},
        {"a name that no stream may have",
         "ANNOUNCE rtsp://h/l%20e RTSP/1.0\r\nCSeq: 1\r\nContent-Type: application/sdp\r\nContent-Length: 1\r\n\r\nx",
         400, kGoesOn},
    };
    for (const Row& row : table)
        for (const bool bytewise : {false, true}) {
            INFO(row.what << (bytewise ? ", byte by byte" : ""));
            RtspStage stage(RtspStage::with_publishers());
            REQUIRE(stage.connect(1));
            for (size_t at = 0; at < row.bytes.size();) {
                const size_t size = bytewise ? 1 : row.bytes.size();
                stage.say(1, std::string_view(row.bytes).substr(at, size));
                at += size;
            }
            CHECK((stage.said.empty() ? 0 : std::stoi(stage.said.substr(9, 3))) == row.status);
            CHECK(stage.closed.size() == (row.closes ? 1 : 0));
            CHECK(stage.done.empty());
            if (row.closes)
                CHECK(stage.ask(1, "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n") == 0);  // nothing is heard any more
        }
}
