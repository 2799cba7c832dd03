#pragma once
// What a run must come to: lines "NAME: OP NUMBER", which are YAML too. OP is one of == != <= >= < >. What begins with
// "advice" is shown beside the figure and judges nothing: a machine's latency is nobody's fault. Names with a dot are
// of others (node.rx_missed) and are not looked at here.
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "findings.hpp"

namespace penstock::gen {

struct Expectation {
    std::string name, compare;
    double limit = 0;
    bool advice = false;
    bool operator==(const Expectation&) const = default;

    bool holds(double value) const;
};

Result<std::vector<Expectation>> parse_expectations(std::string_view text);

struct Verdict {
    bool met = true;
    std::string table;
};
// A name that is not among the findings is not met.
Verdict judge(const std::vector<Expectation>& expectations, const std::vector<Finding>& findings);

}  // namespace penstock::gen
