#pragma once
// Which cores the process may use, and who runs where.
#include <optional>
#include <vector>

#include "base/result.hpp"

namespace penstock {

struct Cores {
    unsigned control = 0;
    std::vector<unsigned> workers;
};

// The cores of this process's cpuset, ascending.
std::vector<unsigned> allowed_cores();

// `wanted`: the configuration's list; absent: all of `allowed` but the first, which is control's. With one core only,
// control and the worker share it.
Result<Cores> choose_cores(const std::optional<std::vector<unsigned>>& wanted, const std::vector<unsigned>& allowed);

}  // namespace penstock
