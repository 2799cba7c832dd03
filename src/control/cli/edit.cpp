#include "control/cli/edit.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>

#include "control/cli/url.hpp"
#include "control/config/differences.hpp"
#include "control/config/planned.hpp"

namespace penstock::cli {
namespace {

using config::Output;
using config::Source;
using config::Stream;
using config::Track;

constexpr std::string_view kind_of(const Source*) { return "source"; }
constexpr std::string_view kind_of(const Output*) { return "output"; }
std::vector<Source>& list_of(Track& track, const Source*) { return track.sources; }
std::vector<Output>& list_of(Track& track, const Output*) { return track.outputs; }
const std::vector<Source>& list_of(const Track& track, const Source*) { return track.sources; }
const std::vector<Output>& list_of(const Track& track, const Output*) { return track.outputs; }

template <class Entry>
constexpr const Entry* kOf = nullptr;  // chooses among the above

std::string some(const std::vector<std::string>& names) {
    constexpr size_t kEnough = 8;
    const auto shown = std::span{names}.first(std::min(kEnough, names.size()));
    return names.empty() ? "there are none"
                         : fmt::format("there {} {}{}", names.size() == 1 ? "is" : "are", fmt::join(shown, ", "),
                                       names.size() > kEnough ? ", ..." : "");
}

// An entry as the operator may name it: with its track when there are several.
template <class Entry>
std::string url_of(const Stream& stream, const std::string& track, const Entry& entry) {
    const std::string line = config::text(entry);
    if (stream.tracks.size() < 2) return "rtp://" + line;
    return fmt::format("rtp://{}{}track={}", line, line.find('?') == std::string::npos ? '?' : '&', track);
}

template <class Entry>
std::vector<std::string> urls_of(const Stream& stream) {
    const auto names = config::track_names(stream);
    std::vector<std::string> all;
    for (size_t t = 0; t < names.size(); t++)
        for (const Entry& entry : list_of(stream.tracks[t], kOf<Entry>)) all.push_back(url_of(stream, names[t], entry));
    return all;
}

Result<size_t> track_for(const Stream& stream, const std::string& wanted) {
    const auto names = config::track_names(stream);
    if (wanted.empty() && names.size() == 1) return 0u;
    if (stream.rtsp && names.empty())
        return fail(
            fmt::format("the camera of stream '{}' has not said yet which tracks it has: say for which one it is "
                        "by ?track=video, ?track=audio or, for the second of a kind, ?track=video-2",
                        stream.name));
    if (wanted.empty())
        return fail(
            fmt::format("stream '{}' has several tracks: say which by ?track=NAME; {}", stream.name, some(names)));
    const auto found = std::ranges::find(names, wanted);
    if (found == names.end())
        return fail(fmt::format("stream '{}' has no track '{}'; {}", stream.name, wanted, some(names)));
    return static_cast<size_t>(found - names.begin());
}

// Does the entry have what the URL says of it? The options were found to be known.
bool has(const Source& source, std::string_view key, std::string_view value) {
    if (key == "port") return source.port == value;
    if (key == "vlan") return std::to_string(source.vlan) == value;
    if (key == "ssrc") return config::text(source).ends_with(fmt::format("ssrc={}", value));
    return source.from && source.from == Ip::parse(value) && source.ssm == (key == "source");
}
bool has(const Output& output, std::string_view key, std::string_view value) {
    return key == "port" ? output.port == value : std::to_string(output.vlan) == value;
}
std::vector<std::string_view> telling(const Source*) { return {"port", "vlan", "from", "source", "ssrc"}; }
std::vector<std::string_view> telling(const Output*) { return {"port", "vlan"}; }

template <class Entry>
size_t tellings(const Entry& entry) {
    const std::string line = config::text(entry);
    return static_cast<size_t>(std::ranges::count(line, '='));
}

template <class Entry>
Result<Edit> add_entry(const Stream& of, const Url& url, const config::Loaded<Entry>& entry) {
    // A track that a camera may bring can be named before it does.
    const Stream stream = of.rtsp ? config::with_entry(of, url.track) : of;
    const auto t = track_for(stream, url.track);
    if (!t) return fail(t.error().text);
    if (!entry) return fail(text_of(entry.error(), false));
    Edit done{stream, fmt::format("{} {} added", kind_of(kOf<Entry>), config::text(*entry))};
    auto& list = list_of(done.stream.tracks[*t], kOf<Entry>);
    if (kind_of(kOf<Entry>) == "source" && list.size() == 2)
        return fail(fmt::format("stream '{}': the track has two sources already, as many as live-live takes; {}",
                                stream.name, some(urls_of<Entry>(stream))));
    list.push_back(*entry);
    return done;
}

template <class Entry>
Result<Edit> del_entry(const Stream& stream, const Url& url) {
    const std::string_view kind = kind_of(kOf<Entry>);
    const auto known = telling(kOf<Entry>);
    for (const auto& [key, value] : url.options)
        if (std::ranges::find(known, key) == known.end())
            return fail(fmt::format("'{}' tells no {}s apart: track, {} do", key, kind, fmt::join(known, ", ")));
    const auto endpoint = Endpoint::parse(url.rtp);
    if (!endpoint) return fail(fmt::format("'{}' is not ADDRESS:PORT, such as 10.0.1.20:6000", url.rtp));
    const auto names = config::track_names(stream);
    if (!url.track.empty())
        if (auto t = track_for(stream, url.track); !t) return fail(t.error().text);

    // Those that the URL fits; of several, the one of which it says everything.
    std::vector<std::string> candidates;
    size_t track = 0, index = 0, exact = 0;
    for (size_t t = 0; t < names.size(); t++) {
        if (!url.track.empty() && url.track != names[t]) continue;
        const auto& list = list_of(stream.tracks[t], kOf<Entry>);
        for (size_t i = 0; i < list.size(); i++) {
            const bool meant = list[i].rtp == *endpoint && std::ranges::all_of(url.options, [&](const auto& option) {
                                   return has(list[i], option.first, option.second);
                               });
            if (!meant) continue;
            const bool all_said = tellings(list[i]) == url.options.size();
            exact += all_said ? 1 : 0;
            if (all_said || exact == 0) {
                track = t;
                index = i;
            }
            candidates.push_back(url_of(stream, names[t], list[i]));
        }
    }
    if (candidates.empty())
        return fail(
            fmt::format("stream '{}' has no {} {}; {}", stream.name, kind, url.rtp, some(urls_of<Entry>(stream))));
    if (candidates.size() > 1 && exact != 1)
        return fail(fmt::format("stream '{}': several {}s are {}: say which; {}", stream.name, kind, url.rtp,
                                some(candidates)));
    Edit done{stream, {}};
    auto& list = list_of(done.stream.tracks[track], kOf<Entry>);
    if (kind == "source" && list.size() == 1)
        return fail(fmt::format("{} is the only source of track '{}': add another one first, or {}", url.rtp,
                                names[track], names.size() == 1 ? "del stream" : "del track"));
    done.what = fmt::format("{} {} deleted", kind, config::text(list[index]));
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(index));
    return done;
}

Result<Edit> add_track(const Stream& stream, std::string_view yaml, const std::vector<config::Port>& ports) {
    const auto track = config::load_track(yaml, ports);
    if (!track) return fail(text_of(track.error(), true));
    Edit done{stream, {}};
    done.stream.tracks.push_back(*track);
    done.what = fmt::format("track {} added", config::track_names(done.stream).back());
    return done;
}

Result<Edit> del_track(const Stream& stream, const std::string& name) {
    const auto t = track_for(stream, name);
    if (!t) return fail(t.error().text);
    if (stream.tracks.size() == 1)
        return fail(
            fmt::format("'{}' is the only track of stream '{}': del stream {}", name, stream.name, stream.name));
    Edit done{stream, fmt::format("track {} deleted", name)};
    done.stream.tracks.erase(done.stream.tracks.begin() + static_cast<std::ptrdiff_t>(*t));
    return done;
}

Result<Edit> edited(const Stream& stream, const Command& command, const std::vector<config::Port>& ports) {
    const std::string& argument = command.arguments[1];
    if (command.action == Action::add_track) return add_track(stream, argument, ports);
    if (command.action == Action::del_track) return del_track(stream, argument);
    const auto url = parse_url(argument);
    if (!url) return fail(url.error().text);
    switch (command.action) {
        case Action::add_source: return add_entry<Source>(stream, *url, config::load_source(url->yaml(), ports));
        case Action::add_output: return add_entry<Output>(stream, *url, config::load_output(url->yaml(), ports));
        case Action::del_source: return del_entry<Source>(stream, *url);
        default: return del_entry<Output>(stream, *url);
    }
}

}  // namespace

std::string text_of(const std::vector<config::Problem>& problems, bool with_columns) {
    std::string all;
    for (const config::Problem& problem : problems)
        all += fmt::format("{}{}{}", all.empty() ? "" : "; ",
                           with_columns ? fmt::format("column {}: ", problem.at.column) : "", problem.text);
    return all;
}

Result<Edit> edit(const Stream& stream, const Command& command, const std::vector<config::Port>& ports) {
    auto done = edited(stream, command, ports);
    if (!done) return done;
    if (const auto problems = config::check_alone(done->stream, ports); !problems.empty())
        return fail(text_of(problems, false));
    return done;
}

std::vector<std::string> deletable(const Stream& stream, std::string_view placeholder) {
    if (placeholder == "SOURCE") return urls_of<Source>(stream);
    if (placeholder == "OUTPUT") return urls_of<Output>(stream);
    return config::track_names(stream);
}

}  // namespace penstock::cli
