#include "control/config/differences.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

namespace penstock::config {
namespace {

template <class Entry>
std::string text_of(const Entry& entry, const std::optional<Ip>& sender, bool ssm, std::optional<uint32_t> ssrc) {
    std::string line = entry.rtp.text();
    char before = '?';
    const auto add = [&](std::string_view key, const std::string& value) {
        line += fmt::format("{}{}={}", std::exchange(before, '&'), key, value);
    };
    if (entry.port) add("port", *entry.port);
    if (entry.vlan != 0) add("vlan", std::to_string(entry.vlan));
    if (sender) add(ssm ? "source" : "from", sender->text());
    if (ssrc) add("ssrc", *ssrc == kOtherSsrc ? "other" : std::to_string(*ssrc));
    return line;
}

// Lists of entries told apart by text(): what came, went, or is otherwise the same but for other settings.
template <class Entry>
void compare(std::string_view kind, const std::vector<Entry>& before, const std::vector<Entry>& now,
             std::vector<std::string>& found) {
    std::map<std::string, const Entry*> old;
    for (const Entry& entry : before) old.emplace(text(entry), &entry);
    for (const Entry& entry : now) {
        const auto same = old.find(text(entry));
        if (same == old.end()) {
            found.push_back(fmt::format("{} {} added", kind, text(entry)));
            continue;
        }
        if (!(*same->second == entry)) found.push_back(fmt::format("{} {} changed", kind, same->first));
        old.erase(same);
    }
    for (const Entry& entry : before)
        if (old.contains(text(entry))) found.push_back(fmt::format("{} {} removed", kind, text(entry)));
}

std::vector<std::string> differences(const Track& before, const Track& now) {
    std::vector<std::string> found;
    if (before.media != now.media) found.push_back(fmt::format("media changed to {}", now.media));
    if (before.payload_type != now.payload_type)
        found.push_back(now.payload_type ? fmt::format("payload_type changed to {}", *now.payload_type)
                                         : std::string("payload_type changed to any"));
    if (before.encoding != now.encoding || before.clock_rate != now.clock_rate)
        found.push_back(fmt::format("encoding changed to {}", now.encoding));
    if (before.fmtp != now.fmtp)
        found.push_back(fmt::format("fmtp changed to {}", now.fmtp.empty() ? "none" : now.fmtp));
    if (before.skew != now.skew) found.push_back(fmt::format("skew changed to {} us", now.skew.count()));
    if (before.delay != now.delay)
        found.push_back(now.delay.count() == 0 ? std::string("delay removed")
                                               : fmt::format("delay changed to {} ms", now.delay.count()));
    if (before.feedback != now.feedback) found.emplace_back("feedback changed");
    compare("source", before.sources, now.sources, found);
    compare("output", before.outputs, now.outputs, found);
    if (found.empty() && before != now) found.emplace_back("order changed");
    return found;
}

}  // namespace

std::string text(const Source& source) { return text_of(source, source.from, source.ssm, source.ssrc); }
std::string text(const Output& output) { return text_of(output, std::nullopt, false, std::nullopt); }

std::vector<std::string> track_names(const Stream& stream) {
    std::vector<std::string> names;
    std::map<std::string_view, unsigned> same_media;
    for (const Track& track : stream.tracks) {
        const unsigned n = ++same_media[track.media];
        names.push_back(n == 1 ? track.media : fmt::format("{}-{}", track.media, n));
    }
    return names;
}

std::vector<std::optional<size_t>> counterparts(const Stream& before, const Stream& now) {
    const auto names_before = track_names(before), names_now = track_names(now);
    std::vector<std::optional<size_t>> found(now.tracks.size());
    std::vector<bool> taken(before.tracks.size());
    const auto pair_those = [&](auto belong) {
        for (size_t n = 0; n < now.tracks.size(); n++)
            for (size_t b = 0; b < before.tracks.size() && !found[n]; b++)
                if (!taken[b] && belong(b, n)) {
                    found[n] = b;
                    taken[b] = true;
                }
    };
    pair_those([&](size_t b, size_t n) { return before.tracks[b] == now.tracks[n]; });
    pair_those([&](size_t b, size_t n) {
        return std::ranges::any_of(now.tracks[n].sources, [&](const Source& source) {
            return std::ranges::find(before.tracks[b].sources, source) != before.tracks[b].sources.end();
        });
    });
    pair_those([&](size_t b, size_t n) { return names_before[b] == names_now[n]; });
    return found;
}

std::vector<std::string> differences(const Stream& before, const Stream& now) {
    const auto names_before = track_names(before), names_now = track_names(now);
    const auto was = counterparts(before, now);
    const bool several = before.tracks.size() > 1 || now.tracks.size() > 1;
    std::vector<std::string> found;
    for (size_t n = 0; n < now.tracks.size(); n++) {
        if (!was[n]) {
            found.push_back(fmt::format("track {} added", names_now[n]));
            continue;
        }
        if (names_before[*was[n]] != names_now[n])
            found.push_back(fmt::format("track {} is {} now", names_before[*was[n]], names_now[n]));
        for (const std::string& what : differences(before.tracks[*was[n]], now.tracks[n]))
            found.push_back(several ? fmt::format("{}: {}", names_now[n], what) : what);
    }
    for (size_t b = 0; b < before.tracks.size(); b++)
        if (std::ranges::find(was, std::optional(b)) == was.end())
            found.push_back(fmt::format("track {} removed", names_before[b]));
    if (before.rtsp != now.rtsp) found.emplace_back("rtsp changed");
    if (found.empty() && before != now) found.emplace_back("order of tracks changed");
    return found;
}

}  // namespace penstock::config
