#pragma once
// What a show command answers, once as data: printed as tables for people and as JSON for machines. Pure.
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace penstock::cli {

using Cell = std::variant<std::monostate, std::string, uint64_t, double, bool>;  // monostate: not known, JSON null

struct Column {
    std::string key;     // in JSON: snake_case, documented in docs/cli.md
    std::string header;  // in the table; empty: not shown there
};

// Rows of one kind. In JSON an array of objects under `key`; in text a table under `title`.
struct Section {
    std::string key;
    std::string title;
    std::vector<Column> columns;
    std::vector<std::vector<Cell>> rows;  // a cell a column
};

struct Report {
    std::vector<Section> sections;

    std::string text() const;  // tables, numbers to the right
    std::string json() const;  // one object, one line, ends with a newline
};

constexpr size_t kScreen = 100;  // columns of a terminal, which what is printed keeps to where its words let it

// Lines of at most `width` characters; a longer word stays whole.
std::vector<std::string> wrapped(std::string_view text, size_t width);

std::string json_string(std::string_view text);  // quoted and escaped (RFC 8259 section 7)

}  // namespace penstock::cli
