#pragma once
// Text from outside, piece by piece.
#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

namespace penstock {

// Without the blanks and tabs around it.
inline std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

// The same name, in large letters or small ones.
inline bool same_name(std::string_view a, std::string_view b) noexcept {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    return std::ranges::equal(a, b, [&](char x, char y) { return lower(x) == lower(y); });
}

// All of the text as a number, if it is one and fits; no sign in front of an unsigned one, no blanks.
template <class Number>
std::optional<Number> number(std::string_view text, int base = 10) {
    Number n{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n, base);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return n;
}

}  // namespace penstock
