#pragma once
// What an operator reads: one line an event, to stderr, as text or JSON. For control and start-up; a worker never logs.
#include <fmt/format.h>

#include <cstdio>
#include <mutex>
#include <string_view>

namespace penstock {

enum class Level : uint8_t { debug, info, warning, error };
enum class LogFormat : uint8_t { text, json };

class Log {
public:
    Log(Level level, LogFormat format, std::FILE* to = stderr) : level_(level), format_(format), to_(to) {}

    template <class... Args>
    void debug(fmt::format_string<Args...> text, Args&&... args) {
        if (level_ <= Level::debug) line(Level::debug, fmt::format(text, std::forward<Args>(args)...));
    }
    template <class... Args>
    void info(fmt::format_string<Args...> text, Args&&... args) {
        if (level_ <= Level::info) line(Level::info, fmt::format(text, std::forward<Args>(args)...));
    }
    template <class... Args>
    void warning(fmt::format_string<Args...> text, Args&&... args) {
        if (level_ <= Level::warning) line(Level::warning, fmt::format(text, std::forward<Args>(args)...));
    }
    template <class... Args>
    void error(fmt::format_string<Args...> text, Args&&... args) {
        line(Level::error, fmt::format(text, std::forward<Args>(args)...));
    }
    bool enabled(Level level) const noexcept { return level >= level_; }
    // Writes `text` whatever the configured level: for libraries that filtered already.
    void line(Level level, std::string_view text);

private:
    Level level_;
    LogFormat format_;
    std::FILE* to_;
    std::mutex mutex_;  // control and the twin thread both log
};

}  // namespace penstock
