#include "base/log.hpp"

#include <fmt/chrono.h>

#include <chrono>
#include <string>

namespace penstock {
namespace {

constexpr std::string_view name(Level level) {
    switch (level) {
        case Level::debug: return "debug";
        case Level::info: return "info";
        case Level::warning: return "warning";
        case Level::error: return "error";
    }
    return "?";
}

std::string json_string(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            out += fmt::format("\\u{:04x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
        } else {
            out += c;
        }
    }
    return out += '"';
}

}  // namespace

void Log::line(Level level, std::string_view text) {
    const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
    const auto ms = now.time_since_epoch().count() % 1000;
    const std::string stamp =
        fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(now)), ms);
    std::string out;
    if (format_ == LogFormat::json) {
        out =
            fmt::format("{{\"time\":\"{}\",\"level\":\"{}\",\"message\":{}}}\n", stamp, name(level), json_string(text));
    } else {
        out = fmt::format("{} {:<7} {}\n", stamp, name(level), text);
    }
    const std::lock_guard lock(mutex_);
    std::fwrite(out.data(), 1, out.size(), to_);
    std::fflush(to_);
}

}  // namespace penstock
