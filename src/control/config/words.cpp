#include "control/config/words.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace penstock::config {
namespace {

constexpr size_t kLongestWord = 32;  // no key is longer, and what is longer is no misspelt key

// Letters to insert, remove, change or exchange with their neighbour (optimal string alignment distance).
size_t distance(std::string_view a, std::string_view b) {
    std::array<std::array<size_t, kLongestWord + 1>, kLongestWord + 1> d{};
    for (size_t i = 0; i <= a.size(); i++) d[i][0] = i;
    for (size_t j = 0; j <= b.size(); j++) d[0][j] = j;
    for (size_t i = 1; i <= a.size(); i++)
        for (size_t j = 1; j <= b.size(); j++) {
            const size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
            d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + change});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
        }
    return d[a.size()][b.size()];
}

}  // namespace

std::string quoted(std::string_view text) {
    constexpr size_t kShown = 60;
    size_t end = std::min(text.size(), kShown);
    const auto inside_a_character = [&](size_t i) { return (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80; };
    while (end < text.size() && end > 0 && inside_a_character(end)) end--;
    std::string out = "'";
    for (const char c : text.substr(0, end)) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f)
            out += fmt::format("\\x{:02x}", byte);
        else
            out += c;
    }
    return out + (end < text.size() ? "...'" : "'");
}

std::string joined(std::span<const std::string_view> words) { return fmt::format("{}", fmt::join(words, ", ")); }

std::optional<std::string_view> nearest(std::string_view text, std::span<const std::string_view> words) {
    if (text.size() > kLongestWord) return std::nullopt;
    std::optional<std::string_view> best;
    size_t least = std::min<size_t>(3, text.size() / 2 + 1);  // to be beaten: two letters wrong, one in a short word
    for (const std::string_view word : words)
        if (const size_t d = distance(text, word); d < least) {
            least = d;
            best = word;
        }
    return best;
}

std::optional<uint64_t> decimal(std::string_view text) {
    uint64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc{} || stop != end || (text.front() == '0' && text.size() > 1)) return std::nullopt;
    return value;
}

std::optional<Range> range(std::string_view text) {
    const auto [low, high] = split(text, '-');
    if (!high) return std::nullopt;
    const auto first = decimal(low), last = decimal(*high);
    if (!first || !last || *first > *last) return std::nullopt;
    return Range{*first, *last};
}

std::pair<std::string_view, std::optional<std::string_view>> split(std::string_view text, char mark) {
    const size_t at = text.find(mark);
    if (at == std::string_view::npos) return {text, std::nullopt};
    return {text.substr(0, at), text.substr(at + 1)};
}

bool is_plain_name(std::string_view text, size_t longest) {
    return !text.empty() && text.size() <= longest && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
               c == '-';
    });
}

}  // namespace penstock::config
