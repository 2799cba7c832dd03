#pragma once
// add and del of one track, source or output: a stream as it is and a command become the stream as it shall be. Pure;
// whether that goes together with the other streams, the model judges.
#include <string>
#include <vector>

#include "base/result.hpp"
#include "control/cli/command.hpp"
#include "control/config/load.hpp"

namespace penstock::cli {

struct Edit {
    config::Stream stream;
    std::string what;  // "output 10.0.1.20:6000 added"
};
// The command's arguments: the stream's name, and what to add or delete.
Result<Edit> edit(const config::Stream& stream, const Command& command, const std::vector<config::Port>& ports);

// What `del` can name in this stream: placeholder SOURCE, OUTPUT or TRACK.
std::vector<std::string> deletable(const config::Stream& stream, std::string_view placeholder);

// All of them on one line.
std::string text_of(const std::vector<config::Problem>& problems, bool with_columns);

}  // namespace penstock::cli
