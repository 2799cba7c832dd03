#pragma once
// The commands that an operator can give, as data: parsing, help and completion all read the one list. Pure.
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace penstock::cli {

enum class Action : uint8_t {
    help,
    show_port_info,
    show_port_stats,
    show_port_xstats,
    clear_port_stats,
    show_config,
    show_worker,
    show_streams,
    show_stream,
    show_stream_path,
    show_stream_repair,
    show_stream_sdp,
    show_drops,
    show_capture,
    show_rtsp_sessions,
    show_rtsp_sources,
    add_stream,
    add_track,
    add_source,
    add_output,
    del_output,
    del_source,
    del_track,
    del_stream,
    capture_stream,
    capture_drops,
    capture_stop,
    start,
    stop,
    reload,
    quit,
};

struct Command {
    Action action{};
    std::vector<std::string> arguments;  // what stands for the words in capitals, in order
};

// A line such as "show stream camera-1 path". The error says what was expected where it stopped making sense.
Result<Command> parse(std::string_view line);

// What could stand at the end of an unfinished line: whole words that begin as its last one does. `names` lists what a
// word in capitals (STREAM, PORT) may be just now; `arguments` are those that stand before it.
using Names = std::function<std::vector<std::string>(std::string_view word, std::span<const std::string> arguments)>;
std::vector<std::string> complete(std::string_view line, const Names& names);

// All commands with what they do, or those that begin with `words`.
std::string help(std::string_view words = {});

}  // namespace penstock::cli
