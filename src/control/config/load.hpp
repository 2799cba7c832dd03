#pragma once
// YAML to Config. Pure: the text, its name and the environment are arguments. Every error of the file is reported, not
// the first only.
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "control/config/config.hpp"

namespace penstock::config {

// One thing that is wrong: what, and what is allowed instead.
struct Problem {
    Mark at;
    std::string text;
};

// Looks an environment variable up; nothing when it is not set.
using Environment = std::function<std::optional<std::string>(std::string_view name)>;

// Reads a file that the configuration names, for what shall not stand in it.
using Files = std::function<Result<std::string>(const std::string& path)>;

// `node` is used where the file does not name the node.
std::expected<Config, std::vector<Problem>> load(std::string_view yaml, const Environment& environment,
                                                 std::string_view node, const Files& files = {});

// Parts, as they may be given to a running forwarder: `yaml` is what stands after a stream's name in the file
// ("{tracks: [...]}"), or an entry of `tracks`, `sources` or `outputs` ("{rtp: 10.0.1.20:6000, ttl: 16}"). What
// concerns several streams is not checked here, nor what concerns several entries, but for load_stream.
template <class Part>
using Loaded = std::expected<Part, std::vector<Problem>>;
Loaded<Stream> load_stream(std::string_view name, std::string_view yaml, const std::vector<Port>& ports);
Loaded<Track> load_track(std::string_view yaml, const std::vector<Port>& ports);
Loaded<Source> load_source(std::string_view yaml, const std::vector<Port>& ports);
Loaded<Output> load_output(std::string_view yaml, const std::vector<Port>& ports);

// What is wrong with a stream that was put together from parts; nothing of it stands anywhere.
std::vector<Problem> check_alone(Stream stream, const std::vector<Port>& ports);

// "FILE:LINE:COLUMN: text", one line a problem.
std::string format(std::string_view file, const std::vector<Problem>& problems);

}  // namespace penstock::config
