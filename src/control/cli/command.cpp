#include "control/cli/command.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <set>

#include "control/cli/report.hpp"

namespace penstock::cli {
namespace {

// Words in capitals stand for what the operator names; a last one that ends in "..." takes the rest of the line.
struct Grammar {
    std::string_view words;
    Action action;
    std::string_view help;
};

constexpr Grammar kCommands[] = {
    {"show port info PORT", Action::show_port_info,
     "what the port is: driver, netdev, MAC, MTU, queues; PORT may be all"},
    {"show port stats PORT", Action::show_port_stats, "packets, bytes and drops of the port"},
    {"show port xstats PORT", Action::show_port_xstats, "every counter of the driver"},
    {"clear port stats all", Action::clear_port_stats,
     "show port stats counts from here on; metrics go on as they were"},
    {"show config", Action::show_config, "the streams as they are now, in the words of the configuration file"},
    {"show worker all", Action::show_worker, "the ledger of each worker"},
    {"show stream all", Action::show_streams, "each track: packets, loss, jitter, legs"},
    {"show stream STREAM", Action::show_stream, "its paths and legs"},
    {"show stream STREAM path", Action::show_stream_path, "the way of its packets, and why it is not a faster one"},
    {"show stream STREAM repair", Action::show_stream_repair,
     "what the second path, FEC and asking again made good, and what is sent for receivers to do so"},
    {"show stream STREAM sdp", Action::show_stream_sdp,
     "the SDP file that its receiver plays it by: FEC, live-live and retransmission included"},
    {"show stream STREAM sdp RECEIVER...", Action::show_stream_sdp,
     "of several receivers, the one that is meant: 10.0.1.20 or 10.0.1.20:6000, or more than one for several tracks"},
    {"show rtsp sessions", Action::show_rtsp_sessions, "who watches what, since when, and what it reports"},
    {"show rtsp sources", Action::show_rtsp_sources, "which cameras streams come from, and why one does not"},
    {"show drops", Action::show_drops, "packets and copies that went no further, by reason"},
    {"add stream STREAM SETTINGS...", Action::add_stream,
     "as in the file: add stream cam {tracks: [{media: audio, payload_type: 0, sources: [{rtp: \"10.0.0.1:5004\"}]}]}; "
     "or of a camera: add stream gate rtsp://user:pass@10.0.0.7/live transport=tcp start=on_demand"},
    {"add track STREAM SETTINGS...", Action::add_track,
     "as in the file: add track cam {media: audio, payload_type: 0, sources: [{rtp: \"10.0.0.1:5004\"}]}"},
    {"add source STREAM URL...", Action::add_source,
     "a second path: rtp://239.1.1.1:5004?track=video&source=10.0.0.8&port=lan&vlan=5, or &from=10.0.0.8"},
    {"add output STREAM URL...", Action::add_output,
     "URL: rtp://10.0.1.20:6000?track=video&ttl=16&dscp=EF&port=wan&vlan=5&rtcp_mux=on&fec=st2022-1"},
    {"del output STREAM OUTPUT...", Action::del_output,
     "rtp://10.0.1.20:6000, and ?track=, port=, vlan= if several have this address"},
    {"del source STREAM SOURCE...", Action::del_source,
     "rtp://10.0.0.1:5004, and ?track=, port=, vlan=, from=, source= if several have this address"},
    {"del track STREAM TRACK", Action::del_track, "forward it no more; the file is not changed"},
    {"del stream STREAM", Action::del_stream, "stop forwarding it and forget it; the file is not changed"},
    {"show capture", Action::show_capture,
     "the capture that runs, or the last one: packets, what was missed, why it ended"},
    {"capture stop", Action::capture_stop, "end it; what was captured is in the file"},
    {"capture stream STREAM", Action::capture_stream, "1000 packets as they arrive to a new pcapng file in /var/tmp"},
    {"capture stream STREAM OPTIONS...", Action::capture_stream,
     "OPTIONS: file F, count N, rate N (a second), and one of: path N, leg N (or its address), drops"},
    {"capture drops", Action::capture_drops, "what is dropped anywhere, of streams or not, each with its reason"},
    {"capture drops OPTIONS...", Action::capture_drops, "OPTIONS: file F, count N, rate N"},
    {"start", Action::start, "forward again after stop"},
    {"stop", Action::stop, "forward nothing until start: packets of streams are dropped as 'stopped'"},
    {"reload", Action::reload, "read the file again: says what is added, removed and touched; all of it or nothing"},
    {"help COMMAND...", Action::help, "this list, or what begins with COMMAND"},
    {"help", Action::help, "this list"},
    {"quit", Action::quit, "leave the prompt; penstock runs on"},
};

std::vector<std::string_view> split(std::string_view text) {
    std::vector<std::string_view> words;
    for (size_t at = 0; at < text.size();) {
        if (std::isspace(static_cast<unsigned char>(text[at]))) {
            at++;
            continue;
        }
        size_t end = at;
        while (end < text.size() && !std::isspace(static_cast<unsigned char>(text[end]))) end++;
        words.push_back(text.substr(at, end - at));
        at = end;
    }
    return words;
}

bool is_placeholder(std::string_view word) { return std::isupper(static_cast<unsigned char>(word.front())) != 0; }
bool is_rest(std::string_view word) { return word.ends_with("..."); }

// How many of `words` the grammar agrees with, and whether that is all of both.
struct Agreement {
    size_t words = 0;
    bool complete = false;
    std::vector<std::string> arguments;
};

Agreement agree(const Grammar& grammar, std::string_view line, const std::vector<std::string_view>& words) {
    const auto expected = split(grammar.words);
    Agreement a;
    for (const std::string_view want : expected) {
        if (a.words == words.size()) return a;
        const std::string_view got = words[a.words];
        if (is_rest(want)) {
            std::string_view rest = line.substr(static_cast<size_t>(got.data() - line.data()));
            while (!rest.empty() && std::isspace(static_cast<unsigned char>(rest.back()))) rest.remove_suffix(1);
            a.arguments.emplace_back(rest);
            a.words = words.size();
            a.complete = true;
            return a;
        }
        if (is_placeholder(want)) {
            a.arguments.emplace_back(got);
        } else if (want != got) {
            return a;
        }
        a.words++;
    }
    a.complete = a.words == words.size();
    return a;
}

}  // namespace

Result<Command> parse(std::string_view line) {
    const auto words = split(line);
    if (words.empty()) return fail("a command is missing; try help");
    size_t furthest = 0;
    std::vector<std::string_view> next;  // what could have come where the line stopped making sense
    for (const Grammar& grammar : kCommands) {
        Agreement a = agree(grammar, line, words);
        if (a.complete) {
            // "show stream all" is meant, not a stream of that name: literal commands stand first in the list.
            return Command{grammar.action, std::move(a.arguments)};
        }
        const auto expected = split(grammar.words);
        const std::string_view want = a.words < expected.size() ? expected[a.words] : "end of line";
        if (a.words > furthest) next.clear();
        furthest = std::max(furthest, a.words);
        if (a.words == furthest && std::ranges::find(next, want) == next.end()) next.push_back(want);
    }
    return fail(fmt::format("{}: expected {}; try help",
                            furthest < words.size() ? fmt::format("'{}' is not understood", words[furthest])
                                                    : std::string("the command is incomplete"),
                            fmt::join(next, " or ")));
}

std::vector<std::string> complete(std::string_view line, const Names& names) {
    auto words = split(line);
    const bool fresh = line.empty() || std::isspace(static_cast<unsigned char>(line.back()));
    const std::string_view begun = fresh ? std::string_view() : words.back();
    if (!fresh) words.pop_back();
    std::set<std::string> found;
    for (const Grammar& grammar : kCommands) {
        const auto expected = split(grammar.words);
        if (expected.size() <= words.size()) continue;
        const Agreement agreed = agree(grammar, line, words);
        if (agreed.words != words.size() || agreed.complete) continue;
        std::string_view want = expected[words.size()];
        if (!is_placeholder(want)) {
            if (want.starts_with(begun)) found.emplace(want);
            continue;
        }
        if (is_rest(want)) want.remove_suffix(3);
        for (std::string& name : names(want, agreed.arguments))
            if (name.starts_with(begun)) found.insert(std::move(name));
    }
    return {found.begin(), found.end()};
}

std::string help(std::string_view words) {
    constexpr size_t kIndent = 33;
    std::string out;
    for (const Grammar& grammar : kCommands) {
        if (!grammar.words.starts_with(words)) continue;
        std::string line = fmt::format("  {:<30} ", grammar.words);
        for (const std::string& text : wrapped(grammar.help, kScreen - kIndent)) {
            if (line.size() > kIndent) {  // a long command has a line of its own
                out += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
                line.assign(kIndent, ' ');
            }
            out += line + text + '\n';
            line.assign(kIndent, ' ');
        }
    }
    return out.empty() ? fmt::format("no command begins with '{}'\n", words) : out;
}

}  // namespace penstock::cli
