#pragma once
// What is measured of streams fetched from cameras, in the Prometheus text format. Pure.
#include <span>
#include <string>

#include "control/rtsp/pull.hpp"

namespace penstock::metrics {

struct PullOf {
    std::string stream;
    const rtsp::PullFacts& facts;
    size_t unmet = 0;  // entries of its `tracks` that do nothing
};

std::string render(std::span<const PullOf> pulls);  // nothing when there are none

}  // namespace penstock::metrics
