#pragma once
// One reader per section of the file. Each reports what is wrong and returns what is right, defaults elsewhere.
#include <string>
#include <string_view>
#include <vector>

#include "control/config/config.hpp"
#include "control/config/value.hpp"
#include "control/config/words.hpp"

namespace penstock::config {

std::string read_node(const Value& value, std::string_view otherwise);
LogSettings read_log(const Value& value);
Workers read_workers(const Value& value);
Memory read_memory(const Value& value);
Control read_control(const Value& value);
Metrics read_metrics(const Value& value);
Media read_media(const Value& value);
// `ports` is what `port:` may name.
Rtsp read_rtsp(const Value& value, const std::vector<Port>& ports, const Files& files);
Access read_access(const Map& rtsp, const Files& files);
Pull read_pull(const Value& value);  // of a stream
std::vector<Port> read_ports(const Value& value);
std::vector<Stream> read_streams(const Value& value, const std::vector<Port>& ports);
Stream read_stream(const Value& value, std::string_view name,
                   const std::vector<Port>& ports);  // an entry without its name
Track read_track(const Value& value, const std::vector<Port>& ports);
Source read_source(const Value& value, const std::vector<Port>& ports);
Output read_output(const Value& value, const std::vector<Port>& ports);

// The name of a port or stream.
std::optional<std::string> read_name(const Value& value);
std::string read_path(const Value& value, size_t longest);  // of a file, not looked at; empty: it is absent
inline constexpr size_t kLongestPath = 4095;                // of any file

}  // namespace penstock::config
