#include "expect.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "words.hpp"

namespace penstock::gen {
namespace {

constexpr std::array<std::string_view, 6> kCompare{"==", "!=", "<=", ">=", "<", ">"};

}  // namespace

bool Expectation::holds(double value) const {
    if (compare == "==") return value == limit;
    if (compare == "!=") return value != limit;
    if (compare == "<=") return value <= limit;
    if (compare == ">=") return value >= limit;
    return compare == "<" ? value < limit : value > limit;
}

Result<std::vector<Expectation>> parse_expectations(std::string_view text) {
    std::vector<Expectation> all;
    for (size_t line = 1; !text.empty(); line++) {
        const size_t end = std::min(text.find('\n'), text.size());
        auto words = split(text.substr(0, std::min(end, text.find('#'))), " \t\r");
        text.remove_prefix(std::min(end + 1, text.size()));
        if (words.empty()) continue;
        Expectation one;
        one.advice = words.size() == 4 && words[1] == "advice";
        if (one.advice) words.erase(words.begin() + 1);
        const auto limit = words.size() == 3 ? number<double>(words[2]) : std::nullopt;
        if (!limit || !words[0].ends_with(':') || std::ranges::find(kCompare, words[1]) == kCompare.end())
            return fail(fmt::format("{}: a line is `NAME: OP NUMBER` or `NAME: advice OP NUMBER`, OP one of {}", line,
                                    fmt::join(kCompare, " ")));
        one.name = words[0].substr(0, words[0].size() - 1);
        one.compare = words[1];
        one.limit = *limit;
        all.push_back(std::move(one));
    }
    return all;
}

Verdict judge(const std::vector<Expectation>& expectations, const std::vector<Finding>& findings) {
    Verdict verdict;
    for (const Expectation& wanted : expectations) {
        if (wanted.name.contains('.')) continue;
        const auto value = find(findings, wanted.name);
        const bool held = value && wanted.holds(*value);
        verdict.met &= held || wanted.advice;
        verdict.table += fmt::format("{:24} {:>4} {:<12g} {:>14} {}\n", wanted.name, wanted.compare, wanted.limit,
                                     value ? fmt::format("{:.6g}", *value) : "not measured",
                                     held            ? "ok"
                                     : wanted.advice ? "not as advised"
                                                     : "NOT MET");
    }
    return verdict;
}

}  // namespace penstock::gen
