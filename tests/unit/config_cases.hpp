#pragma once
// Tables of configurations: what is right, and what is said about what is wrong.
#include <catch2/catch.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "control/config/load.hpp"

namespace penstock::config {

inline std::optional<std::string> environment(std::string_view name) {
    static const std::map<std::string, std::string, std::less<>> kVariables = {
        {"NIC", "0000:3B:02.1"}, {"LEVEL", "debug"}, {"EMPTY", ""}, {"PENSTOCK_RUN", "/run/penstock"}};
    const auto found = kVariables.find(name);
    return found == kVariables.end() ? std::nullopt : std::optional{found->second};
}

inline Config right(const std::string& yaml) {
    auto config = load(yaml, environment, "host", [](const std::string&) -> Result<std::string> { return "word\n"; });
    INFO(yaml << '\n' << (config ? "" : format("file", config.error())));
    REQUIRE(config.has_value());
    return *config;
}

struct Wrong {
    int line;
    int column;
    std::string says;
};

inline void expect(const std::string& yaml, const std::vector<Wrong>& wrong) {
    const auto config = load(yaml, environment, "host");
    INFO(yaml << '\n' << (config ? "" : format("file", config.error())));
    REQUIRE_FALSE(config.has_value());
    REQUIRE(config.error().size() == wrong.size());
    for (size_t i = 0; i < wrong.size(); i++) {
        const Problem& problem = config.error()[i];
        INFO("expected " << wrong[i].line << ':' << wrong[i].column << ' ' << wrong[i].says);
        CHECK(problem.at.line == wrong[i].line);
        CHECK(problem.at.column == wrong[i].column);
        CHECK_THAT(problem.text, Catch::Contains(wrong[i].says));
    }
}

struct Case {
    std::string yaml;
    std::vector<Wrong> wrong;
};

inline void expect(const std::vector<Case>& cases) {
    for (const Case& c : cases) expect(c.yaml, c.wrong);
}

}  // namespace penstock::config
