#pragma once
// What is wrong between settings that are right by themselves. Linear in the size of the configuration.
#include "control/config/config.hpp"
#include "control/config/value.hpp"

namespace penstock::config {

void check(const Config& config, Problems& problems);

}  // namespace penstock::config
