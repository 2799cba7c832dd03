#pragma once
// What a reload came to, as it is told: text for people, an object for machines (docs/cli.md). Pure.
#include <string>
#include <vector>

#include "control/mesh/mesh.hpp"

namespace penstock::cli {

struct Reloaded {
    std::vector<std::string> at_next_start;  // sections of the file that differ and wait
    std::vector<std::string> taken_over;     // sections, or parts of them, that are in force now
    mesh::Mesh::Changes streams;
    std::string certificate;  // of RTSPS, when it is another one now

    std::string text() const;
    std::string json() const;
};

}  // namespace penstock::cli
