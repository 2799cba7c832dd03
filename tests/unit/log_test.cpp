#include "base/log.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <functional>

#include "peer_log.hpp"

using namespace penstock;

namespace {

std::string written(Level level, LogFormat format, const std::function<void(Log&)>& by) {
    char* text = nullptr;
    size_t size = 0;
    std::FILE* file = open_memstream(&text, &size);
    REQUIRE(file != nullptr);
    {
        Log log(level, format, file);
        by(log);
    }
    std::fclose(file);
    const std::string out{text, size};
    std::free(text);
    return out;
}

// The text with every digit made 0: what is left of a time is its form.
std::string shape(std::string text) {
    std::ranges::replace_if(
        text, [](unsigned char c) { return std::isdigit(c) != 0; }, '0');
    return text;
}

}  // namespace

TEST_CASE("a line of text has time, level and message", "[log]") {
    const auto text =
        written(Level::info, LogFormat::text, [](Log& log) { log.info("port '{}': up, {} queues", "lan", 2); });
    INFO(text);
    CHECK(shape(text) == "0000-00-00T00:00:00.000Z info    port 'lan': up, 0 queues\n");
    CHECK(text.ends_with(", 2 queues\n"));
}

TEST_CASE("a line of JSON is an object, whatever the message", "[log]") {
    const auto text = written(Level::info, LogFormat::json, [](Log& log) {
        log.warning("{}", std::string_view("say \"a\\b\"\n\t\x01\x1f\x7f\xc3\xa9\0.", 18));
    });
    INFO(text);
    CHECK(shape(text).starts_with("{\"time\":\"0000-00-00T00:00:00.000Z\",\"level\":\"warning\",\"message\":"));
    CHECK(text.ends_with("\"message\":\"say \\\"a\\\\b\\\"\\u000a\\u0009\\u0001\\u001f\x7f\xc3\xa9\\u0000.\"}\n"));
    CHECK(std::count(text.begin(), text.end(), '\n') == 1);
}

TEST_CASE("the level decides what is written", "[log]") {
    const auto all = [](Log& log) {
        log.debug("d");
        log.info("i");
        log.warning("w");
        log.error("e");
    };
    const auto lines = [&](Level level) {
        const auto text = written(level, LogFormat::text, all);
        return std::count(text.begin(), text.end(), '\n');
    };
    CHECK(lines(Level::debug) == 4);
    CHECK(lines(Level::info) == 3);
    CHECK(lines(Level::warning) == 2);
    CHECK(lines(Level::error) == 1);
    Log log(Level::warning, LogFormat::text);
    CHECK(log.enabled(Level::warning));
    CHECK(log.enabled(Level::error));
    CHECK_FALSE(log.enabled(Level::info));
}

TEST_CASE("peers do not fill the log", "[log]") {
    static Instant now;  // a function pointer has no other way to it
    now = Instant{};
    const auto text = written(Level::info, LogFormat::text, [](Log& log) {
        PeerLog peers(log, [] { return now; });
        for (int i = 0; i < 1000; i++) peers.info("early {}", i);
        now += std::chrono::milliseconds(100);
        for (int i = 0; i < 1000; i++) peers.warning("late {}", i);
        now += std::chrono::hours(1);
        peers.info("at last");
    });
    const auto count = [&](std::string_view words) {
        size_t n = 0;
        for (size_t at = 0; (at = text.find(words, at)) != std::string::npos; at++) n++;
        return n;
    };
    CHECK(count(" early ") == 200);
    CHECK(count(" late ") == 2);
    CHECK(count("800 lines on what peers did are left out") == 1);
    CHECK(count("998 lines on what peers did are left out") == 1);
    CHECK(text.find("998 lines") < text.find("at last"));
}
