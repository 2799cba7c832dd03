#include "control/cli/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace penstock::cli {
namespace {

struct ToText {
    std::string operator()(std::monostate) const { return "-"; }
    std::string operator()(const std::string& s) const { return s.empty() ? "-" : s; }
    std::string operator()(uint64_t n) const { return fmt::format("{}", n); }
    std::string operator()(double d) const { return fmt::format("{:.3f}", d); }
    std::string operator()(bool b) const { return b ? "yes" : "no"; }
};

struct ToJson {
    std::string operator()(std::monostate) const { return "null"; }
    std::string operator()(const std::string& s) const { return json_string(s); }
    std::string operator()(uint64_t n) const { return fmt::format("{}", n); }
    std::string operator()(double d) const { return std::isfinite(d) ? fmt::format("{}", d) : "null"; }
    std::string operator()(bool b) const { return b ? "true" : "false"; }
};

bool is_number(const Cell& cell) {
    return std::holds_alternative<uint64_t>(cell) || std::holds_alternative<double>(cell);
}

std::string table(const Section& section) {
    std::vector<size_t> shown, width;
    std::vector<bool> right;
    for (size_t c = 0; c < section.columns.size(); c++) {
        const std::string& header = section.columns[c].header;
        if (header.empty()) continue;
        size_t widest = header.size();
        bool numbers = !section.rows.empty();
        for (const auto& row : section.rows) {
            widest = std::max(widest, std::visit(ToText{}, row[c]).size());
            numbers = numbers && (is_number(row[c]) || std::holds_alternative<std::monostate>(row[c]));
        }
        shown.push_back(c);
        width.push_back(widest);
        right.push_back(numbers);
    }
    std::string out;
    const auto line = [&](auto cell_text) {
        std::string text;
        for (size_t i = 0; i < shown.size(); i++) {
            if (i != 0) text += "  ";
            text += right[i] ? fmt::format("{:>{}}", cell_text(shown[i]), width[i])
                             : fmt::format("{:<{}}", cell_text(shown[i]), width[i]);
        }
        text.erase(text.find_last_not_of(' ') + 1);
        out += text + '\n';
    };
    if (!section.title.empty()) out += section.title + '\n';
    line([&](size_t c) { return section.columns[c].header; });
    for (const auto& row : section.rows) line([&](size_t c) { return std::visit(ToText{}, row[c]); });
    if (section.rows.empty()) out += "(none)\n";
    return out;
}

}  // namespace

std::string json_string(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        switch (c) {
            case '"': out += "\\\""; break;
            case '\\': out += "\\\\"; break;
            case '\n': out += "\\n"; break;
            case '\t': out += "\\t"; break;
            default:
                if (static_cast<unsigned char>(c) < 0x20) {
                    out += fmt::format("\\u{:04x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
                } else {
                    out += c;
                }
        }
    }
    return out += '"';
}

std::string Report::text() const {
    std::string out;
    for (const Section& section : sections) {
        if (!out.empty()) out += '\n';
        out += table(section);
    }
    return out;
}

std::string Report::json() const {
    std::string out = "{";
    for (const Section& section : sections) {
        if (out.size() > 1) out += ',';
        out += json_string(section.key) + ":[";
        for (size_t r = 0; r < section.rows.size(); r++) {
            out += r == 0 ? "{" : ",{";
            for (size_t c = 0; c < section.columns.size(); c++) {
                if (c != 0) out += ',';
                out += json_string(section.columns[c].key) + ':' + std::visit(ToJson{}, section.rows[r][c]);
            }
            out += '}';
        }
        out += ']';
    }
    return out += "}\n";
}

}  // namespace penstock::cli
