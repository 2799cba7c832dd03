#include "control/capture/options.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <set>
#include <sstream>

#include "base/text.hpp"

namespace penstock::capture {
namespace {

template <class Number>
Result<Number> from_one_to(Number most, std::string_view key, std::string_view text) {
    const auto n = number<Number>(text);
    if (!n || *n == 0 || *n > most)
        return fail(fmt::format("{} '{}': a number from 1 to {} is allowed", key, text, most));
    return *n;
}

}  // namespace

Result<Options> parse_options(std::string_view text) {
    Options options;
    std::set<std::string> seen;
    std::istringstream words{std::string(text)};
    for (std::string key, value; words >> key;) {
        if (!seen.insert(key).second) return fail(fmt::format("{} is given twice", key));
        if (key == "drops") {
            options.drops = true;
            continue;
        }
        if (key != "file" && key != "count" && key != "rate" && key != "path" && key != "leg")
            return fail(fmt::format("'{}' is not understood: file F, count N, rate N, path N, leg N or drops", key));
        if (!(words >> value)) return fail(fmt::format("{}: a value is missing", key));
        if (key == "file") {
            // The forwarder's working directory is not the operator's: a relative name would end up elsewhere.
            if (!value.starts_with('/')) return fail(fmt::format("file '{}': a path from / on is needed", value));
            options.file = value;
        } else if (key == "count") {
            const auto n = from_one_to(kMaxCount, "count", value);
            if (!n) return fail(n.error().text);
            options.count = *n;
        } else if (key == "rate") {
            const auto n = from_one_to(kMaxRate, "rate", value);
            if (!n) return fail(n.error().text);
            options.rate = *n;
        } else {
            (key == "path" ? options.path : options.leg) = value;
        }
    }
    if (seen.contains("path") + seen.contains("leg") + seen.contains("drops") > 1)
        return fail("path, leg and drops: one of them at a time");
    return options;
}

std::string default_file(std::string_view subject, int64_t unix_seconds) {
    return fmt::format("/var/tmp/penstock-{}-{:%Y%m%dT%H%M%SZ}.pcapng", subject, fmt::gmtime(unix_seconds));
}

}  // namespace penstock::capture
