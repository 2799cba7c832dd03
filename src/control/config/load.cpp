#include "control/config/load.hpp"

#include <fmt/format.h>

#include <utility>

#include "control/config/check.hpp"
#include "control/config/settings.hpp"

namespace penstock::config {

std::expected<Config, std::vector<Problem>> load(std::string_view yaml, const Environment& environment,
                                                 std::string_view node) {
    static constexpr std::string_view kSections[] = {"node",    "log",   "workers", "memory",
                                                     "metrics", "media", "ports",   "streams"};
    const auto document = Document::parse(yaml);
    if (!document) return std::unexpected(std::vector{document.error()});

    Problems problems;
    const Map sections{Value{document->root(), environment, problems}, kSections};
    Config config;
    config.node = read_node(sections["node"], node);
    config.log = read_log(sections["log"]);
    config.workers = read_workers(sections["workers"]);
    config.memory = read_memory(sections["memory"]);
    config.metrics = read_metrics(sections["metrics"]);
    config.media = read_media(sections["media"]);
    config.ports = read_ports(sections["ports"]);
    config.streams = read_streams(sections["streams"], config.ports);
    check(config, problems);
    if (!problems.empty()) return std::unexpected(std::move(problems).sorted());
    return config;
}

std::string format(std::string_view file, const std::vector<Problem>& problems) {
    std::string lines;
    for (const auto& [at, text] : problems) lines += fmt::format("{}:{}:{}: {}\n", file, at.line, at.column, text);
    return lines;
}

}  // namespace penstock::config
