#include "control/config/standards.hpp"

#include <algorithm>
#include <limits>

#include "base/text.hpp"
#include "control/config/words.hpp"

namespace penstock::config {
namespace {

struct StaticType {
    uint8_t payload_type;
    std::string_view encoding;
};
constexpr StaticType kStaticTypes[] = {
    {0, "PCMU/8000"},   {3, "GSM/8000"},   {4, "G723/8000"},   {5, "DVI4/8000"},    {6, "DVI4/16000"},
    {7, "LPC/8000"},    {8, "PCMA/8000"},  {9, "G722/8000"},   {10, "L16/44100/2"}, {11, "L16/44100"},
    {12, "QCELP/8000"}, {13, "CN/8000"},   {14, "MPA/90000"},  {15, "G728/8000"},   {16, "DVI4/11025"},
    {17, "DVI4/22050"}, {18, "G729/8000"}, {25, "CelB/90000"}, {26, "JPEG/90000"},  {28, "nv/90000"},
    {31, "H261/90000"}, {32, "MPV/90000"}, {33, "MP2T/90000"}, {34, "H263/90000"},
};

std::optional<uint8_t> digit(char c, char low, char high) {
    if (c < low || c > high) return std::nullopt;
    return static_cast<uint8_t>(c - '0');
}

}  // namespace

std::optional<std::string_view> static_encoding(uint8_t payload_type) {
    const auto found = std::ranges::find(kStaticTypes, payload_type, &StaticType::payload_type);
    if (found == std::end(kStaticTypes)) return std::nullopt;
    return found->encoding;
}

std::optional<uint32_t> clock_rate(std::string_view encoding) {
    const auto [name, after_name] = split(encoding, '/');
    if (!after_name || !is_plain_name(name, 64)) return std::nullopt;
    const auto [clock_text, channels_text] = split(*after_name, '/');
    const auto clock = decimal(clock_text);
    if (!clock || *clock == 0 || *clock > std::numeric_limits<uint32_t>::max()) return std::nullopt;
    if (channels_text) {
        const auto channels = decimal(*channels_text);
        if (!channels || *channels == 0 || *channels > 255) return std::nullopt;
    }
    return static_cast<uint32_t>(*clock);
}

bool same_encoding(std::string_view a, std::string_view b) {
    const auto essence = [](std::string_view encoding) {
        constexpr std::string_view kOneChannel = "/1";
        const bool one = std::ranges::count(encoding, '/') == 2 && encoding.ends_with(kOneChannel);
        return one ? encoding.substr(0, encoding.size() - kOneChannel.size()) : encoding;
    };
    return same_name(essence(a), essence(b));
}

std::optional<uint8_t> dscp(std::string_view text) {
    if (text == "EF") return uint8_t{46};
    if (text.size() == 3 && text.starts_with("CS")) {
        const auto c = digit(text[2], '0', '7');
        return c ? std::optional{static_cast<uint8_t>(8 * *c)} : std::nullopt;
    }
    if (text.size() == 4 && text.starts_with("AF")) {
        const auto c = digit(text[2], '1', '4'), precedence = digit(text[3], '1', '3');
        return c && precedence ? std::optional{static_cast<uint8_t>(8 * *c + 2 * *precedence)} : std::nullopt;
    }
    const auto number = decimal(text);
    return number && *number <= 63 ? std::optional{static_cast<uint8_t>(*number)} : std::nullopt;
}

}  // namespace penstock::config
