#include "cores.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sched.h>

#include <algorithm>

namespace penstock {

std::vector<unsigned> allowed_cores() {
    cpu_set_t set;
    std::vector<unsigned> cores;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return {0};
    for (unsigned core = 0; core < CPU_SETSIZE; core++)
        if (CPU_ISSET(core, &set)) cores.push_back(core);
    return cores;
}

Result<Cores> choose_cores(const std::optional<std::vector<unsigned>>& wanted, const std::vector<unsigned>& allowed) {
    if (!wanted) {
        if (allowed.size() == 1) return Cores{allowed[0], {allowed[0]}};
        return Cores{allowed[0], {allowed.begin() + 1, allowed.end()}};
    }
    for (const unsigned core : *wanted)
        if (std::ranges::find(allowed, core) == allowed.end())
            return fail(fmt::format("workers.cores: core {} is not in this process's cpuset ({})", core,
                                    fmt::join(allowed, ", ")));
    Cores cores{allowed[0], *wanted};
    for (const unsigned core : allowed)  // control shares a core only when it must
        if (std::ranges::find(*wanted, core) == wanted->end()) {
            cores.control = core;
            break;
        }
    return cores;
}

}  // namespace penstock
