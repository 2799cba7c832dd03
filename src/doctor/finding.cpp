#include "doctor/finding.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "control/cli/report.hpp"

namespace penstock::doctor {
namespace {

constexpr size_t kWidth = 100;

std::string subject(const Finding& finding) {
    return finding.of.empty() ? finding.check : fmt::format("{} {}", finding.check, finding.of);
}

// Breaks at spaces; what is behind the first line stands below it.
std::string wrapped(std::string_view text, size_t indent) {
    std::string out;
    size_t column = indent;
    while (!text.empty()) {
        const size_t end = std::min(text.find(' '), text.size());
        if (column > indent && column + 1 + end > kWidth) {
            out += '\n' + std::string(indent, ' ');
            column = indent;
        } else if (column > indent) {
            out += ' ';
            column++;
        }
        out += text.substr(0, end);
        column += end;
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return out;
}

cli::Cell or_null(const std::string& text) { return text.empty() ? cli::Cell{} : cli::Cell{text}; }

}  // namespace

std::string_view word(Status status) {
    switch (status) {
        case Status::met: return "met";
        case Status::degraded: return "degraded";
        case Status::missing: return "missing";
    }
    return "";
}

bool would_start(const std::vector<Finding>& findings) {
    return std::ranges::find(findings, Status::missing, &Finding::status) == findings.end();
}

std::string sentence(const Finding& finding) {
    return fmt::format("{}: {}: {}; {}; mend it: {}", word(finding.status), subject(finding), finding.found,
                       finding.why, finding.mend);
}

std::string as_text(const std::vector<Finding>& findings, std::string_view configuration) {
    size_t longest = 0;
    for (const Finding& finding : findings) longest = std::max(longest, subject(finding).size());
    const size_t indent = 10 + std::min<size_t>(longest, 28) + 2;
    std::string out;
    const auto below = [&](std::string_view label, std::string_view text) {
        out += fmt::format("{:{}}{}{}\n", "", indent, label, wrapped(text, indent + label.size()));
    };
    for (const Finding& finding : findings) {
        out += fmt::format("{:<10}{:<{}}", word(finding.status), subject(finding) + "  ", indent - 10);
        out += wrapped(finding.found, indent) + '\n';
        if (!finding.why.empty()) below("why:  ", finding.why);
        if (!finding.mend.empty()) below("mend: ", finding.mend);
    }
    if (configuration.empty()) {
        out += "\nno configuration: this is what each driver would find here\n";
    } else if (would_start(findings)) {
        out += fmt::format("\n`penstock run -c {}` would start\n", configuration);
    } else {
        out += fmt::format("\n`penstock run -c {}` would not start: {} missing\n", configuration,
                           std::ranges::count(findings, Status::missing, &Finding::status));
    }
    return out;
}

std::string as_json(const std::vector<Finding>& findings, std::string_view configuration) {
    cli::Report report;
    report.sections.push_back({"verdict", "", {{"configuration", ""}, {"would_start", ""}}, {}});
    report.sections.back().rows.push_back({or_null(std::string{configuration}), would_start(findings)});
    report.sections.push_back(
        {"findings", "", {{"check", ""}, {"of", ""}, {"status", ""}, {"found", ""}, {"why", ""}, {"mend", ""}}, {}});
    for (const Finding& f : findings)
        report.sections.back().rows.push_back(
            {f.check, or_null(f.of), std::string{word(f.status)}, f.found, or_null(f.why), or_null(f.mend)});
    return report.json();
}

}  // namespace penstock::doctor
