#pragma once
// An output as an operator writes it on one line: rtp://10.0.1.20:6000?track=video&ttl=16&dscp=EF&port=wan. Pure.
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace penstock::cli {

struct OutputUrl {
    std::string track;  // empty: not said
    std::string yaml;   // the rest as an entry of `outputs`, for config::load_output to judge
};

Result<OutputUrl> parse_output_url(std::string_view url);

}  // namespace penstock::cli
