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

std::vector<std::string_view> words_of(std::string_view text) {
    std::vector<std::string_view> words;
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find(' ', at), text.size());
        if (end != at) words.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return words;
}

struct Shown {  // a column of the table
    size_t cell;
    size_t width;         // characters
    size_t longest_word;  // it can be made as narrow as this
    bool right;           // numbers
};

std::vector<Shown> shown_of(const Section& section) {
    std::vector<Shown> all;
    for (size_t c = 0; c < section.columns.size(); c++) {
        const std::string& header = section.columns[c].header;
        if (header.empty()) continue;
        Shown column{c, header.size(), header.size(), !section.rows.empty()};
        for (const auto& row : section.rows) {
            const std::string text = std::visit(ToText{}, row[c]);
            column.width = std::max(column.width, text.size());
            for (const std::string_view word : words_of(text))
                column.longest_word = std::max(column.longest_word, word.size());
            column.right = column.right && (is_number(row[c]) || std::holds_alternative<std::monostate>(row[c]));
        }
        all.push_back(column);
    }
    return all;
}

size_t width_of(const std::vector<Shown>& columns) {
    size_t total = 0;
    for (const Shown& column : columns) total += column.width + 2;
    return total;
}

// Of columns that say nothing of any row too wide a table needs none.
void leave_out_silent(std::vector<Shown>& columns, const Section& section) {
    if (width_of(columns) <= kScreen + 2 || section.rows.empty()) return;
    std::erase_if(columns, [&](const Shown& column) {
        return std::ranges::all_of(section.rows,
                                   [&](const auto& row) { return std::visit(ToText{}, row[column.cell]) == "-"; });
    });
}

bool can_fit(const std::vector<Shown>& columns) {
    size_t least = 0;
    for (const Shown& column : columns) least += column.longest_word + 2;
    return least <= kScreen + 2;
}

// Gives up width where most of it can be spared.
void fit(std::vector<Shown>& columns) {
    for (size_t total = width_of(columns); total > kScreen + 2; total--) {
        const auto spare = [](const Shown& column) { return column.width - column.longest_word; };
        const auto most = std::ranges::max_element(columns, {}, spare);
        if (most == columns.end() || spare(*most) == 0) return;
        most->width--;
    }
}

// What is too wide even so is continued below, behind its first columns once more.
std::vector<std::vector<Shown>> blocks_of(const std::vector<Shown>& columns) {
    if (can_fit(columns)) return {columns};
    constexpr size_t kNaming = 2;
    std::vector<std::vector<Shown>> blocks{{}};
    for (const Shown& column : columns) {
        if (blocks.back().size() > kNaming && width_of(blocks.back()) + column.width > kScreen)
            blocks.emplace_back(columns.begin(), columns.begin() + kNaming);
        blocks.back().push_back(column);
    }
    return blocks;
}

void print(std::string& out, const Section& section, const std::vector<Shown>& columns) {
    const auto line = [&](auto cell_text) {
        std::vector<std::vector<std::string>> cells;
        size_t height = 1;
        for (const Shown& column : columns) {
            cells.push_back(wrapped(cell_text(column.cell), column.width));
            height = std::max(height, cells.back().size());
        }
        for (size_t h = 0; h < height; h++) {
            std::string text;
            for (size_t i = 0; i < columns.size(); i++) {
                const std::string part = h < cells[i].size() ? cells[i][h] : "";
                if (i != 0) text += "  ";
                text += columns[i].right ? fmt::format("{:>{}}", part, columns[i].width)
                                         : fmt::format("{:<{}}", part, columns[i].width);
            }
            text.erase(text.find_last_not_of(' ') + 1);
            out += text + '\n';
        }
    };
    line([&](size_t c) { return section.columns[c].header; });
    for (const auto& row : section.rows) line([&](size_t c) { return std::visit(ToText{}, row[c]); });
}

std::string table(const Section& section) {
    std::vector<Shown> columns = shown_of(section);
    leave_out_silent(columns, section);
    std::string out = section.title.empty() ? "" : section.title + '\n';
    for (auto& block : blocks_of(columns)) {
        fit(block);
        print(out, section, block);
    }
    if (section.rows.empty()) out += "(none)\n";
    return out;
}

}  // namespace

std::vector<std::string> wrapped(std::string_view text, size_t width) {
    if (text.size() <= width) return {std::string(text)};
    std::vector<std::string> lines;
    for (const std::string_view word : words_of(text)) {
        if (lines.empty() || lines.back().size() + 1 + word.size() > width) {
            lines.emplace_back(word);
        } else {
            lines.back().append(" ").append(word);
        }
    }
    return lines;
}

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
