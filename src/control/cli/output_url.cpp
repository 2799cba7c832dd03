#include "control/cli/output_url.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace penstock::cli {

Result<OutputUrl> parse_output_url(std::string_view url) {
    constexpr std::string_view kScheme = "rtp://";
    if (!url.starts_with(kScheme))
        return fail(fmt::format("'{}' is no output: rtp://ADDRESS:PORT, such as rtp://10.0.1.20:6000", url));
    // What could end the quoted value in YAML is in no address, name or number.
    const auto allowed = [](unsigned char c) {
        return std::isalnum(c) != 0 ||
               std::string_view(".:[]_-?&=/").find(static_cast<char>(c)) != std::string_view::npos;
    };
    if (!std::ranges::all_of(url, allowed)) return fail(fmt::format("'{}': a character that no output has", url));
    std::string_view rest = url.substr(kScheme.size());
    const size_t question = rest.find('?');
    OutputUrl out;
    out.yaml = fmt::format("{{rtp: \"{}\"", rest.substr(0, question));
    rest = question == std::string_view::npos ? std::string_view() : rest.substr(question + 1);
    while (!rest.empty()) {
        const std::string_view option = rest.substr(0, rest.find('&'));
        rest.remove_prefix(std::min(rest.size(), option.size() + 1));
        const size_t equals = option.find('=');
        if (equals == std::string_view::npos || equals == 0)
            return fail(fmt::format("'{}': an option is NAME=VALUE", option));
        const std::string_view key = option.substr(0, equals), value = option.substr(equals + 1);
        if (key == "track") {
            out.track = value;
        } else {
            out.yaml += fmt::format(", {}: {}", key, value);
        }
    }
    out.yaml += "}";
    return out;
}

}  // namespace penstock::cli
