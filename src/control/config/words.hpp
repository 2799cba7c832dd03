#pragma once
// Text in and out: the small notations of settings, and how messages show words. Pure.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace penstock::config {

// Text of the file as a message shows it: in quotes, on one line, not too long.
std::string quoted(std::string_view text);
std::string joined(std::span<const std::string_view> words);  // "a, b, c"

// The word that was meant, if one is near enough.
std::optional<std::string_view> nearest(std::string_view text, std::span<const std::string_view> words);

// Digits only, and no leading zero: YAML 1.1 would take 010 for eight.
std::optional<uint64_t> decimal(std::string_view text);

struct Range {
    uint64_t first = 0;
    uint64_t last = 0;  // inclusive, not below first
};
std::optional<Range> range(std::string_view text);  // "2-5"

// The parts before and after the first `mark`; the second is absent without one.
std::pair<std::string_view, std::optional<std::string_view>> split(std::string_view text, char mark);

// 1 to `longest` characters of [A-Za-z0-9._-].
bool is_plain_name(std::string_view text, size_t longest);
inline constexpr size_t kLongestName = 64;  // of ports and streams
inline constexpr std::string_view kNameAllowed = "1-64 characters of A-Z a-z 0-9 . _ -";

}  // namespace penstock::config
