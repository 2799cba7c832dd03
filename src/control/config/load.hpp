#pragma once
// YAML to Config. Pure: the text, its name and the environment are arguments. Every error of the file is reported, not the first only.
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/config/config.hpp"

namespace penstock::config {

// One thing that is wrong: what, and what is allowed instead.
struct Problem {
    Mark at;
    std::string text;
};

// Looks an environment variable up; nothing when it is not set.
using Environment = std::function<std::optional<std::string>(std::string_view name)>;

// `node` is used where the file does not name the node.
std::expected<Config, std::vector<Problem>> load(std::string_view yaml, const Environment& environment, std::string_view node);

// "FILE:LINE:COLUMN: text", one line a problem.
std::string format(std::string_view file, const std::vector<Problem>& problems);

}  // namespace penstock::config
