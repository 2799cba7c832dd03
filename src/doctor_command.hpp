#pragma once
// `penstock doctor`, and the same look at the machine before `penstock run` opens anything.
#include <string>
#include <vector>

#include "control/config/config.hpp"
#include "doctor/finding.hpp"

namespace penstock {

// Reads the machine and judges it.
std::vector<doctor::Finding> examine(const config::Config& config);
std::vector<doctor::Finding> examine_in_general();

// Prints the findings; whether `run` would start. `path` names the configuration; empty: there is none.
bool print_findings(const std::vector<doctor::Finding>& findings, const std::string& path, bool json);

}  // namespace penstock
