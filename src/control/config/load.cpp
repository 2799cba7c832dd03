#include "control/config/load.hpp"

#include <fmt/format.h>

#include <utility>

#include "control/config/check.hpp"
#include "control/config/settings.hpp"

namespace penstock::config {

std::expected<Config, std::vector<Problem>> load(std::string_view yaml, const Environment& environment,
                                                 std::string_view node, const Files& files) {
    static constexpr std::string_view kSections[] = {"node",    "log",   "workers", "memory", "control",
                                                     "metrics", "media", "rtsp",    "ports",  "streams"};
    const auto document = Document::parse(yaml);
    if (!document) return std::unexpected(std::vector{document.error()});

    Problems problems;
    const Map sections{Value{document->root(), environment, problems}, kSections};
    Config config;
    config.node = read_node(sections["node"], node);
    config.log = read_log(sections["log"]);
    config.workers = read_workers(sections["workers"]);
    config.memory = read_memory(sections["memory"]);
    config.control = read_control(sections["control"]);
    config.metrics = read_metrics(sections["metrics"]);
    config.media = read_media(sections["media"]);
    config.ports = read_ports(sections["ports"]);
    config.rtsp = read_rtsp(sections["rtsp"], config.ports, files);
    config.streams = read_streams(sections["streams"], config.ports);
    check(config, problems);
    if (!problems.empty()) return std::unexpected(std::move(problems).sorted());
    return config;
}

namespace {

// The environment is the operator's own, not ours: ${NAME} stands for nothing here.
const Environment kNoEnvironment = [](std::string_view) { return std::nullopt; };

template <class Read>
auto load_part(std::string_view yaml, Read read) -> Loaded<decltype(read(std::declval<const Value&>()))> {
    const auto document = Document::parse(yaml);
    if (!document) return std::unexpected(std::vector{document.error()});
    Problems problems;
    auto part = read(Value{document->root(), kNoEnvironment, problems});
    if (!problems.empty()) return std::unexpected(std::move(problems).sorted());
    return part;
}

std::vector<Problem> check(const Stream& stream, const std::vector<Port>& ports) {
    Config alone;
    alone.ports = ports;
    alone.streams = {stream};
    Problems problems;
    check(alone, problems);
    return problems.empty() ? std::vector<Problem>() : std::move(problems).sorted();
}

}  // namespace

Loaded<Stream> load_stream(std::string_view name, std::string_view yaml, const std::vector<Port>& ports) {
    auto stream = load_part(yaml, [&](const Value& value) { return read_stream(value, name, ports); });
    if (!stream) return stream;
    if (auto problems = check(*stream, ports); !problems.empty()) return std::unexpected(std::move(problems));
    return stream;
}

Loaded<Track> load_track(std::string_view yaml, const std::vector<Port>& ports) {
    return load_part(yaml, [&](const Value& value) { return read_track(value, ports); });
}
Loaded<Source> load_source(std::string_view yaml, const std::vector<Port>& ports) {
    return load_part(yaml, [&](const Value& value) { return read_source(value, ports); });
}
Loaded<Output> load_output(std::string_view yaml, const std::vector<Port>& ports) {
    return load_part(yaml, [&](const Value& value) { return read_output(value, ports); });
}

std::vector<Problem> check_alone(Stream stream, const std::vector<Port>& ports) {
    stream.at = {};
    for (Track& track : stream.tracks) {
        track.at = {};
        for (Source& source : track.sources) source.at = {};
        for (Output& output : track.outputs) output.at = {};
    }
    return check(stream, ports);
}

std::string format(std::string_view file, const std::vector<Problem>& problems) {
    std::string lines;
    for (const auto& [at, text] : problems) lines += fmt::format("{}:{}:{}: {}\n", file, at.line, at.column, text);
    return lines;
}

}  // namespace penstock::config
