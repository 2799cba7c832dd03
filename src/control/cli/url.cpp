#include "control/cli/url.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace penstock::cli {
namespace {

constexpr std::string_view kFec = "fec";  // fec=SCHEME, and fec.KEY=VALUE for what else stands under `fec`

}  // namespace

std::string Url::yaml() const {
    std::string text = fmt::format("{{rtp: \"{}\"", rtp), fec;
    for (const auto& [key, value] : options) {
        const bool of_fec = key == kFec || key.starts_with("fec.");
        const std::string_view name = key == kFec ? "scheme"
                                      : of_fec    ? std::string_view{key}.substr(kFec.size() + 1)
                                                  : key;
        (of_fec ? fec : text) += fmt::format(", {}: \"{}\"", name, value);
    }
    if (!fec.empty()) text += fmt::format(", fec: {{{}}}", fec.substr(2));
    return text + "}";
}

std::string stream_settings(std::string_view text) {
    if (!text.starts_with("rtsp://") && !text.starts_with("rtsps://")) return std::string(text);
    const auto quoted = [](std::string_view words) {
        std::string out = "\"";
        for (const char c : words) {
            if (c == '"' || c == '\\') out += '\\';
            out += c;
        }
        return out + '"';
    };
    std::string yaml = "{rtsp: {url: " + quoted(text.substr(0, text.find(' ')));
    text.remove_prefix(std::min(text.size(), text.find(' ')));
    while (!text.empty()) {
        text.remove_prefix(std::min(text.size(), text.find_first_not_of(' ')));
        const std::string_view option = text.substr(0, text.find(' '));
        text.remove_prefix(option.size());
        if (option.empty()) break;
        const size_t equals = std::min(option.find('='), option.size());
        yaml += fmt::format(", {}: {}", quoted(option.substr(0, equals)),
                            quoted(equals == option.size() ? "" : option.substr(equals + 1)));
    }
    return yaml + "}}";
}

Result<Url> parse_url(std::string_view url) {
    constexpr std::string_view kScheme = "rtp://";
    if (!url.starts_with(kScheme))
        return fail(fmt::format("'{}' is not understood: rtp://ADDRESS:PORT, such as rtp://10.0.1.20:6000", url));
    // What could end the quoted value in YAML is in no address, name or number.
    const auto allowed = [](unsigned char c) {
        return std::isalnum(c) != 0 ||
               std::string_view(".:[]_-+?&=/").find(static_cast<char>(c)) != std::string_view::npos;
    };
    if (!std::ranges::all_of(url, allowed))
        return fail(
            fmt::format("'{}': a character that no URL here has: letters, digits and . : [ ] _ - + / ? & = are "
                        "allowed",
                        url));
    std::string_view rest = url.substr(kScheme.size());
    const size_t question = rest.find('?');
    Url out;
    out.rtp = rest.substr(0, question);
    rest = question == std::string_view::npos ? std::string_view() : rest.substr(question + 1);
    while (!rest.empty()) {
        const std::string_view option = rest.substr(0, rest.find('&'));
        rest.remove_prefix(std::min(rest.size(), option.size() + 1));
        const size_t equals = option.find('=');
        const std::string_view key = option.substr(0, equals);
        const std::string_view word = key.starts_with("fec.") ? key.substr(4) : key;
        const bool is_word = !word.empty() && std::ranges::all_of(word, [](unsigned char c) {
            return std::isalnum(c) != 0 || c == '_';
        });
        if (equals == std::string_view::npos || key.empty() || !is_word)
            return fail(fmt::format("'{}': an option is NAME=VALUE", option));
        if (key == "track") {
            out.track = option.substr(equals + 1);
        } else {
            out.options.emplace_back(key, option.substr(equals + 1));
        }
    }
    return out;
}

}  // namespace penstock::cli
