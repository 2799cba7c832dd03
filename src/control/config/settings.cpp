#include "control/config/settings.hpp"

#include <algorithm>

namespace penstock::config {
namespace {

constexpr unsigned kMaxCore = 1023;  // CPU_SETSIZE - 1

// "4" or "2-5".
std::optional<Range> core_range(std::string_view text) {
    auto cores = range(text);
    if (const auto one = decimal(text)) cores = Range{*one, *one};
    if (!cores || cores->last > kMaxCore) return std::nullopt;
    return cores;
}

// "2-5,7".
std::optional<std::vector<Range>> core_ranges(std::string_view text) {
    std::vector<Range> all;
    for (std::optional<std::string_view> rest = text; rest;) {
        const auto [part, after] = split(*rest, ',');
        const auto cores = core_range(part);
        if (!cores) return std::nullopt;
        all.push_back(*cores);
        rest = after;
    }
    return all;
}

void add_cores(const Value& value, std::vector<unsigned>& cores) {
    const auto ranges = value.parsed("core numbers from 0 to 1023 such as 2, 2-5 or 2-5,7", core_ranges);
    for (const Range& range : ranges.value_or(std::vector<Range>{}))
        for (auto core = static_cast<unsigned>(range.first); core <= range.last; core++) {
            if (std::ranges::find(cores, core) != cores.end()) {
                value.problem("core " + std::to_string(core) + " is named twice: one worker runs on a core");
                return;
            }
            cores.push_back(core);
        }
}

std::optional<std::vector<unsigned>> read_cores(const Value& value) {
    std::vector<unsigned> cores;
    if (value.is(Kind::list)) {
        if (value.each([&](const Value& entry) { add_cores(entry, cores); }) == 0)
            value.problem("an empty list: name a core, or write auto");
        return cores;
    }
    const auto text = value.text();
    if (!text || *text == "auto") return std::nullopt;
    add_cores(value, cores);
    return cores;
}

}  // namespace

std::optional<std::string> read_name(const Value& value) {
    return value.parsed(kNameAllowed, [](std::string_view text) {
        return is_plain_name(text, kLongestName) ? std::optional{std::string{text}} : std::nullopt;
    });
}

std::string read_path(const Value& value, size_t longest) {
    return value
        .parsed(fmt::format("a path of 1-{} characters", longest),
                [&](std::string_view text) {
                    return text.empty() || text.size() > longest ? std::nullopt : std::optional{std::string{text}};
                })
        .value_or("");
}

std::string read_node(const Value& value, std::string_view otherwise) {
    // A host name is at most 253 characters (RFC 1035 section 2.3.4).
    const auto name = value.parsed("1-253 characters of A-Z a-z 0-9 . _ -", [](std::string_view text) {
        return is_plain_name(text, 253) ? std::optional{std::string{text}} : std::nullopt;
    });
    return name.value_or(std::string{otherwise});
}

LogSettings read_log(const Value& value) {
    static constexpr std::string_view kKeys[] = {"level", "format"};
    static constexpr Name<Level> kLevels[] = {
        {"debug", Level::debug}, {"info", Level::info}, {"warning", Level::warning}, {"error", Level::error}};
    static constexpr Name<LogFormat> kFormats[] = {{"text", LogFormat::text}, {"json", LogFormat::json}};
    LogSettings log;
    const Map map{value, kKeys};
    log.level = map["level"].one_of<Level>(kLevels).value_or(log.level);
    log.format = map["format"].one_of<LogFormat>(kFormats).value_or(log.format);
    return log;
}

Workers read_workers(const Value& value) {
    static constexpr std::string_view kKeys[] = {"cores", "idle"};
    static constexpr Name<Idle> kIdle[] = {{"poll", Idle::poll}, {"sleep", Idle::sleep}};
    Workers workers;
    const Map map{value, kKeys};
    workers.cores = read_cores(map["cores"]);
    workers.idle = map["idle"].one_of<Idle>(kIdle).value_or(workers.idle);
    return workers;
}

Memory read_memory(const Value& value) {
    static constexpr std::string_view kKeys[] = {"hugepages", "mbufs"};
    // YAML 1.1 takes on, yes and true for one word, and tools that rewrite YAML exchange them.
    static constexpr Name<Hugepages> kHugepages[] = {
        {"auto", Hugepages::automatic}, {"true", Hugepages::on}, {"on", Hugepages::on}, {"yes", Hugepages::on},
        {"false", Hugepages::off},      {"off", Hugepages::off}, {"no", Hugepages::off}};
    Memory memory;
    const Map map{value, kKeys};
    memory.hugepages = map["hugepages"].one_of<Hugepages>(kHugepages).value_or(memory.hugepages);
    memory.mbufs = map["mbufs"].number<unsigned>(Memory::kLeast, Memory::kMost);
    return memory;
}

Control read_control(const Value& value) {
    static constexpr std::string_view kKeys[] = {"socket"};
    Control control;
    const Map map{value, kKeys};
    const auto path = map["socket"].parsed("a path of 1-107 characters", [](std::string_view text) {
        return text.empty() || text.size() > 107 ? std::nullopt : std::optional{std::string{text}};
    });
    control.socket = path.value_or(control.socket);
    return control;
}

Metrics read_metrics(const Value& value) {
    static constexpr std::string_view kKeys[] = {"listen"};
    Metrics metrics;
    const Map map{value, kKeys};
    const auto listen = map["listen"].parsed("ADDRESS:PORT such as 127.0.0.1:9464 or [::]:9464, or off",
                                             [](std::string_view text) -> std::optional<std::optional<Endpoint>> {
                                                 if (text == "off" || text == "false" || text == "no")
                                                     return std::optional<Endpoint>{};
                                                 if (const auto endpoint = Endpoint::parse(text);
                                                     endpoint && !endpoint->ip.is_multicast())
                                                     return endpoint;
                                                 return std::nullopt;
                                             });
    metrics.listen = listen.value_or(metrics.listen);
    return metrics;
}

Media read_media(const Value& value) {
    static constexpr std::string_view kKeys[] = {"ports"};
    Media media;
    const Map map{value, kKeys};
    const auto ports = map["ports"].parsed("FIRST-LAST such as 20000-29999, from 1 to 65535, two ports at least",
                                           [](std::string_view text) {
                                               auto r = range(text);
                                               // A session takes two: RTP and RTCP.
                                               if (r && (r->first == 0 || r->last > 65535 || r->first == r->last))
                                                   r.reset();
                                               return r;
                                           });
    if (ports) {
        media.first_port = static_cast<uint16_t>(ports->first);
        media.last_port = static_cast<uint16_t>(ports->last);
    }
    return media;
}

}  // namespace penstock::config
