#include "control/cli/reloaded.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "control/cli/report.hpp"

namespace penstock::cli {
namespace {

std::string json_array(const std::vector<std::string>& words) {
    std::vector<std::string> quoted(words.size());
    std::ranges::transform(words, quoted.begin(), json_string);
    return fmt::format("[{}]", fmt::join(quoted, ","));
}

}  // namespace

std::string Reloaded::text() const {
    std::string out;
    for (const std::string& section : at_next_start)
        out += fmt::format("{}: changed in the file, takes effect at the next start\n", section);
    for (const std::string& section : taken_over) out += fmt::format("{}: changed\n", section);
    if (!certificate.empty()) out += fmt::format("certificate: {}, for those who connect from now on\n", certificate);
    if (!streams.added.empty()) out += fmt::format("added: {}\n", fmt::join(streams.added, ", "));
    if (!streams.removed.empty()) out += fmt::format("removed: {}\n", fmt::join(streams.removed, ", "));
    for (const auto& [stream, how] : streams.touched)
        out += fmt::format("touched: {}: {}\n", stream, fmt::join(how, ", "));
    return out.empty() ? "nothing differs from the file\n" : out;
}

std::string Reloaded::json() const {
    std::vector<std::string> touched;
    for (const auto& [stream, how] : streams.touched)
        touched.push_back(fmt::format("{{\"stream\":{},\"changes\":{}}}", json_string(stream), json_array(how)));
    return fmt::format(
        "{{\"done\":{},\"added\":{},\"removed\":{},\"touched\":[{}],\"at_next_start\":{},\"taken_over\":{}}}\n",
        json_string(text()), json_array(streams.added), json_array(streams.removed), fmt::join(touched, ","),
        json_array(at_next_start), json_array(taken_over));
}

}  // namespace penstock::cli
