// A stream's rtsp: where its camera is and how it is fetched.
#include <fmt/format.h>

#include "control/config/settings.hpp"

namespace penstock::config {
namespace {

constexpr Name<Reach> kReaches[] = {
    {"auto", Reach::automatic}, {"udp", Reach::udp}, {"tcp", Reach::tcp}, {"multicast", Reach::multicast}};
constexpr Name<bool> kStarts[] = {{"always", false}, {"on_demand", true}};
constexpr Name<From> kFroms[] = {{"announced", From::announced}, {"first", From::first}, {"any", From::any}};

std::optional<std::chrono::seconds> seconds(const Value& value, unsigned most) {
    return value.parsed(fmt::format("a time from 1s to {}s such as 10s", most),
                        [&](std::string_view text) -> std::optional<std::chrono::seconds> {
                            if (!text.ends_with('s')) return std::nullopt;
                            const auto n = decimal(text.substr(0, text.size() - 1));
                            if (!n || *n < 1 || *n > most) return std::nullopt;
                            return std::chrono::seconds(*n);
                        });
}

}  // namespace

Pull read_pull(const Value& value) {
    static constexpr std::string_view kKeys[] = {"url",  "transport", "start",  "linger",
                                                 "wait", "from",      "tls_ca", "tls_verify"};
    Pull pull;
    const Map map{value, kKeys};
    const Value url = map.required("url");
    if (const auto text = url.text()) {
        // Never quoted in what is wrong with it: there may be a password in it.
        if (auto location = location_of(*text)) {
            pull.location = std::move(*location);
        } else {
            url.problem(location.error().text + ": rtsp://USER:PASSWORD@HOST:PORT/PATH or rtsps://... is wanted");
        }
    }
    pull.reach = map["transport"].one_of<Reach>(kReaches).value_or(pull.reach);
    pull.on_demand = map["start"].one_of<bool>(kStarts).value_or(pull.on_demand);
    pull.linger = seconds(map["linger"], 3600).value_or(pull.linger);
    pull.wait = seconds(map["wait"], 60).value_or(pull.wait);
    pull.from = map["from"].one_of<From>(kFroms).value_or(pull.from);
    pull.tls_verify = map["tls_verify"].boolean().value_or(pull.tls_verify);
    const Value ca = map["tls_ca"];
    pull.tls_ca = read_path(ca, kLongestPath);
    pull.tls_ca_at = ca.at();
    for (const std::string_view key : {"tls_ca", "tls_verify"})
        if (map[key] && !pull.location.tls && !pull.location.host.empty())
            map[key].problem(map[key].key_at(), "goes with an rtsps:// URL only");
    if (ca && !pull.tls_verify) ca.problem(ca.key_at(), "goes with verification only: leave out `tls_verify: false`");
    if (!pull.on_demand && map["linger"])
        map["linger"].problem(map["linger"].key_at(), "goes with `start: on_demand` only");
    return pull;
}

}  // namespace penstock::config
